package io.reflux.serving;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.chat.ChatMessage;
import io.reflux.model.golden.Answers;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A fleet's own golden prompts: what every version has to answer before it serves. A file of one
 * JSON object a line, with {@code prompt} (as of a completion) or {@code messages} (as of a chat),
 * at least one of {@code equals}, {@code contains} and {@code not_contains}, and {@code max_tokens}
 * if 64 are too few or too many. Answers are greedy.
 */
public final class GoldenFile {
  private static final int DEFAULT_MAX_TOKENS = 64;
  private static final int SHOWN_CHARACTERS = 80;
  private static final Set<String> KEYS =
      Set.of("prompt", "messages", "equals", "contains", "not_contains", "max_tokens");
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  private final Path file;
  private final List<Expectation> expectations;

  /**
   * A line.
   *
   * @param messages empty when there is a prompt
   */
  private record Expectation(
      int line,
      String prompt,
      List<ChatMessage> messages,
      Optional<String> equal,
      Optional<String> part,
      Optional<String> absent,
      int maxTokens) {
    int[] ids(LanguageModel model) {
      return messages.isEmpty()
          ? model.tokenizer().encode(prompt, true)
          : model.promptIds(messages);
    }

    String shownPrompt() {
      return messages.isEmpty() ? prompt : messages.get(messages.size() - 1).content();
    }

    /** What was expected instead of this answer; empty if it is as it should be. */
    Optional<String> expected(String answer) {
      if (equal.isPresent() && !answer.strip().equals(equal.get().strip())) {
        return Optional.of(shown(equal.get()));
      }
      if (part.isPresent() && !answer.contains(part.get())) {
        return Optional.of("one with " + shown(part.get()));
      }
      return absent.filter(answer::contains).map(text -> "one without " + shown(text));
    }
  }

  private GoldenFile(Path file, List<Expectation> expectations) {
    this.file = file;
    this.expectations = List.copyOf(expectations);
  }

  /**
   * Reads a file.
   *
   * @throws RefluxException one line that names the file and the line, if any is not what it should
   *     be
   */
  public static GoldenFile load(Path file) {
    List<String> lines;
    try {
      lines = Files.readAllLines(file);
    } catch (IOException e) {
      throw new RefluxException(
          file
              + ": cannot be read: "
              + e.getMessage()
              + " (expected: golden prompts, as JSON lines)",
          e);
    }
    List<Expectation> expectations = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      if (!lines.get(i).isBlank()) {
        expectations.add(new Line(file, i + 1).parse(lines.get(i)));
      }
    }
    if (expectations.isEmpty()) {
      throw new RefluxException(file + ": no lines (expected: at least one golden prompt)");
    }
    return new GoldenFile(file, expectations);
  }

  /**
   * Lets a model answer.
   *
   * @param patience for each answer
   * @return the first answer that is not as it should be, in a line; empty if all are
   * @throws ModelException if the engine fails or does not answer in time
   */
  Optional<String> check(LanguageModel model, GenerationEngine engine, Duration patience) {
    int room = engine.options().maxPositions();
    List<GenerationHandle> handles = new ArrayList<>();
    for (Expectation one : expectations) {
      int[] ids;
      try {
        ids = one.ids(model);
      } catch (ModelException e) {
        return Optional.of(name(one) + ": " + e.getMessage());
      }
      if (ids.length == 0 || ids.length >= room) {
        return Optional.of(
            "%s: %d tokens (expected: 1 to %d)".formatted(name(one), ids.length, room - 1));
      }
      int tokens = Math.min(one.maxTokens(), room - ids.length);
      handles.add(
          engine.submit(
              new GenerationRequest(ids, tokens, SamplingOptions.GREEDY, model.stopIds(), 0),
              null));
    }
    for (int i = 0; i < expectations.size(); i++) {
      Expectation one = expectations.get(i);
      String answer = text(model, Answers.await(handles.get(i), patience));
      Optional<String> expected = one.expected(answer);
      if (expected.isPresent()) {
        return Optional.of(
            name(one)
                + " "
                + shown(one.shownPrompt())
                + ": expected "
                + expected.get()
                + ", got "
                + shown(answer));
      }
    }
    return Optional.empty();
  }

  private String name(Expectation one) {
    return "golden prompt of " + file.getFileName() + ", line " + one.line();
  }

  private static String text(LanguageModel model, Generation generation) {
    int[] ids = generation.tokenIds();
    boolean stopped = ids.length > 0 && model.stopIds().contains(ids[ids.length - 1]);
    return model.tokenizer().decode(stopped ? Arrays.copyOf(ids, ids.length - 1) : ids, true);
  }

  private static String shown(String text) {
    String line = text.replaceAll("\\p{Cntrl}+", " ");
    return "'"
        + (line.length() <= SHOWN_CHARACTERS ? line : line.substring(0, SHOWN_CHARACTERS) + "…")
        + "'";
  }

  /** Reads a line, and knows where it stands. */
  private record Line(Path file, int number) {
    Expectation parse(String text) {
      JsonNode node;
      try {
        node = JSON.readTree(text);
      } catch (JsonProcessingException e) {
        throw wrong(e.getOriginalMessage(), "a JSON object");
      }
      if (!node.isObject()) {
        throw wrong(shown(text), "a JSON object");
      }
      node.fieldNames()
          .forEachRemaining(
              key -> {
                if (!KEYS.contains(key)) {
                  throw wrong(
                      shown(key), "prompt, messages, equals, contains, not_contains or max_tokens");
                }
              });
      if (node.has("prompt") == node.has("messages")) {
        throw wrong(
            node.has("prompt") ? "prompt and messages" : "neither prompt nor messages",
            "one of them");
      }
      Expectation expectation =
          new Expectation(
              number,
              node.has("prompt") ? text(node, "prompt").orElseThrow() : "",
              node.has("messages") ? messages(node.get("messages")) : List.of(),
              text(node, "equals"),
              text(node, "contains"),
              text(node, "not_contains"),
              maxTokens(node));
      if (expectation.equal().isEmpty()
          && expectation.part().isEmpty()
          && expectation.absent().isEmpty()) {
        throw wrong("nothing to hold the answer against", "equals, contains or not_contains");
      }
      return expectation;
    }

    private Optional<String> text(JsonNode node, String key) {
      if (!node.has(key)) {
        return Optional.empty();
      }
      JsonNode value = node.get(key);
      // Any answer contains the empty text; of an answer it may well be all.
      if (!value.isTextual() || (value.textValue().isEmpty() && !key.equals("equals"))) {
        throw wrong(key + ": " + value, "text");
      }
      return Optional.of(value.textValue());
    }

    private List<ChatMessage> messages(JsonNode array) {
      List<ChatMessage> messages = new ArrayList<>();
      for (JsonNode message : array) {
        if (!message.path("role").isTextual() || !message.path("content").isTextual()) {
          throw wrong("message " + shown(message.toString()), "role and content");
        }
        messages.add(
            new ChatMessage(message.get("role").textValue(), message.get("content").textValue()));
      }
      if (!array.isArray() || messages.isEmpty()) {
        throw wrong("messages: " + shown(array.toString()), "a list of at least one message");
      }
      return messages;
    }

    private int maxTokens(JsonNode node) {
      if (!node.has("max_tokens")) {
        return DEFAULT_MAX_TOKENS;
      }
      JsonNode value = node.get("max_tokens");
      if (!value.isInt() || value.intValue() < 1) {
        throw wrong("max_tokens: " + value, "1 or more");
      }
      return value.intValue();
    }

    private RefluxException wrong(String what, String expected) {
      return new RefluxException(
          "%s, line %d: %s (expected: %s)".formatted(file, number, what, expected));
    }
  }
}
