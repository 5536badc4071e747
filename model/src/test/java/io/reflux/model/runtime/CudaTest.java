package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assumptions.assumeThat;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtProvider;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.opentest4j.TestAbortedException;

/** Skipped unless {@code ./mvnw -Pcuda} runs it on a machine with a GPU of compute capability 8. */
class CudaTest {
  @BeforeAll
  static void aDeviceIsThere() {
    assumeThat(OrtEnvironment.getAvailableProviders()).contains(OrtProvider.CUDA);
    ModelConfig config = SmallModels.QWEN2_WITH_BIAS.config();
    try (Scorer scorer =
        new Scorer(config, RandomModel.weights(config, 1), 1, RuntimeOptions.of(1, "cuda"))) {
      assertThat(scorer.k()).isOne();
    } catch (ModelException e) {
      throw new TestAbortedException(e.getMessage(), e);
    }
  }

  /** Absolute, of a log-prob: bfloat16 has three bits less than float16. */
  @ParameterizedTest
  @CsvSource({"F16, 0.08", "BF16, 0.6"})
  void scoresAndStepsAreNearTheDoubleForward(Precision precision, double tolerance)
      throws OrtException {
    RuntimeOptions options = new RuntimeOptions(1, Device.parse("cuda"), precision);
    for (SmallModels model : SmallModels.values()) {
      ModelConfig config = model.config();
      Weights weights = RandomModel.variedWeights(config, 7);
      int[] tokens = model.tokens(23, 1);
      double[][] logits = ReferenceForward.logits(config, weights, tokens);
      try (Scorer scorer = new Scorer(config, weights, config.vocabularySize(), options);
          DecodeSession decode =
              new DecodeSession(config, weights, new EngineOptions(2, 32), 8, options)) {
        Scores scores = scorer.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
        float[] decoded = new float[config.vocabularySize()];
        decode.prefill(0, tokens, 0, 6);
        for (int t = 0; t < tokens.length - 1; t++) {
          double[] truth = ReferenceForward.logSoftmax(logits[t]);
          if (t >= 6) {
            decode.feed(0, tokens[t], t);
            decode.step(1);
          }
          decode.logprobs(0, decoded);
          for (int i = 0; i < truth.length; i++) {
            int at = t * scores.k() + i;
            assertThat((double) scores.topLogprobs()[at])
                .isCloseTo(truth[scores.topIds()[at]], within(tolerance));
            if (t >= 5) {
              assertThat((double) decoded[i]).isCloseTo(truth[i], within(tolerance));
            }
          }
        }
      }
    }
  }
}
