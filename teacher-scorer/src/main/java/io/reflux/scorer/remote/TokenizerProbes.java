package io.reflux.scorer.remote;

import io.reflux.model.ModelException;
import io.reflux.model.ModelText;
import io.reflux.model.chat.ChatMessage;
import io.reflux.model.chat.SpecialTokens;
import io.reflux.schemas.service.RefluxException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;

/**
 * Whether a server cuts text as we do. A server does not show its tokenizer.json; it is given texts
 * that tokenizers are known to disagree on, and a sweep of the vocabulary.
 */
final class TokenizerProbes {
  /** Tokens of the sweep, evenly spread over the ids, and how many a text. */
  private static final int SWEEP = 512;

  private static final int SWEEP_A_TEXT = 128;
  private static final int SHOWN = 40;

  private static final List<String> TEXTS =
      List.of(
          "Hello, world! It's what you'd call \"a test\"; isn't it?",
          "  leading,   inner and trailing   ",
          "\ttabs\t\tand\n\nlines\r\n \n  end",
          "0123456789 3.14159 1,000,000 -42 1e-9 0xFF 2026-01-02T03:04:05Z",
          "naïve café Ünïcödé straße œuvre",
          "Cafe\u0301 \u00c5ngstro\u0308m \ufb01 \u212b",
          "Привет, мир! Ελληνικά עברית العربية",
          "你好，世界。日本語のテスト、한국어 시험",
          "नमस्ते दुनिया ไทย தமிழ்",
          "\uD83D\uDC69\u200D\uD83D\uDC67 \uD83C\uDFF3\uFE0F\u200D\uD83C\uDF08 \uD83C\uDDE9\uD83C\uDDEA \uD83E\uDD16",
          "\u00a0odd\u200bspaces\u2003and\u2028lines\ufeff",
          "def f(x: int) -> int:\n    return x**2  # squared\n\n\nassert f(3) == 9\n",
          "{\"a\": [1, 2.5, null], \"b\": {\"c\": \"d\\n\"}}",
          "<p class=\"x\">https://example.org/a?b=c&d=%20#e</p> user@example.org",
          "SCREAMING camelCase snake_case kebab-case don't DON'T",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa................----------------");

  private final ModelText text;
  private final List<String> probes;

  TokenizerProbes(ModelText text) {
    this.text = text;
    List<String> all = new ArrayList<>(TEXTS);
    all.add("a" + String.join("b", SpecialTokens.load(text.directory()).values()) + "c");
    chat(text).ifPresent(all::add);
    all.addAll(sweep(text));
    this.probes = List.copyOf(all);
  }

  /** As text: the template is ours to apply, the server's own is never asked. */
  private static Optional<String> chat(ModelText text) {
    return text.chatTemplate()
        .flatMap(
            template -> {
              try {
                return Optional.of(
                    template.render(List.of(ChatMessage.user("Is it on its way?")), true));
              } catch (ModelException e) {
                // A template may want more than one user's turn; requests will say what.
                return Optional.empty();
              }
            });
  }

  private static List<String> sweep(ModelText text) {
    int size = text.tokenizer().vocabularySize();
    int tokens = Math.min(SWEEP, size);
    List<String> texts = new ArrayList<>();
    StringBuilder sweep = new StringBuilder();
    for (int i = 0; i < tokens; i++) {
      int id = tokens == 1 ? 0 : (int) ((long) i * (size - 1) / (tokens - 1));
      String token = text.tokenizer().decode(new int[] {id}, false);
      if (token.indexOf('\uFFFD') < 0) {
        sweep.append(token).append('\n');
      }
      boolean full = (i + 1) % SWEEP_A_TEXT == 0 || i + 1 == tokens;
      if (full && !sweep.isEmpty()) {
        texts.add(sweep.toString());
        sweep.setLength(0);
      }
    }
    return texts;
  }

  /**
   * Asks the server for the ids of every probe.
   *
   * @return fails with a {@link RefluxException} that names both fingerprints and the first probe
   *     that differs
   */
  CompletableFuture<Void> check(TeacherHttp http, String url, String model) {
    List<CompletableFuture<int[]>> theirs =
        probes.stream().map(probe -> tokenize(http, model, probe).result()).toList();
    return CompletableFuture.allOf(theirs.toArray(CompletableFuture[]::new))
        .thenAccept(done -> compare(url, theirs.stream().map(CompletableFuture::join).toList()));
  }

  private static Call<int[]> tokenize(TeacherHttp http, String model, String probe) {
    return http.post(
        "/tokenize",
        json -> {
          json.writeStringField("model", model);
          json.writeStringField("prompt", probe);
          json.writeBooleanField("add_special_tokens", false);
        },
        json -> {
          int[][] ids = {null};
          JsonWalk.next(json);
          JsonWalk.object(
              json,
              "tokenize",
              name -> {
                if (name.equals("tokens")) {
                  ids[0] = JsonWalk.ids(json, name);
                } else {
                  json.skipChildren();
                }
              });
          if (ids[0] == null) {
            throw ServerFault.wrong("tokens: missing (expected: token ids)");
          }
          return ids[0];
        });
  }

  private void compare(String url, List<int[]> theirs) {
    List<int[]> ours = probes.stream().map(probe -> text.tokenizer().encode(probe, false)).toList();
    for (int i = 0; i < probes.size(); i++) {
      int differs = Arrays.mismatch(ours.get(i), theirs.get(i));
      if (differs >= 0) {
        throw new RefluxException(
            "reflux.score.teacher: "
                + text.directory()
                + ": tokenizer "
                + text.tokenizerFingerprint()
                + " is not that of "
                + url
                + ": probes have fingerprint "
                + fingerprint(ours)
                + " here and "
                + fingerprint(theirs)
                + " there; text "
                + i
                + ", \""
                + shown(probes.get(i))
                + "\", differs at token "
                + differs
                + ": "
                + shown(ours.get(i), differs)
                + " here, "
                + shown(theirs.get(i), differs)
                + " there (expected: the same ids)");
      }
    }
  }

  /** SHA-256 over the probes and the ids that somebody gave them. */
  private String fingerprint(List<int[]> ids) {
    MessageDigest digest = sha256();
    for (int i = 0; i < probes.size(); i++) {
      byte[] bytes = probes.get(i).getBytes(StandardCharsets.UTF_8);
      ByteBuffer buffer =
          ByteBuffer.allocate(8 + bytes.length + 4 * ids.get(i).length)
              .putInt(bytes.length)
              .put(bytes)
              .putInt(ids.get(i).length);
      Arrays.stream(ids.get(i)).forEach(buffer::putInt);
      digest.update(buffer.array());
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private static String shown(String probe) {
    String cut =
        probe.codePointCount(0, probe.length()) <= SHOWN
            ? probe
            : probe.substring(0, probe.offsetByCodePoints(0, SHOWN)) + "…";
    return cut.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t");
  }

  private static String shown(int[] ids, int at) {
    return at < ids.length ? "id " + ids[at] : "the end";
  }
}
