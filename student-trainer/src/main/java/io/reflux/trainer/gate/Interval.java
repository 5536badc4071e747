package io.reflux.trainer.gate;

import java.util.Map;
import org.apache.commons.statistics.distribution.TDistribution;

/**
 * An estimate and its confidence interval.
 *
 * @param low infinite, as {@code high}, from a single sequence
 */
public record Interval(double estimate, double low, double high) {
  /** Confidence of an interval that stands alone. */
  static final double CONFIDENCE = 0.95;

  /**
   * Interval of the mean of something a row, where rows of one sequence are not independent of each
   * other but sequences are: a ratio of sums over sequences. Its variance is that of the delete-one
   * jackknife (Tukey 1958; Cochran, Sampling Techniques, 1977, section 6.17), which with few
   * sequences of unlike length errs on the wide side where linearisation is too narrow; its shape
   * Student's t with one degree of freedom less than there are sequences, a few long ones among
   * them counting for as many as they are worth (Kish's effective number, the squared sum of rows
   * over the sum of squares). No draws: equal input gives equal bits.
   *
   * @param sums [sequences], of each one's rows
   * @param rows [sequences], 1 or more each
   * @param confidence that the interval holds what it estimates, 0 to 1
   */
  static Interval ofRatio(double[] sums, long[] rows, double confidence) {
    int sequences = sums.length;
    double total = 0;
    long allRows = 0;
    double squaredRows = 0;
    for (int i = 0; i < sequences; i++) {
      total += sums[i];
      allRows += rows[i];
      squaredRows += (double) rows[i] * rows[i];
    }
    double ratio = total / allRows;
    if (sequences < 2) {
      return new Interval(ratio, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY);
    }
    // Without sequence i the ratio moves by this much: no difference of nearly equal quotients.
    double[] moves = new double[sequences];
    double mean = 0;
    for (int i = 0; i < sequences; i++) {
      moves[i] = (ratio * rows[i] - sums[i]) / (allRows - rows[i]);
      mean += moves[i] / sequences;
    }
    double squares = 0;
    for (double move : moves) {
      squares += (move - mean) * (move - mean);
    }
    if (squares == 0) {
      return new Interval(ratio, ratio, ratio);
    }
    double error = Math.sqrt(squares * (sequences - 1) / sequences);
    double degreesOfFreedom = (double) allRows * allRows / squaredRows - 1;
    double quantile =
        TDistribution.of(degreesOfFreedom).inverseSurvivalProbability((1 - confidence) / 2);
    return new Interval(ratio, ratio - quantile * error, ratio + quantile * error);
  }

  /** Of what has the opposite sign. */
  Interval negated() {
    return new Interval(-estimate, -high, -low);
  }

  /** As a map of figures carries it; nothing of one that is not finite. */
  void addTo(Map<String, Double> figures, String name) {
    if (Double.isFinite(low) && Double.isFinite(high)) {
      figures.put(name, estimate);
      figures.put(name + "_low", low);
      figures.put(name + "_high", high);
    }
  }
}
