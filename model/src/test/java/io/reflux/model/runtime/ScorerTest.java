package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Int8;
import io.reflux.model.reference.ReferenceForward;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ScorerTest {
  /** Absolute, of a log-prob: float32 against double, over three layers. */
  private static final double TOLERANCE = 1e-4;

  @ParameterizedTest
  @EnumSource
  void scoresAreThoseOfTheDoubleForward(SmallModels model) {
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    int[] tokens = model.tokens(23, 1);
    int[] support = IntStream.range(0, 20 * 3).map(i -> (i * 7) % 50).toArray();
    Scores scores;
    try (Scorer scorer = new Scorer(model.config(), weights, 6, RuntimeOptions.DEFAULT)) {
      scores = scorer.score(List.of(new ScoreRequest(tokens, 3, support, 3))).get(0);
    }
    assertThat(scores.rows()).isEqualTo(20);
    assertScores(scores, tokens, 3, support, logprobs(model.config(), weights, tokens), TOLERANCE);
  }

  @ParameterizedTest
  @EnumSource
  void aSequenceScoresTheSameAloneAndInARaggedBatch(SmallModels model) {
    for (boolean quantised : new boolean[] {false, true}) {
      Weights weights = RandomModel.variedWeights(model.config(), 7);
      weights = quantised ? Int8.quantise(model.config(), weights) : weights;
      List<ScoreRequest> requests = new ArrayList<>();
      for (int i = 0; i < 9; i++) {
        requests.add(ScoreRequest.of(model.tokens(3 + 5 * i % 31, i), 1 + i % 2));
      }
      try (Scorer scorer = new Scorer(model.config(), weights, 4, RuntimeOptions.DEFAULT)) {
        List<Scores> together = scorer.score(requests);
        for (int i = 0; i < requests.size(); i++) {
          Scores alone = scorer.score(List.of(requests.get(i))).get(0);
          assertThat(together.get(i)).usingRecursiveComparison().isEqualTo(alone);
        }
      }
    }
  }

  private static double[][] logprobs(ModelConfig config, Weights weights, int[] tokens) {
    return Arrays.stream(ReferenceForward.logits(config, weights, tokens))
        .map(ReferenceForward::logSoftmax)
        .toArray(double[][]::new);
  }

  private static void assertScores(
      Scores scores, int[] tokens, int first, int[] support, double[][] truth, double tolerance) {
    int k = scores.k();
    int columns = support.length / scores.rows();
    for (int row = 0; row < scores.rows(); row++) {
      double[] logprobs = truth[first + row - 1];
      Integer[] order = IntStream.range(0, logprobs.length).boxed().toArray(Integer[]::new);
      Arrays.sort(order, Comparator.comparingDouble(id -> -logprobs[id]));
      double tail = 0;
      double entropy = 0;
      for (int i = 0; i < logprobs.length; i++) {
        tail += i < k ? 0 : Math.exp(logprobs[order[i]]);
        entropy -= Math.exp(logprobs[i]) * logprobs[i];
      }
      for (int i = 0; i < k; i++) {
        int id = scores.topIds()[row * k + i];
        double logprob = scores.topLogprobs()[row * k + i];
        assertThat(logprob).isCloseTo(logprobs[id], within(tolerance));
        assertThat(logprob).isCloseTo(logprobs[order[i]], within(tolerance));
      }
      for (int i = 0; i < columns; i++) {
        int id = support[row * columns + i];
        assertThat((double) scores.supportLogprobs()[row * columns + i])
            .isCloseTo(logprobs[id], within(tolerance));
      }
      assertThat((double) scores.tokenLogprobs()[row])
          .isCloseTo(logprobs[tokens[first + row]], within(tolerance));
      assertThat((double) scores.tailLogMass()[row]).isCloseTo(Math.log(tail), within(tolerance));
      assertThat((double) scores.entropy()[row]).isCloseTo(entropy, within(tolerance));
    }
  }
}
