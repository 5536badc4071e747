package io.reflux.bench.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.bench.labels.Distributions.Kind;
import io.reflux.bench.labels.Distributions.Row;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DistributionsTest {
  private static final int VOCABULARY = 4000;

  @Test
  void sameSeedGivesSameRows() {
    Row first = new Distributions(VOCABULARY, 5).rows(2, Kind.ZIPF).get(1);
    Row second = new Distributions(VOCABULARY, 5).rows(2, Kind.ZIPF).get(1);
    assertThat(first.teacher()).containsExactly(second.teacher());
    assertThat(first.student()).containsExactly(second.student());
    assertThat(first.token()).isEqualTo(second.token());
  }

  @Test
  void entropiesAreAsPublished() {
    List<Row> responses = new Distributions(VOCABULARY, 1).rows(300, Kind.EVEN);
    assertThat(share(responses, 0, 0.01)).isBetween(0.4, 0.6);
    assertThat(share(responses, 0.672, 20)).isBetween(0.15, 0.25);
    List<Row> text = new Distributions(VOCABULARY, 1).rows(100, Kind.TEXT);
    assertThat(share(text, 0, 0.01)).isLessThan(0.05);
    assertThat(share(text, 0.672, 20)).isGreaterThan(0.6);
    for (Row row : text) {
      assertThat(Arrays.stream(row.teacher()).sum()).isCloseTo(1, within(1e-9));
      assertThat(Arrays.stream(row.student()).sum()).isCloseTo(1, within(1e-9));
    }
  }

  private static double share(List<Row> rows, double from, double to) {
    long inside = rows.stream().filter(row -> row.entropy() >= from && row.entropy() < to).count();
    return (double) inside / rows.size();
  }

  @Test
  void zipfPrefersLowIds() {
    assertThat(meanOfTop(Kind.ZIPF)).isLessThan(meanOfTop(Kind.EVEN) / 2);
  }

  private static double meanOfTop(Kind kind) {
    return new Distributions(VOCABULARY, 1)
        .rows(10, kind).stream()
            .flatMapToInt(row -> Arrays.stream(Blocks.largest(row.teacher(), 20)))
            .average()
            .orElseThrow();
  }

  @Test
  void largestAreLikeASortsFirst() {
    double[] values = new Random(2).doubles(300).toArray();
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int[] ids = Blocks.largest(values, 10);
    for (int i = 0; i < ids.length; i++) {
      assertThat(values[ids[i]]).isEqualTo(sorted[sorted.length - 1 - i]);
    }
  }

  @Test
  void drawsFollowProbabilities() {
    Draws draws = new Draws(new double[] {0, 0.5, 0, 0.25, 0.25, 0});
    int[] counts = new int[6];
    for (int id : draws.next(20_000, new Random(3))) {
      counts[id]++;
    }
    assertThat(counts[0] + counts[2] + counts[5]).isZero();
    assertThat(counts[1]).isBetween(9_700, 10_300);
    assertThat(counts[3]).isBetween(4_700, 5_300);
  }
}
