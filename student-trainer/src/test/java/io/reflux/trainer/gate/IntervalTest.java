package io.reflux.trainer.gate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class IntervalTest {
  private static final int TRIALS = 4000;

  /**
   * Rows of a sequence share most of their luck, sequences differ much in length, and a few are
   * much worse than the others: the interval must hold the truth about as often as it says. Chance
   * alone moves a share of 4000 trials by 0.007 (two standard errors), and no more room than 0.01
   * is given where amounts are symmetric, from eight sequences on. Of amounts of skewness 3, twenty
   * sequences seldom show the tail: 0.91 of 0.95 is what such an interval comes to, and 0.93 with
   * sixty.
   */
  @ParameterizedTest
  @CsvSource({
    // sequences, skewed amounts, confidence, at least, at most
    "8, false, 0.95, 0.94, 0.96",
    "20, false, 0.95, 0.94, 0.96",
    "60, false, 0.95, 0.94, 0.96",
    "400, false, 0.95, 0.94, 0.96",
    "20, true, 0.95, 0.90, 0.96",
    "60, true, 0.95, 0.92, 0.96",
    "400, true, 0.95, 0.94, 0.96",
    "60, false, 0.995, 0.99, 0.999",
    "60, true, 0.995, 0.97, 0.999"
  })
  void holdsTheTruthAsOftenAsItSays(
      int sequences, boolean skewed, double confidence, double least, double most) {
    Random random = new Random(20_261_121);
    double truth = 0.02;
    int held = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
      double[] sums = new double[sequences];
      long[] rows = new long[sequences];
      for (int i = 0; i < sequences; i++) {
        rows[i] = 1 + (long) (8 * Math.exp(0.8 * random.nextGaussian()));
        // Mean 0 and variance 1 both: the second is a log-normal's, of skewness 3.
        double luck =
            skewed
                ? (Math.exp(0.7 * random.nextGaussian()) - Math.exp(0.245)) / 1.015
                : random.nextGaussian();
        for (int row = 0; row < rows[i]; row++) {
          sums[i] += truth + 0.1 * luck + 0.1 * random.nextGaussian();
        }
      }
      Interval interval = Interval.ofRatio(sums, rows, confidence);
      held += interval.low() <= truth && truth <= interval.high() ? 1 : 0;
    }
    assertThat((double) held / TRIALS).isBetween(least, most);
  }

  @Test
  void isThatOfTheMeanWhereSequencesAreOfOneLength() {
    double[] sums = {1, 2, 3, 4, 10};
    Interval interval = Interval.ofRatio(sums, new long[] {2, 2, 2, 2, 2}, 0.95);
    // Means a row 0.5, 1, 1.5, 2, 5: mean 2, standard error 0.7906; t of 4 degrees 2.776.
    assertThat(interval.estimate()).isEqualTo(2, within(1e-12));
    assertThat(interval.low()).isEqualTo(2 - 2.7764 * 0.790569, within(1e-4));
    assertThat(interval.high()).isEqualTo(2 + 2.7764 * 0.790569, within(1e-4));
  }

  /** The number of standard errors depends on the lengths alone, so of two it cancels. */
  @Test
  void isTheDeleteOneJackknifeInPlainWords() {
    long[] rows = {3, 9, 4, 1};
    double[] sums = {0.4, -0.2, 1.7, 0.1};
    double[] others = {-3, 0.5, 0.2, 2};
    Interval interval = Interval.ofRatio(sums, rows, 0.95);
    Interval other = Interval.ofRatio(others, rows, 0.95);
    assertThat(interval.estimate()).isEqualTo(2.0 / 17, within(1e-12));
    assertThat(interval.high() - interval.estimate())
        .isEqualTo(interval.estimate() - interval.low(), within(1e-12));
    assertThat((interval.high() - interval.estimate()) / (other.high() - other.estimate()))
        .isEqualTo(jackknife(sums, rows) / jackknife(others, rows), within(1e-9));
  }

  private static double jackknife(double[] sums, long[] rows) {
    double[] without = new double[4];
    double mean = 0;
    for (int left = 0; left < 4; left++) {
      double sum = 0;
      double all = 0;
      for (int i = 0; i < 4; i++) {
        sum += i == left ? 0 : sums[i];
        all += i == left ? 0 : rows[i];
      }
      without[left] = sum / all;
      mean += without[left] / 4;
    }
    double squares = 0;
    for (double ratio : without) {
      squares += (ratio - mean) * (ratio - mean);
    }
    return Math.sqrt(squares * 3 / 4);
  }

  @Test
  void oneSequenceTellsNothingAndEqualOnesEverything() {
    Interval one = Interval.ofRatio(new double[] {3}, new long[] {2}, 0.95);
    assertThat(one.low()).isEqualTo(Double.NEGATIVE_INFINITY);
    assertThat(one.high()).isEqualTo(Double.POSITIVE_INFINITY);
    Interval none = Interval.ofRatio(new double[] {0, 0, 0}, new long[] {2, 5, 1}, 0.95);
    assertThat(none).isEqualTo(new Interval(0, 0, 0));
  }
}
