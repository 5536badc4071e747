package io.reflux.model.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.function.BiFunction;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

/** What must hold of any right forward pass, and one that is small enough to do by hand. */
class ReferenceForwardTest {
  private static final int[] TOKENS = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};

  @Test
  void oneHeadOfTwoByHand() {
    ModelConfig config =
        config(Architecture.LLAMA, 2, 2, 1, 1, 1, 2, null, OptionalInt.empty(), true);
    float[] identity = {1, 0, 0, 1};
    MemoryWeights weights =
        MemoryWeights.builder()
            .floats(TensorNames.EMBEDDING, new long[] {2, 2}, new float[] {3, 4, 1, 0})
            .floats(TensorNames.inputNorm(0), new long[] {2}, new float[] {1, 1})
            .floats(TensorNames.query(0), new long[] {2, 2}, identity)
            .floats(TensorNames.key(0), new long[] {2, 2}, identity)
            .floats(TensorNames.value(0), new long[] {2, 2}, identity)
            .floats(TensorNames.output(0), new long[] {2, 2}, identity)
            .floats(TensorNames.postAttentionNorm(0), new long[] {2}, new float[] {1, 1})
            .floats(TensorNames.gate(0), new long[] {1, 2}, new float[] {1, 0})
            .floats(TensorNames.up(0), new long[] {1, 2}, new float[] {0, 1})
            .floats(TensorNames.down(0), new long[] {2, 1}, new float[] {1, 2})
            .floats(TensorNames.FINAL_NORM, new long[] {2}, new float[] {1, 1})
            .build();

    double[][] logits = ReferenceForward.logits(config, weights, new int[] {0, 1});

    double e = config.rmsNormEpsilon();
    double[] first = normed(3, 4, e);
    double[] second = normed(1, 0, e);
    // Position 1 turns by 1 radian; position 0 not at all.
    double[] query = {second[0] * Math.cos(1), second[0] * Math.sin(1)};
    double scoreOfFirst = (query[0] * first[0] + query[1] * first[1]) / Math.sqrt(2);
    double scoreOfSecond = (query[0] * query[0] + query[1] * query[1]) / Math.sqrt(2);
    double share = 1 / (1 + Math.exp(scoreOfFirst - scoreOfSecond));
    double x = 1 + share * second[0] + (1 - share) * first[0];
    double y = (1 - share) * first[1];
    double[] fed = normed(x, y, e);
    double activated = fed[0] / (1 + Math.exp(-fed[0])) * fed[1];
    double[] last = normed(x + activated, y + 2 * activated, e);
    assertThat(logits[1][0]).isCloseTo(3 * last[0] + 4 * last[1], within(1e-12));
    assertThat(logits[1][1]).isCloseTo(last[0], within(1e-12));
  }

  @Property(tries = 40)
  void laterTokensChangeNothingBefore(@ForAll Architecture architecture, @ForAll long seed) {
    ModelConfig config = RandomModel.config(architecture, seed);
    Weights weights = RandomModel.variedWeights(config, seed);

    double[][] whole = ReferenceForward.logits(config, weights, TOKENS);
    double[][] start = ReferenceForward.logits(config, weights, Arrays.copyOf(TOKENS, 5));

    assertThat(Arrays.copyOf(whole, 5)).isDeepEqualTo(start);
  }

  @Test
  void aWindowHidesWhatIsOlderAndAWideOneNothing() {
    Weights weights = null;
    double[][] full = null;
    for (int window : new int[] {0, TOKENS.length, 3}) {
      ModelConfig config =
          config(
              Architecture.MISTRAL,
              16,
              8,
              12,
              1,
              2,
              4,
              null,
              window == 0 ? OptionalInt.empty() : OptionalInt.of(window),
              false);
      weights = weights == null ? RandomModel.variedWeights(config, 2) : weights;
      double[][] logits = ReferenceForward.logits(config, weights, TOKENS);
      full = full == null ? logits : full;
      if (window == 3) {
        assertThat(Arrays.copyOf(logits, 3)).isDeepEqualTo(Arrays.copyOf(full, 3));
        assertThat(logits[3]).isNotEqualTo(full[3]);
        int[] otherPast = TOKENS.clone();
        otherPast[0] = 15;
        // One layer: position 3 sees 1 to 3 only.
        assertThat(ReferenceForward.logits(config, weights, otherPast)[3]).isEqualTo(logits[3]);
      } else {
        assertThat(logits).isDeepEqualTo(full);
      }
    }
  }

  @Test
  void sharedKeyHeadsAreRepeatedHeads() {
    ModelConfig grouped =
        config(Architecture.QWEN2, 16, 8, 12, 2, 4, 4, null, OptionalInt.empty(), false, 2);
    ModelConfig repeated =
        config(Architecture.QWEN2, 16, 8, 12, 2, 4, 4, null, OptionalInt.empty(), false, 4);
    Weights weights = RandomModel.variedWeights(grouped, 4);
    Weights expanded =
        mapped(
            repeated,
            (name, shape) -> {
              float[] floats = weights.floats(name);
              boolean keyOrValue = name.contains("k_proj") || name.contains("v_proj");
              return keyOrValue ? repeatHeads(floats, 4, floats.length / 8) : floats;
            });

    assertThat(ReferenceForward.logits(repeated, expanded, TOKENS))
        .isDeepEqualTo(ReferenceForward.logits(grouped, weights, TOKENS));
  }

  @Test
  void tiedHeadIsTheEmbedding() {
    ModelConfig tied =
        config(Architecture.LLAMA, 16, 8, 12, 1, 2, 4, null, OptionalInt.empty(), true);
    ModelConfig untied =
        config(Architecture.LLAMA, 16, 8, 12, 1, 2, 4, null, OptionalInt.empty(), false);
    Weights weights = RandomModel.variedWeights(tied, 6);
    Weights copied =
        mapped(
            untied,
            (name, shape) ->
                weights.floats(name.equals(TensorNames.HEAD) ? TensorNames.EMBEDDING : name));

    assertThat(ReferenceForward.logits(untied, copied, TOKENS))
        .isDeepEqualTo(ReferenceForward.logits(tied, weights, TOKENS));
  }

  @Test
  void linearScalingStretchesPositions() {
    double[] plain =
        RotaryFrequencies.radiansPerPosition(
            config(Architecture.LLAMA, 16, 8, 12, 1, 2, 8, null, OptionalInt.empty(), true));
    double[] linear =
        RotaryFrequencies.radiansPerPosition(
            config(
                Architecture.LLAMA,
                16,
                8,
                12,
                1,
                2,
                8,
                new RopeScaling(RopeScaling.Kind.LINEAR, 4, 0, 0, 0),
                OptionalInt.empty(),
                true));

    assertThat(plain).containsExactly(new double[] {1, 0.1, 0.01, 0.001}, within(1e-15));
    for (int i = 0; i < plain.length; i++) {
      assertThat(linear[i]).isEqualTo(plain[i] / 4);
    }
  }

  @Test
  void llama3ScalingKeepsShortWavesStretchesLongOnesAndBlendsBetween() {
    double[] radians =
        RotaryFrequencies.radiansPerPosition(
            config(
                Architecture.LLAMA,
                16,
                8,
                12,
                1,
                2,
                8,
                new RopeScaling(RopeScaling.Kind.LLAMA3, 8, 1, 4, 100),
                OptionalInt.empty(),
                true));

    // Turns within 100 positions: 15.9, 1.59, 0.159 and 0.0159; the bounds are 4 and 1.
    double kept = (100 * 0.1 / (2 * Math.PI) - 1) / 3;
    assertThat(radians[0]).isEqualTo(1);
    assertThat(radians[1]).isCloseTo(0.1 * (kept + (1 - kept) / 8), within(1e-15));
    assertThat(radians[2]).isCloseTo(0.01 / 8, within(1e-15));
    assertThat(radians[3]).isCloseTo(0.001 / 8, within(1e-15));
  }

  @Test
  void everyPartOfTheModelTellsInTheLogits() {
    for (Architecture architecture : Architecture.values()) {
      ModelConfig config = RandomModel.config(architecture, 21);
      Weights weights = RandomModel.variedWeights(config, 21);
      double[] before = last(ReferenceForward.logits(config, weights, TOKENS));
      for (TensorInfo tensor : weights.tensors()) {
        Weights changed =
            mapped(
                config,
                (name, shape) -> {
                  float[] floats = weights.floats(name);
                  if (name.equals(tensor.name())) {
                    for (int i = 0; i < floats.length; i++) {
                      floats[i] += 0.3f * ((i % 3) - 1);
                    }
                  }
                  return floats;
                });
        // A key bias alone shifts all scores of a query alike, so it may hide; not with rotation.
        assertThat(last(ReferenceForward.logits(config, changed, TOKENS)))
            .as("%s %s", architecture, tensor.name())
            .isNotEqualTo(before);
      }
    }
  }

  @Test
  void logSoftmaxSumsToOneAndStandsLargeLogits() {
    double[] logprobs = ReferenceForward.logSoftmax(new double[] {1000, 1001, -1000});

    assertThat(Math.exp(logprobs[0]) + Math.exp(logprobs[1])).isCloseTo(1, within(1e-12));
    assertThat(logprobs[1] - logprobs[0]).isCloseTo(1, within(1e-12));
    assertThat(ReferenceForward.argmax(logprobs)).isEqualTo(1);
  }

  @Test
  void idsOutsideTheVocabularyAreRefused() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 1);
    Weights weights = RandomModel.weights(config, 1);

    for (int[] ids : List.of(new int[0], new int[] {-1}, new int[] {config.vocabularySize()})) {
      assertThatThrownBy(() -> ReferenceForward.logits(config, weights, ids))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("token id");
    }
  }

  private static double[] normed(double x, double y, double epsilon) {
    double root = Math.sqrt((x * x + y * y) / 2 + epsilon);
    return new double[] {x / root, y / root};
  }

  private static double[] last(double[][] rows) {
    return rows[rows.length - 1];
  }

  private static float[] repeatHeads(float[] floats, int headSize, int columns) {
    int head = headSize * columns;
    float[] repeated = new float[floats.length * 2];
    for (int i = 0; i < floats.length / head; i++) {
      System.arraycopy(floats, i * head, repeated, 2 * i * head, head);
      System.arraycopy(floats, i * head, repeated, (2 * i + 1) * head, head);
    }
    return repeated;
  }

  private static MemoryWeights mapped(
      ModelConfig config, BiFunction<String, List<Long>, float[]> values) {
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      builder.floats(
          tensor.name(),
          tensor.shape().stream().mapToLong(Long::longValue).toArray(),
          values.apply(tensor.name(), tensor.shape()));
    }
    return builder.build();
  }

  private static ModelConfig config(
      Architecture architecture,
      int vocabulary,
      int hidden,
      int intermediate,
      int layers,
      int heads,
      int headSize,
      RopeScaling scaling,
      OptionalInt window,
      boolean tied) {
    return config(
        architecture,
        vocabulary,
        hidden,
        intermediate,
        layers,
        heads,
        headSize,
        scaling,
        window,
        tied,
        heads);
  }

  private static ModelConfig config(
      Architecture architecture,
      int vocabulary,
      int hidden,
      int intermediate,
      int layers,
      int heads,
      int headSize,
      RopeScaling scaling,
      OptionalInt window,
      boolean tied,
      int keyValueHeads) {
    return new ModelConfig(
        architecture,
        vocabulary,
        hidden,
        intermediate,
        layers,
        heads,
        keyValueHeads,
        headSize,
        256,
        1e-5,
        10_000,
        scaling,
        tied,
        architecture == Architecture.QWEN2,
        architecture == Architecture.QWEN3,
        window,
        OptionalInt.empty(),
        List.of(0));
  }
}
