package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DrawsInGraphTest {
  @ParameterizedTest
  @CsvSource({"61, 1", "61, 12", "1000, 2", "1000, 10", "5003, 6"})
  void drawsFollowTheReferenceDistribution(int vocabularySize, float sureness) {
    ModelConfig config = SmallModels.withVocabulary(vocabularySize);
    Weights weights = sure(config, sureness);
    int[] tokens = new Random(3).ints(3, 0, vocabularySize).toArray();
    double[][] logits = ReferenceForward.logits(config, weights, tokens);
    int draws = 4096;
    int passes = 12;
    long[][] counts = new long[2][vocabularySize];
    try (Scorer scorer =
        new Scorer(config, weights, new ScorerOptions(5, draws), RuntimeOptions.DEFAULT)) {
      for (int pass = 0; pass < passes; pass++) {
        ScoreRequest request = new ScoreRequest(tokens, 1, new int[0], 0, 1000 + pass);
        Scores scores = scorer.score(List.of(request)).get(0);
        assertThat(scores.draws()).isEqualTo(draws);
        for (int i = 0; i < 2 * draws; i++) {
          counts[i / draws][scores.drawnIds()[i]]++;
        }
      }
    }
    for (int row = 0; row < 2; row++) {
      double[] logprobs = ReferenceForward.logSoftmax(logits[row]);
      assertThat(chiSquareDeviations(counts[row], logprobs, (long) draws * passes))
          .isBetween(-4.0, 4.0);
    }
  }

  @ParameterizedTest
  @CsvSource({"0.5", "3"})
  void drawsAtATemperatureFollowTheReferenceDistributionAtIt(double temperature) {
    int vocabularySize = 1000;
    ModelConfig config = SmallModels.withVocabulary(vocabularySize);
    Weights weights = sure(config, 6);
    int[] tokens = {3, 500, 7};
    double[] logits =
        Arrays.stream(ReferenceForward.logits(config, weights, tokens)[0])
            .map(logit -> logit / temperature)
            .toArray();
    int draws = 4096;
    int passes = 12;
    long[] counts = new long[vocabularySize];
    try (Scorer scorer =
        new Scorer(config, weights, new ScorerOptions(5, draws), RuntimeOptions.DEFAULT)) {
      for (int pass = 0; pass < passes; pass++) {
        ScoreRequest request = new ScoreRequest(tokens, 1, new int[0], 0, 1000 + pass, temperature);
        int[] drawn = scorer.score(List.of(request)).get(0).drawnIds();
        for (int i = 0; i < draws; i++) {
          counts[drawn[i]]++;
        }
      }
    }
    assertThat(
            chiSquareDeviations(counts, ReferenceForward.logSoftmax(logits), (long) draws * passes))
        .isBetween(-4.0, 4.0);
  }

  @Test
  void drawsDependOnSeedAndPositionAlone() {
    SmallModels model = SmallModels.QWEN3_WITH_HEAD_NORMS_AND_WIDE_HEADS;
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    int[] tokens = model.tokens(30, 1);
    ScoreRequest asked = new ScoreRequest(tokens, 4, new int[0], 0, 77);
    try (Scorer scorer =
        new Scorer(model.config(), weights, new ScorerOptions(3, 50), RuntimeOptions.DEFAULT)) {
      Scores alone = scorer.score(List.of(asked)).get(0);
      List<ScoreRequest> batch = new ArrayList<>();
      for (int i = 0; i < 6; i++) {
        batch.add(new ScoreRequest(model.tokens(3 + 11 * i, i), 1, new int[0], 0, i));
      }
      batch.add(4, asked);
      assertThat(scorer.score(batch).get(4).drawnIds()).isEqualTo(alone.drawnIds());

      ScoreRequest later = new ScoreRequest(tokens, 20, new int[0], 0, 77);
      assertThat(scorer.score(List.of(later)).get(0).drawnIds())
          .isEqualTo(Arrays.copyOfRange(alone.drawnIds(), 16 * 50, 26 * 50));

      ScoreRequest otherwise = new ScoreRequest(tokens, 4, new int[0], 0, 78);
      assertThat(scorer.score(List.of(otherwise)).get(0).drawnIds()).isNotEqualTo(alone.drawnIds());
    }
  }

  @Test
  void idsOfNoProbabilityAreNeverDrawn() {
    // No multiple of a block, and so sure that most probabilities are 0 in float32.
    ModelConfig config = SmallModels.withVocabulary(1003);
    Weights weights = sure(config, 3000);
    int[] tokens = new Random(3).ints(100, 0, 1003).toArray();
    int[] support = new int[99 * 1003];
    Arrays.setAll(support, i -> i % 1003);
    try (Scorer scorer =
        new Scorer(config, weights, new ScorerOptions(2, 200), RuntimeOptions.DEFAULT)) {
      Scores scores = scorer.score(List.of(new ScoreRequest(tokens, 1, support, 1003, 5))).get(0);
      Set<Integer> rowsWithZeros = new HashSet<>();
      for (int row = 0; row < 99; row++) {
        for (int i = 0; i < 200; i++) {
          int id = scores.drawnIds()[row * 200 + i];
          assertThat(id).isBetween(0, 1002);
          assertThat(scores.supportLogprobs()[row * 1003 + id]).isGreaterThan(-30f);
        }
        for (int id = 0; id < 1003; id++) {
          if (scores.supportLogprobs()[row * 1003 + id] < -110) {
            rowsWithZeros.add(row);
          }
        }
      }
      assertThat(rowsWithZeros).hasSizeGreaterThan(90);
    }
  }

  @Test
  void withoutDrawsThereAreNone() {
    SmallModels model = SmallModels.QWEN2_WITH_BIAS;
    Weights weights = RandomModel.variedWeights(model.config(), 7);
    try (Scorer scorer = new Scorer(model.config(), weights, 3, RuntimeOptions.DEFAULT)) {
      Scores scores = scorer.score(List.of(ScoreRequest.of(model.tokens(4, 1), 1))).get(0);
      assertThat(scores.draws()).isZero();
      assertThat(scores.drawnIds()).isEmpty();
    }
    assertThatThrownBy(() -> new ScorerOptions(3, -1))
        .isInstanceOf(ModelException.class)
        .hasMessage("draws: -1 (expected: 0 to 4096)");
    assertThatThrownBy(() -> new ScorerOptions(0, 1))
        .isInstanceOf(ModelException.class)
        .hasMessage("k: 0 (expected: at least 1)");
  }

  /** Weights whose logits are so many times as large. */
  private static Weights sure(ModelConfig config, float sureness) {
    Weights weights = RandomModel.variedWeights(config, 9);
    MemoryWeights.Builder sure = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      float[] floats = weights.floats(tensor.name());
      if (tensor.name().equals(TensorNames.FINAL_NORM)) {
        for (int i = 0; i < floats.length; i++) {
          floats[i] *= sureness;
        }
      }
      sure.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    return sure.build();
  }

  /** Distance of chi-square from its mean in standard deviations; rare ids are one cell. */
  private static double chiSquareDeviations(long[] counts, double[] logprobs, long total) {
    double chiSquare = 0;
    double restExpected = 0;
    long restCount = 0;
    int cells = 0;
    for (int id = 0; id < counts.length; id++) {
      double expected = Math.exp(logprobs[id]) * total;
      if (expected < 8) {
        restExpected += expected;
        restCount += counts[id];
      } else {
        chiSquare += (counts[id] - expected) * (counts[id] - expected) / expected;
        cells++;
      }
    }
    if (restExpected >= 1) {
      chiSquare += (restCount - restExpected) * (restCount - restExpected) / restExpected;
      cells++;
    } else {
      assertThat(restCount).isLessThan(8);
    }
    assertThat(cells).isGreaterThan(1);
    return (chiSquare - (cells - 1)) / Math.sqrt(2.0 * (cells - 1));
  }
}
