package io.reflux.model.golden;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.ModelException;
import io.reflux.model.runtime.Generation;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.SamplingOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** A few prompts with the greedy answers of the very model that they lie beside. */
public record GoldenPrompts(List<Answered> prompts) {
  /** Its name in a model's directory. */
  public static final String FILE = "golden.json";

  private static final int FORMAT = 1;

  /** Far more than a few prompts take. */
  private static final long MOST_BYTES = 4 << 20;

  private static final double THOUSANDTH = 1000.0;

  public GoldenPrompts {
    prompts = List.copyOf(prompts);
  }

  /**
   * A prompt and its answer.
   *
   * @param promptIds at least one
   * @param answerIds at least one, the stop token included where one came
   * @param margins [answerIds], by how much each was likelier than the second likeliest, in nats
   */
  public record Answered(int[] promptIds, int[] answerIds, float[] margins) {
    public Answered {
      if (promptIds.length == 0 || answerIds.length == 0 || margins.length != answerIds.length) {
        throw new ModelException(
            "golden prompt: %d prompt ids, %d answer ids, %d margins (expected: at least one each, as many margins as answer ids)"
                .formatted(promptIds.length, answerIds.length, margins.length));
      }
    }

    /** Tokens in all. */
    public int length() {
      return promptIds.length + answerIds.length;
    }
  }

  /**
   * Lets an engine answer.
   *
   * @param maxTokens longest answer
   * @param stopIds end an answer
   * @param patience for each answer
   * @throws ModelException if the engine has no room for a prompt, fails, or does not answer in
   *     time
   */
  public static GoldenPrompts answer(
      GenerationEngine engine,
      List<int[]> prompts,
      int maxTokens,
      Set<Integer> stopIds,
      Duration patience) {
    List<GenerationHandle> handles = new ArrayList<>();
    for (int[] prompt : prompts) {
      handles.add(
          engine.submit(
              new GenerationRequest(prompt, maxTokens, SamplingOptions.GREEDY, stopIds, 2), null));
    }
    List<Answered> answered = new ArrayList<>();
    for (int i = 0; i < handles.size(); i++) {
      Generation generation = Answers.await(handles.get(i), patience);
      float[] margins = new float[generation.tokens().size()];
      for (int t = 0; t < margins.length; t++) {
        float[] top = generation.tokens().get(t).topLogprobs();
        margins[t] = top.length < 2 ? Float.MAX_VALUE : top[0] - top[1];
      }
      answered.add(new Answered(prompts.get(i), generation.tokenIds(), margins));
    }
    return new GoldenPrompts(answered);
  }

  /** Writes it into a model's directory. */
  public void save(Path directory) {
    ObjectNode root = new JsonMapper().createObjectNode();
    root.put("golden", FORMAT);
    ArrayNode list = root.putArray("prompts");
    for (Answered one : prompts) {
      ObjectNode node = list.addObject();
      ArrayNode prompt = node.putArray("prompt");
      ArrayNode answer = node.putArray("answer");
      ArrayNode margins = node.putArray("margins");
      for (int id : one.promptIds()) {
        prompt.add(id);
      }
      for (int i = 0; i < one.answerIds().length; i++) {
        answer.add(one.answerIds()[i]);
        margins.add(Math.round(Math.min(one.margins()[i], THOUSANDTH) * THOUSANDTH) / THOUSANDTH);
      }
    }
    Path file = directory.resolve(FILE);
    try {
      Files.writeString(file, root.toString());
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /**
   * Those of a model's directory; empty if it has none.
   *
   * @throws ModelException one line that names the file, if it is not what it should be
   */
  public static Optional<GoldenPrompts> load(Path directory) {
    Path file = directory.resolve(FILE);
    if (!Files.exists(file)) {
      return Optional.empty();
    }
    try {
      if (Files.size(file) > MOST_BYTES) {
        throw new ModelException(
            file + ": " + Files.size(file) + " bytes (expected: at most " + MOST_BYTES + ")");
      }
      JsonNode root = new JsonMapper().readTree(Files.readAllBytes(file));
      if (root == null || root.path("golden").asInt() != FORMAT) {
        throw new ModelException(
            file
                + ": format "
                + (root == null ? "none" : root.path("golden"))
                + " (expected: "
                + FORMAT
                + ")");
      }
      List<Answered> prompts = new ArrayList<>();
      for (JsonNode node : root.path("prompts")) {
        prompts.add(
            new Answered(
                ids(node.path("prompt")), ids(node.path("answer")), floats(node.path("margins"))));
      }
      return Optional.of(new GoldenPrompts(prompts));
    } catch (JsonProcessingException e) {
      throw new ModelException(file + ": " + e.getOriginalMessage() + " (expected: JSON)", e);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be read: " + e.getMessage(), e);
    } catch (ModelException e) {
      throw e.getMessage().startsWith(file.toString())
          ? e
          : new ModelException(file + ": " + e.getMessage(), e);
    }
  }

  private static int[] ids(JsonNode array) {
    int[] ids = new int[array.size()];
    for (int i = 0; i < ids.length; i++) {
      if (!array.get(i).isInt()) {
        throw new ModelException(array.get(i) + " (expected: a token id)");
      }
      ids[i] = array.get(i).intValue();
    }
    return ids;
  }

  private static float[] floats(JsonNode array) {
    float[] values = new float[array.size()];
    for (int i = 0; i < values.length; i++) {
      if (!array.get(i).isNumber()) {
        throw new ModelException(array.get(i) + " (expected: a number of nats)");
      }
      values[i] = array.get(i).floatValue();
    }
    return values;
  }
}
