package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.pretrain.Shape;
import java.io.IOException;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class MemoryTest {
  private static final String SMALL = "hidden=64,layers=2,heads=4,kv-heads=2,ffn=176,vocab=512";
  private static final String MEDIUM = "hidden=256,layers=%d,heads=4,ffn=688,vocab=%d";

  /** Like lengths, unlike ones, checkpoints, half the bits, and a vocabulary that rules. */
  @ParameterizedTest
  @CsvSource({
    "4, 2048, 128, 128, 1024, 0, F32",
    "4, 2048, 10, 60, 1024, 2, F32",
    "4, 2048, 64, 64, 1536, 0, BF16",
    "1, 16000, 32, 32, 512, 0, F32"
  })
  void theEstimateIsNearTheMeasuredPeak(
      int layers,
      int vocabulary,
      int shortest,
      int longest,
      int tokens,
      int every,
      String precision)
      throws IOException, InterruptedException {
    Assumptions.assumeTrue(NativeMemoryProbe.possible());
    String shape = MEDIUM.formatted(layers, vocabulary);
    ModelOptions options =
        ModelOptions.DEFAULT.withCheckpointEvery(every).withPrecision(Precision.valueOf(precision));
    MemoryEstimate estimate = MemoryEstimate.of(config(shape), options, tokens, longest, 0);
    long measured =
        NativeMemoryProbe.run(
                true,
                shape,
                "" + shortest,
                "" + longest,
                "" + tokens,
                "2",
                "0",
                "" + every,
                precision)
            .get(0);
    assertThat((double) estimate.total())
        .as("%s, measured %d", estimate, measured)
        .isBetween(0.8 * measured, 1.25 * measured);
  }

  @Test
  void nativeMemoryStaysFlatOverStepsOfEverNewShapes() throws IOException, InterruptedException {
    Assumptions.assumeTrue(NativeMemoryProbe.possible());
    List<Long> grown =
        NativeMemoryProbe.run(false, SMALL, "4", "60", "300", "400", "100", "0", "F32");
    assertThat(grown).hasSize(4);
    // Of 200 steps after a warm-up; one batch of tensors that leaks a step would be ten times this.
    assertThat(grown.get(3) - grown.get(1)).as("%s", grown).isLessThan(8L << 20);
  }

  @Test
  void theLargestMicroBatchFitsAndOneTokenMoreDoesNot() {
    ModelConfig config = config(SMALL);
    for (int every : new int[] {0, 1}) {
      ModelOptions options = ModelOptions.DEFAULT.withCheckpointEvery(every);
      long budget = 256L << 20;
      int tokens = MemoryEstimate.largestMicroBatch(config, options, budget, 64, 8);
      assertThat(MemoryEstimate.of(config, options, tokens, 64, 8).total())
          .isLessThanOrEqualTo(budget);
      assertThat(MemoryEstimate.of(config, options, tokens + 1, 64, 8).total())
          .isGreaterThan(budget);
    }
    assertThatThrownBy(
            () -> MemoryEstimate.largestMicroBatch(config, ModelOptions.DEFAULT, 1 << 20, 64, 8))
        .isInstanceOf(ModelException.class)
        .hasMessageMatching("memory: 1 MiB \\(expected: at least \\d+ MiB, .* 64 tokens\\)");
  }

  @Test
  void checkpointsAndTheDiskSaveWhatTheySay() {
    ModelConfig config = config(MEDIUM.formatted(8, 4096));
    MemoryEstimate plain = MemoryEstimate.of(config, ModelOptions.DEFAULT, 4096, 128, 8);
    MemoryEstimate checkpointed =
        MemoryEstimate.of(config, ModelOptions.DEFAULT.withCheckpointEvery(1), 4096, 128, 8);
    assertThat(checkpointed.activations()).isLessThan(plain.activations() / 4);
    assertThat(checkpointed.weights()).isEqualTo(plain.weights());
    assertThat(plain.moments()).isEqualTo(2 * plain.gradients());
  }

  private static ModelConfig config(String shape) {
    Shape parsed = Shape.parse(shape);
    return parsed.config(parsed.vocabularySize().orElseThrow(), OptionalInt.empty(), List.of(0));
  }
}
