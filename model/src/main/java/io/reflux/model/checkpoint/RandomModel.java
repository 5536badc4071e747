package io.reflux.model.checkpoint;

import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;

/** Models that have learned nothing: where training starts, and what numerics are tested on. */
public final class RandomModel {
  private static final double INITIAL_DEVIATION = 0.02;

  private RandomModel() {}

  /**
   * Weights to train from: matrices from N(0, 0.02²), those that write into the residual stream
   * narrower by √(2·layers), norms 1, biases 0. The same seed gives the same weights on every
   * platform, and a tensor's values do not depend on which other tensors there are.
   */
  public static MemoryWeights weights(ModelConfig config, long seed) {
    double residual = INITIAL_DEVIATION / Math.sqrt(2.0 * config.layers());
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      String name = tensor.name();
      boolean writesResidual = name.endsWith("o_proj.weight") || name.endsWith("down_proj.weight");
      if (tensor.shape().size() == 2) {
        add(weights, tensor, seed, 0, writesResidual ? residual : INITIAL_DEVIATION);
      } else {
        add(weights, tensor, seed, name.endsWith(".bias") ? 0 : 1, 0);
      }
    }
    return weights.build();
  }

  /**
   * Weights for numeric tests: every tensor is random, norms and biases too, and wide enough that
   * each part of the model tells in the logits.
   */
  public static MemoryWeights variedWeights(ModelConfig config, long seed) {
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      if (tensor.shape().size() == 2) {
        add(weights, tensor, seed, 0, 1 / Math.sqrt(tensor.shape().get(1)));
      } else if (tensor.name().endsWith(".bias")) {
        add(weights, tensor, seed, 0, 0.5);
      } else {
        add(weights, tensor, seed, 1, 0.2);
      }
    }
    return weights.build();
  }

  /**
   * A small random configuration of an architecture: grouped heads, explicit head sizes, tied and
   * untied heads, position scaling and sliding windows all turn up over the seeds.
   */
  public static ModelConfig config(Architecture architecture, long seed) {
    Random random = new Random(seed);
    int keyValueHeads = 1 + random.nextInt(2);
    int heads = keyValueHeads * (1 + random.nextInt(3));
    int headSize = 8 * (1 + random.nextInt(2));
    // Not always heads · headSize: an explicit head_dim is part of the format.
    int hiddenSize = random.nextBoolean() ? heads * headSize : 16 * (1 + random.nextInt(4));
    RopeScaling scaling =
        switch (random.nextInt(3)) {
          case 0 -> null;
          case 1 -> new RopeScaling(RopeScaling.Kind.LINEAR, 2 + random.nextInt(3), 0, 0, 0);
          default -> new RopeScaling(RopeScaling.Kind.LLAMA3, 8, 1, 4, 32);
        };
    boolean sliding = architecture == Architecture.MISTRAL && random.nextInt(3) > 0;
    return new ModelConfig(
        architecture,
        24 + random.nextInt(80),
        hiddenSize,
        16 * (1 + random.nextInt(6)),
        1 + random.nextInt(3),
        heads,
        keyValueHeads,
        headSize,
        256,
        random.nextBoolean() ? 1e-5 : 1e-6,
        random.nextBoolean() ? 10_000 : 500_000,
        scaling,
        random.nextBoolean(),
        architecture == Architecture.QWEN2,
        architecture == Architecture.QWEN3,
        sliding ? OptionalInt.of(2 + random.nextInt(6)) : OptionalInt.empty(),
        OptionalInt.of(0),
        List.of(1));
  }

  private static void add(
      MemoryWeights.Builder weights, TensorInfo tensor, long seed, double mean, double deviation) {
    float[] floats = new float[Math.toIntExact(tensor.elements())];
    // java.util.Random, because its Gaussian is specified to the bit.
    Random random = new Random(seed * 0x9E3779B97F4A7C15L + tensor.name().hashCode());
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) (deviation == 0 ? mean : mean + deviation * random.nextGaussian());
    }
    weights.floats(
        tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
  }
}
