package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

class SupportTailTest {
  private static final int VOCABULARY = 300;
  private static final int SUPPORT = 12;

  @Test
  void tailIsTheMassOutsideTheSupport() {
    ModelConfig config = SmallModels.withVocabulary(VOCABULARY);
    Weights weights = RandomModel.variedWeights(config, 4);
    int[] tokens = new Random(1).ints(40, 0, VOCABULARY).toArray();
    double[][] logits = ReferenceForward.logits(config, weights, tokens);
    Random random = new Random(2);
    int[] support = new int[39 * SUPPORT];
    for (int row = 0; row < 39; row++) {
      double[] logprobs = ReferenceForward.logSoftmax(logits[row]);
      for (int i = 0; i < SUPPORT; i++) {
        // Likely and unlikely ones, and now and then one of them twice.
        support[row * SUPPORT + i] =
            i % 3 == 0 ? ReferenceForward.argmax(logprobs) : random.nextInt(VOCABULARY);
      }
    }
    Scores scores;
    try (Scorer scorer = new Scorer(config, weights, 10, RuntimeOptions.DEFAULT)) {
      scores = scorer.score(List.of(new ScoreRequest(tokens, 1, support, SUPPORT))).get(0);
    }
    float[] tails = SupportTail.of(scores, support, SUPPORT);
    assertThat(tails).hasSize(39);
    for (int row = 0; row < 39; row++) {
      double[] logprobs = ReferenceForward.logSoftmax(logits[row]);
      Set<Integer> named = new HashSet<>();
      for (int i = 0; i < SUPPORT; i++) {
        named.add(support[row * SUPPORT + i]);
      }
      double rest = 0;
      for (int id = 0; id < VOCABULARY; id++) {
        rest += named.contains(id) ? 0 : Math.exp(logprobs[id]);
      }
      assertThat((double) tails[row]).isCloseTo(Math.log(rest), within(1e-4));
    }
  }

  @Test
  void tinyTailsAreKeptWhereTheSupportIsTheTop() {
    float tiny = -25f;
    Scores scores =
        new Scores(
            1,
            2,
            new int[] {7, 3},
            new float[] {-0.1f, -2.3522f},
            new float[] {tiny},
            new float[1],
            new float[1],
            new float[] {-2.3522f, -0.1f});
    assertThat(SupportTail.of(scores, new int[] {3, 7}, 2)).containsExactly(tiny);
  }

  @Test
  void noIdsLeaveEverythingAndAllLeaveNothing() {
    ModelConfig config = SmallModels.withVocabulary(VOCABULARY);
    Weights weights = RandomModel.variedWeights(config, 4);
    int[] all = new int[VOCABULARY];
    for (int id = 0; id < VOCABULARY; id++) {
      all[id] = id;
    }
    try (Scorer scorer = new Scorer(config, weights, VOCABULARY, RuntimeOptions.DEFAULT)) {
      int[] tokens = {1, 2};
      Scores none = scorer.score(List.of(ScoreRequest.of(tokens, 1))).get(0);
      assertThat((double) SupportTail.of(none, new int[0], 0)[0]).isCloseTo(0, within(1e-5));
      Scores whole = scorer.score(List.of(new ScoreRequest(tokens, 1, all, VOCABULARY))).get(0);
      assertThat(SupportTail.of(whole, all, VOCABULARY)).containsExactly(Float.NEGATIVE_INFINITY);
      assertThatThrownBy(() -> SupportTail.of(whole, all, 3))
          .isInstanceOf(ModelException.class)
          .hasMessage("support ids: 300 (expected: 3)");
    }
  }
}
