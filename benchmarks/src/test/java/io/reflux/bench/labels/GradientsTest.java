package io.reflux.bench.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.bench.labels.Distributions.Kind;
import io.reflux.bench.labels.Distributions.Row;
import io.reflux.bench.labels.Gradients.Comparison;
import io.reflux.model.divergence.Buckets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

class GradientsTest {
  private static final int VOCABULARY = 500;
  private static final Offset<Double> ROUNDING = within(1e-12);

  private final List<Row> rows = new Distributions(VOCABULARY, 7).rows(20, Kind.TEXT);

  @Test
  void bucketsAgreeWithTheReference() {
    for (Row row : rows) {
      int[] ids = Blocks.largest(row.teacher(), 12);
      double[] logprobs = logprobs(row, ids);
      double tail = Math.log(Blocks.massOutside(row.teacher(), ids));
      double[] logits = Arrays.stream(row.student()).map(Math::log).toArray();
      assertThat(Gradients.buckets(ids, logprobs, tail, row.student()))
          .containsExactly(Buckets.forwardKlGradient(ids, logprobs, tail, logits), within(1e-9));
    }
  }

  @Test
  void namingEveryIdLeavesNoBias() {
    for (Row row : rows) {
      int[] ids = IntStream.range(0, VOCABULARY).toArray();
      double[] truth = Gradients.full(row.teacher(), row.student());
      assertThat(
              Gradients.buckets(ids, logprobs(row, ids), Double.NEGATIVE_INFINITY, row.student()))
          .containsExactly(truth, ROUNDING);
      assertThat(Gradients.renormalised(ids, logprobs(row, ids), row.student()))
          .containsExactly(truth, ROUNDING);
    }
  }

  @Test
  void countsComeToTheTruthOverManyDraws() {
    Random random = new Random(1);
    Comparison few = new Comparison();
    Comparison many = new Comparison();
    for (Row row : rows) {
      double[] truth = Gradients.full(row.teacher(), row.student());
      few.add(truth, drawn(row, 50, random));
      many.add(truth, drawn(row, 50_000, random));
    }
    assertThat(many.angle()).isLessThan(few.angle() / 10);
    assertThat(many.norm()).isCloseTo(1, within(0.05));
  }

  @Test
  void comparesAnglesAndLengths() {
    Comparison comparison = new Comparison();
    comparison.add(new double[] {1, 0}, new double[] {0, 2});
    comparison.add(new double[] {1, 0}, new double[] {2, 0});
    assertThat(comparison.meanAngle()).isCloseTo(45, ROUNDING);
    assertThat(comparison.angle()).isCloseTo(60, within(1e-9));
    assertThat(comparison.norm()).isCloseTo(2, ROUNDING);
  }

  private static double[] drawn(Row row, int draws, Random random) {
    int[] ids = new Draws(row.teacher()).next(draws, random);
    int[] ones = new int[draws];
    Arrays.fill(ones, 1);
    return Gradients.counts(ids, ones, draws, row.student());
  }

  private static double[] logprobs(Row row, int[] ids) {
    return Arrays.stream(ids).mapToDouble(id -> Math.log(row.teacher()[id])).toArray();
  }
}
