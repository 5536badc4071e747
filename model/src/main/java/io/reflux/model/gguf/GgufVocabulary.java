package io.reflux.model.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.JsonFiles;
import io.reflux.model.tokenizer.Tokenizer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * A tokenizer.json in the terms of llama.cpp, which knows two kinds of byte-pair tokenizers: over
 * bytes, as GPT-2's, and over characters with bytes to fall back on, as SentencePiece's.
 *
 * @param model gpt2 or llama
 * @param preTokenizer what cuts text into words, by llama.cpp's name; empty for SentencePiece
 * @param tokens by id, as many as the model's vocabulary has
 * @param types by id
 * @param merges in the order they apply; empty for SentencePiece
 * @param scores by id, of SentencePiece: the higher, the sooner a token is made; empty for others
 * @param spacePrefix whether text gets a space in front; SentencePiece only
 * @param bos that {@link Tokenizer#encode} puts in front
 * @param addsEos whether it puts an id behind
 */
record GgufVocabulary(
    String model,
    Optional<String> preTokenizer,
    List<String> tokens,
    List<Integer> types,
    List<String> merges,
    List<Float> scores,
    boolean spacePrefix,
    OptionalInt bos,
    boolean addsEos) {
  private static final int NORMAL = 1;
  private static final int UNKNOWN = 2;
  private static final int CONTROL = 3;
  private static final int USER_DEFINED = 4;
  private static final int UNUSED = 5;
  private static final int BYTE = 6;

  private static final long MAX_BYTES = 512L << 20;

  /**
   * Reads one.
   *
   * @param directory with tokenizer.json
   * @param size of the model's vocabulary, at least the tokenizer's
   * @throws ModelException if llama.cpp has no such tokenizer; it names what it lacks
   */
  static GgufVocabulary load(Path directory, Tokenizer tokenizer, int size) {
    Path file = directory.resolve("tokenizer.json");
    JsonNode json = JsonFiles.readObject(file, MAX_BYTES);
    JsonNode model = json.path("model");
    if (!model.path("type").asText().equals("BPE") || !model.path("vocab").isObject()) {
      throw new ModelException(
          "%s: model.type: %s (expected: BPE, for GGUF)"
              .formatted(file, model.path("type").asText("none")));
    }
    boolean sentencePiece = model.path("byte_fallback").asBoolean();
    List<String> tokens = new ArrayList<>(Arrays.asList(new String[size]));
    List<Integer> types = new ArrayList<>(java.util.Collections.nCopies(size, UNUSED));
    model
        .path("vocab")
        .properties()
        .forEach(
            entry -> {
              int id = entry.getValue().asInt();
              tokens.set(id, entry.getKey());
              types.set(id, type(entry.getKey(), sentencePiece));
            });
    String unknown = model.path("unk_token").asText("");
    for (JsonNode added : json.path("added_tokens")) {
      int id = added.path("id").asInt();
      String content = added.path("content").asText();
      tokens.set(id, content);
      boolean special = added.path("special").asBoolean();
      types.set(id, content.equals(unknown) ? UNKNOWN : special ? CONTROL : USER_DEFINED);
    }
    nameTheUnused(tokens);
    List<String> merges = new ArrayList<>();
    for (JsonNode merge : model.path("merges")) {
      merges.add(
          merge.isArray() ? merge.path(0).asText() + " " + merge.path(1).asText() : merge.asText());
    }
    Ends ends = Ends.of(file, tokenizer);
    return sentencePiece
        ? new GgufVocabulary(
            "llama",
            Optional.empty(),
            List.copyOf(tokens),
            List.copyOf(types),
            List.of(),
            scores(tokens, merges),
            PreTokenizers.addsSpace(json),
            ends.bos(),
            ends.addsEos())
        : new GgufVocabulary(
            "gpt2",
            Optional.of(PreTokenizers.name(file, json)),
            List.copyOf(tokens),
            List.copyOf(types),
            List.copyOf(merges),
            List.of(),
            false,
            ends.bos(),
            ends.addsEos());
  }

  /** What encoding adds to a text. */
  private record Ends(OptionalInt bos, boolean addsEos) {
    static Ends of(Path file, Tokenizer tokenizer) {
      int[] bare = tokenizer.encode("a", false);
      int[] whole = tokenizer.encode("a", true);
      for (int before = 0; before <= 1; before++) {
        int after = whole.length - bare.length - before;
        boolean within = after >= 0 && after <= 1;
        if (within
            && Arrays.equals(Arrays.copyOfRange(whole, before, before + bare.length), bare)) {
          return new Ends(before == 1 ? OptionalInt.of(whole[0]) : OptionalInt.empty(), after == 1);
        }
      }
      throw new ModelException(
          file + ": post_processor: adds several tokens (expected: at most one at each end)");
    }
  }

  private static int type(String token, boolean sentencePiece) {
    boolean isByte = sentencePiece && token.matches("<0x[0-9A-F]{2}>");
    return isByte ? BYTE : NORMAL;
  }

  /** A padded model has ids that no text has; llama.cpp wants a different name for each. */
  private static void nameTheUnused(List<String> tokens) {
    Set<String> taken = new HashSet<>(tokens);
    for (int id = 0; id < tokens.size(); id++) {
      if (tokens.get(id) == null) {
        String name = "[PAD" + id + "]";
        while (!taken.add(name)) {
          name = "[" + name + "]";
        }
        tokens.set(id, name);
      }
    }
  }

  /** SentencePiece joins the pair whose whole scores best: that of the first merge. */
  private static List<Float> scores(List<String> tokens, List<String> merges) {
    Map<String, Integer> ranks = new HashMap<>();
    for (int rank = 0; rank < merges.size(); rank++) {
      String merge = merges.get(rank);
      int space = merge.indexOf(' ', 1);
      ranks.putIfAbsent(merge.substring(0, space) + merge.substring(space + 1), rank);
    }
    return tokens.stream().map(t -> (float) -ranks.getOrDefault(t, merges.size())).toList();
  }
}
