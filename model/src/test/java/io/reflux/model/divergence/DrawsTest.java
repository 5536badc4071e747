package io.reflux.model.divergence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.Scores;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DrawsTest {
  private static final int VOCABULARY = 24;

  @Test
  void theMeanOfManyEstimatesIsTheExactKl() {
    double[] p = distribution(1, 1.5);
    double[] q = distribution(2, 1.5);
    double exact = 0;
    double entropy = 0;
    for (int i = 0; i < VOCABULARY; i++) {
      exact += Math.exp(p[i]) * (p[i] - q[i]);
      entropy -= Math.exp(p[i]) * p[i];
    }
    int rows = 100_000;
    // So few that counts alone would be far off: their own entropy is too small by 0.4 nats.
    Draws draws = draw(p, rows, 10, (float) entropy);
    double[] estimates = new double[rows];
    double ofCounts = 0;
    float[] offsets = draws.klOffsets();
    Scores student = scores(q, draws);
    Result all = TeacherStudentDivergence.compare(draws, student, row -> true);
    for (int row = 0; row < rows; row++) {
      int only = row;
      estimates[row] =
          row < 2000
              ? TeacherStudentDivergence.compare(draws, student, r -> r == only).klSum()
              : Double.NaN;
      ofCounts += plugIn(draws, row, q);
      if (row < 2000) {
        assertThat(plugIn(draws, row, q) + offsets[row]).isEqualTo(estimates[row], within(1e-4));
      }
    }
    double spread =
        Math.sqrt(
            Arrays.stream(estimates, 0, 2000)
                .map(e -> Math.pow(e - all.klMean(), 2))
                .average()
                .orElseThrow());
    double standardError = spread / Math.sqrt(rows);
    assertThat(standardError).isLessThan(2e-3);
    assertThat(all.klMean()).isEqualTo(exact, within(4 * standardError));
    assertThat(ofCounts / rows).as("without the entropy").isGreaterThan(exact + 0.3);
    assertThat(all.klMax()).isGreaterThanOrEqualTo(all.klMean());
  }

  @Test
  void agreementIsOfTheMostDrawnAndAcceptanceIsLeftOut() {
    double[] q = distribution(2, 1);
    int best =
        IntStream.range(0, VOCABULARY).boxed().max(Comparator.comparingDouble(i -> q[i])).get();
    int other = (best + 1) % VOCABULARY;
    Draws draws =
        new Draws(
            2,
            5,
            new int[] {0, 2, 3},
            new int[] {best, other, other},
            new int[] {3, 2, 5},
            new float[2]);
    Result result = TeacherStudentDivergence.compare(draws, scores(q, draws), row -> true);
    assertThat(result.rows()).isEqualTo(2);
    assertThat(result.agreements()).isEqualTo(1);
    assertThat(result.acceptanceRows()).isZero();
    assertThat(result.acceptance()).isNaN();
    Result topK =
        new Result(2, 0, 0, 2, 1, 2); // two rows that tell: those that do not change nothing
    assertThat(topK.plus(result).acceptance()).isEqualTo(0.5);
    assertThat(topK.plus(result).agreement()).isEqualTo(0.75);
  }

  @Test
  void raggedRowsFillUpWithWhatHasNoShare() {
    Draws draws =
        new Draws(
            2,
            4,
            new int[] {0, 1, 4},
            new int[] {7, 5, 3, 9},
            new int[] {4, 2, 1, 1},
            new float[2]);
    assertThat(draws.supportSize()).isEqualTo(3);
    assertThat(draws.supportIds()).containsExactly(7, 7, 7, 5, 3, 9);
    float none = Float.NEGATIVE_INFINITY;
    float quarter = (float) Math.log(0.25);
    assertThat(draws.logShares())
        .containsExactly(0, none, none, (float) Math.log(0.5), quarter, quarter);
    assertThat(new Draws(0, 4, new int[1], new int[0], new int[0], new float[0]).supportIds())
        .isEmpty();
  }

  @Test
  void anUnknownEntropyIsNamedOnlyWhereItsRowCounts() {
    Draws draws =
        new Draws(
            2,
            1,
            new int[] {0, 1, 2},
            new int[] {1, 2},
            new int[] {1, 1},
            new float[] {Float.NaN, 0});
    Scores student = scores(distribution(1, 1), draws);
    assertThat(TeacherStudentDivergence.compare(draws, student, row -> row == 1).klSum())
        .isPositive();
    assertThatThrownBy(() -> TeacherStudentDivergence.compare(draws, student, row -> true))
        .isInstanceOf(ModelException.class)
        .hasMessage("teacher's entropy, row 0: unknown (expected: a number, for a KL from draws)");
  }

  @Test
  void countsThatAreNotAllDrawsAreNamed() {
    assertThatThrownBy(
            () -> new Draws(1, 4, new int[] {0, 1}, new int[] {1}, new int[] {3}, new float[1]))
        .isInstanceOf(ModelException.class)
        .hasMessage("draws, row 0: 3 counted (expected: 4, 1 or more)");
  }

  private static double[] distribution(long seed, double width) {
    Random random = new Random(seed);
    return ReferenceForward.logSoftmax(
        IntStream.range(0, VOCABULARY).mapToDouble(i -> random.nextGaussian() * width).toArray());
  }

  private static Draws draw(double[] p, int rows, int draws, float entropy) {
    Random random = new Random(3);
    int[] starts = new int[rows + 1];
    int[] ids = new int[rows * draws];
    int[] counts = new int[rows * draws];
    for (int row = 0; row < rows; row++) {
      int[] drawn = new int[VOCABULARY];
      for (int d = 0; d < draws; d++) {
        double left = random.nextDouble();
        int id = 0;
        while (id < VOCABULARY - 1 && (left -= Math.exp(p[id])) > 0) {
          id++;
        }
        drawn[id]++;
      }
      int[] order =
          IntStream.range(0, VOCABULARY)
              .filter(i -> drawn[i] > 0)
              .boxed()
              .sorted(Comparator.comparingInt(i -> -drawn[i]))
              .mapToInt(Integer::intValue)
              .toArray();
      starts[row + 1] = starts[row] + order.length;
      for (int i = 0; i < order.length; i++) {
        ids[starts[row] + i] = order[i];
        counts[starts[row] + i] = drawn[order[i]];
      }
    }
    float[] entropies = new float[rows];
    Arrays.fill(entropies, entropy);
    return new Draws(
        rows,
        draws,
        starts,
        Arrays.copyOf(ids, starts[rows]),
        Arrays.copyOf(counts, starts[rows]),
        entropies);
  }

  private static double plugIn(Draws draws, int row, double[] q) {
    double sum = 0;
    for (int i = draws.starts()[row]; i < draws.starts()[row + 1]; i++) {
      double share = (double) draws.counts()[i] / draws.draws();
      sum += share * (Math.log(share) - q[draws.ids()[i]]);
    }
    return sum;
  }

  /** A student of one distribution at every position. */
  private static Scores scores(double[] q, Draws draws) {
    int rows = draws.rows();
    int best =
        IntStream.range(0, VOCABULARY).boxed().max(Comparator.comparingDouble(i -> q[i])).get();
    int[] support = draws.supportIds();
    float[] logprobs = new float[support.length];
    for (int i = 0; i < support.length; i++) {
      logprobs[i] = (float) q[support[i]];
    }
    int[] top = new int[rows];
    Arrays.fill(top, best);
    float[] none = new float[rows];
    return new Scores(rows, 1, top, none, none, none, none, logprobs);
  }
}
