package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.onnxruntime.OrtException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;

/** Both graphs against the double forward, over whatever shapes the family allows. */
class RandomModelsTest {
  /** Absolute, of a log-prob: float32 against double, over up to three layers. */
  private static final double TOLERANCE = 2e-4;

  @Property(tries = 40)
  void bothGraphsAreTheDoubleForward(
      @ForAll Architecture architecture, @ForAll @LongRange(min = 0, max = 100_000) long seed)
      throws OrtException {
    ModelConfig config = RandomModel.config(architecture, seed);
    Weights weights = RandomModel.variedWeights(config, seed);
    int[] tokens = new Random(seed).ints(17, 0, config.vocabularySize()).toArray();
    double[][] logits = ReferenceForward.logits(config, weights, tokens);
    try (Scorer scorer =
            new Scorer(config, weights, config.vocabularySize(), RuntimeOptions.DEFAULT);
        DecodeSession decode =
            new DecodeSession(
                config, weights, new EngineOptions(2, 32), 8, RuntimeOptions.DEFAULT)) {
      Scores scores = scorer.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
      float[] decoded = new float[config.vocabularySize()];
      decode.prefill(0, tokens, 0, 6);
      for (int t = 0; t < tokens.length - 1; t++) {
        double[] truth = ReferenceForward.logSoftmax(logits[t]);
        for (int i = 0; i < truth.length; i++) {
          int at = t * scores.k() + i;
          assertThat((double) scores.topLogprobs()[at])
              .isCloseTo(truth[scores.topIds()[at]], within(TOLERANCE));
        }
        if (t >= 6) {
          decode.feed(0, tokens[t], t);
          decode.step(1);
        }
        if (t >= 5) {
          decode.logprobs(0, decoded);
          for (int i = 0; i < truth.length; i++) {
            assertThat((double) decoded[i]).isCloseTo(truth[i], within(TOLERANCE));
          }
        }
      }
    }
  }
}
