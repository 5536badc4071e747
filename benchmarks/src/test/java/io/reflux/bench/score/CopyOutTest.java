package io.reflux.bench.score;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.bench.score.BareSession.Inputs;
import io.reflux.bench.score.BareSession.Sequence;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CopyOutTest {
  /** A race between ways that give different answers would say nothing. */
  @ParameterizedTest
  @EnumSource
  void saysWhatTheGraphSays(CopyOut.Way way) throws Exception {
    ModelConfig config = new RandomTeachers.Size(700, 32, 64, 2, 4, 2, 64).config(List.of(0));
    Weights weights = RandomModel.variedWeights(config, 3);
    Random random = new Random(3);
    List<int[]> batch =
        IntStream.of(20, 9, 14).mapToObj(n -> random.ints(n, 0, 700).toArray()).toList();
    int k = 7;
    try (Scorer scorer = new Scorer(config, weights, k, RuntimeOptions.DEFAULT);
        CopyOut copyOut = new CopyOut(config, weights, k, way)) {
      List<Scores> expected =
          scorer.score(batch.stream().map(ids -> ScoreRequest.of(ids, 2)).toList());
      Scores scores =
          copyOut.score(Inputs.of(batch.stream().map(ids -> new Sequence(ids, 2)).toList()));
      int row = 0;
      for (Scores one : expected) {
        for (int i = 0; i < one.rows(); i++, row++) {
          for (int j = 0; j < k; j++) {
            assertThat(scores.topIds()[row * k + j]).isEqualTo(one.topIds()[i * k + j]);
            close(scores.topLogprobs()[row * k + j], one.topLogprobs()[i * k + j]);
          }
          close(scores.tailLogMass()[row], one.tailLogMass()[i]);
          close(scores.tokenLogprobs()[row], one.tokenLogprobs()[i]);
          close(scores.entropy()[row], one.entropy()[i]);
        }
      }
      assertThat(row).isEqualTo(scores.rows());
    }
  }

  private static void close(float actual, float expected) {
    assertThat(actual).isCloseTo(expected, within(1e-4f));
  }
}
