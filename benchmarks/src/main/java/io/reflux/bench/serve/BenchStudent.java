package io.reflux.bench.serve;

import io.reflux.model.ModelText;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import java.util.Arrays;
import java.util.OptionalInt;
import java.util.Random;

/**
 * A model to serve, with the tokenizer whose texts it continues.
 *
 * @param text of a vocabulary that is not larger than the configuration's
 */
public record BenchStudent(ModelConfig config, Weights weights, ModelText text) {
  private static final String[] WORDS = {
    "where",
    "is",
    "my",
    "order",
    "the",
    "parcel",
    "to",
    "please",
    "change",
    "address",
    "refund",
    "for",
    "kettle",
    "and",
    "delivery",
    "Monday",
    "account",
    "I",
    "would",
    "like"
  };

  /** In tokens, at most about. */
  private static final int LONGEST_WORD = 4;

  /** How large a random one is. */
  public record Shape(
      int vocabulary, int hidden, int inner, int layers, int heads, int keyValueHeads) {}

  /** Random weights, wide enough that its choices are clear, and none of which is to end. */
  public static BenchStudent random(Shape shape, int positions, ModelText text, long seed) {
    ModelConfig config =
        new ModelConfig(
            ModelConfig.Architecture.LLAMA,
            Math.max(shape.vocabulary(), text.vocabularySize()),
            shape.hidden(),
            shape.inner(),
            shape.layers(),
            shape.heads(),
            shape.keyValueHeads(),
            shape.hidden() / shape.heads(),
            positions,
            1e-5,
            10_000,
            null,
            false,
            false,
            false,
            OptionalInt.empty(),
            OptionalInt.empty(),
            text.stopIds().stream().sorted().toList());
    Weights random = RandomModel.variedWeights(config, seed);
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : random.tensors()) {
      float[] floats = random.floats(tensor.name());
      if (tensor.name().equals("lm_head.weight")) {
        for (int id : text.stopIds()) {
          Arrays.fill(floats, id * config.hiddenSize(), (id + 1) * config.hiddenSize(), 0);
        }
      }
      weights.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    return new BenchStudent(config, weights.build(), text);
  }

  /** The same of fewer bits. */
  public BenchStudent quantised(WeightFormat format) {
    return new BenchStudent(config, Quantiser.of(format).quantise(config, weights), text);
  }

  /** A prompt's tokens. */
  public int[] promptIds(String prompt) {
    return text.tokenizer().encode(prompt, true);
  }

  /**
   * Words that make at least so many tokens; another text for every seed, from the first word on.
   */
  public String prompt(int tokens, long seed) {
    Random random = new Random(seed);
    StringBuilder prompt = new StringBuilder().append(random.nextInt(100_000));
    int missing = tokens - promptIds(prompt.toString()).length;
    while (missing > 0) {
      for (int word = 0; word <= missing / LONGEST_WORD; word++) {
        prompt.append(' ').append(WORDS[random.nextInt(WORDS.length)]);
      }
      missing = tokens - promptIds(prompt.toString()).length;
    }
    return prompt.toString();
  }
}
