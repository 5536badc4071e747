package io.reflux.model.runtime;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling.Kind;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;

/** One small configuration for each thing that members of the family do differently. */
@SuppressWarnings("ImmutableEnumChecker") // a configuration never changes
enum SmallModels {
  LLAMA_WITH_LLAMA3_SCALING(
      Architecture.LLAMA, 61, 48, 80, 6, 2, 16, new RopeScaling(Kind.LLAMA3, 8, 1, 4, 16), true, 0),
  LLAMA_WITH_LINEAR_SCALING_AND_ALL_HEADS(
      Architecture.LLAMA, 64, 32, 64, 4, 4, 8, new RopeScaling(Kind.LINEAR, 4, 0, 0, 0), false, 0),
  MISTRAL_WITH_SLIDING_WINDOW(Architecture.MISTRAL, 64, 32, 64, 4, 2, 8, null, false, 5),
  QWEN2_WITH_BIAS(Architecture.QWEN2, 77, 32, 48, 4, 2, 8, null, true, 0),
  QWEN3_WITH_HEAD_NORMS_AND_WIDE_HEADS(Architecture.QWEN3, 64, 40, 56, 4, 2, 16, null, false, 0);

  private final ModelConfig config;

  SmallModels(
      Architecture architecture,
      int vocabulary,
      int hidden,
      int intermediate,
      int heads,
      int keyValueHeads,
      int headSize,
      RopeScaling scaling,
      boolean tied,
      int window) {
    config =
        new ModelConfig(
            architecture,
            vocabulary,
            hidden,
            intermediate,
            3,
            heads,
            keyValueHeads,
            headSize,
            128,
            1e-5,
            10_000,
            scaling,
            tied,
            architecture == Architecture.QWEN2,
            architecture == Architecture.QWEN3,
            window == 0 ? OptionalInt.empty() : OptionalInt.of(window),
            OptionalInt.of(0),
            List.of(1));
  }

  /** One layer below a vocabulary of any size. */
  static ModelConfig withVocabulary(int vocabularySize) {
    return new ModelConfig(
        Architecture.LLAMA,
        vocabularySize,
        32,
        48,
        1,
        2,
        1,
        16,
        128,
        1e-5,
        10_000,
        null,
        true,
        false,
        false,
        OptionalInt.empty(),
        OptionalInt.of(0),
        List.of(1));
  }

  ModelConfig config() {
    return config;
  }

  /** The same with room for longer sequences. */
  ModelConfig withPositions(int positions) {
    return new ModelConfig(
        config.architecture(),
        config.vocabularySize(),
        config.hiddenSize(),
        config.intermediateSize(),
        config.layers(),
        config.heads(),
        config.keyValueHeads(),
        config.headSize(),
        positions,
        config.rmsNormEpsilon(),
        config.ropeTheta(),
        config.ropeScaling(),
        config.tiedEmbeddings(),
        config.attentionBias(),
        config.qkNorm(),
        config.slidingWindow(),
        config.bosTokenId(),
        config.eosTokenIds());
  }

  int[] tokens(int count, long seed) {
    return new Random(seed).ints(count, 0, config.vocabularySize()).toArray();
  }
}
