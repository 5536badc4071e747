package io.reflux.trainer;

/**
 * Tells when the stream has moved away from what the student has learned: the loss of sequences
 * that it sees for the first time, before it trains on them, rises against its own slow mean. A
 * one-sided CUSUM (Page, 1954) of losses in units of their spread: single outliers are cut, and a
 * loss that falls, as it does while the student learns, never counts.
 */
final class DriftDetector {
  /** Steps that mean and spread are first taken from. */
  private static final int LEAST = 30;

  /** Weight of a step in the slow mean and spread. */
  private static final double RATE = 0.01;

  /** Half the rise that should be found soonest, in units of the spread. */
  private static final double SLACK = 0.5;

  /** A step's loss counts for so many spreads at most. */
  private static final double CUT = 4;

  /** Least spread, relative to the mean. */
  private static final double LEAST_SPREAD = 0.02;

  private static final double LEAST_NATS = 1e-3;

  private final double threshold;
  private long seen;
  private double mean;
  private double variance;
  private double usualRows;
  private double sum;

  /**
   * @param threshold of the sum; 0 detects nothing. The mean number of steps between false alarms
   *     of independent normal losses is {@code 2·(e^b − b − 1)} with b = threshold + 1.166
   *     (Siegmund, 1985)
   */
  DriftDetector(double threshold) {
    this.threshold = threshold;
  }

  /**
   * Takes note of a step's fresh sequences.
   *
   * @param loss their mean, finite
   * @param rows that it is the mean of: fewer than usual tell less
   * @return whether the stream has moved; then it learns anew what is usual
   */
  boolean observe(double loss, long rows) {
    if (threshold == 0) {
      return false;
    }
    seen++;
    if (seen <= LEAST) {
      double off = loss - mean;
      mean += off / seen;
      variance += (off * (loss - mean) - variance) / seen;
      usualRows += (rows - usualRows) / seen;
      return false;
    }
    double spread =
        Math.max(Math.sqrt(variance), Math.max(LEAST_SPREAD * Math.abs(mean), LEAST_NATS));
    double certainty = Math.sqrt(Math.min(1, rows / usualRows));
    double off = Math.max(-CUT, Math.min(CUT, (loss - mean) / spread * certainty));
    sum = Math.max(0, sum + off - SLACK);
    if (sum > threshold) {
      restore(StudentState.Drift.NONE);
      return true;
    }
    mean += RATE * off * spread;
    variance += RATE * (off * off * spread * spread - variance);
    usualRows += RATE * (rows - usualRows);
    return false;
  }

  StudentState.Drift state() {
    return new StudentState.Drift(seen, mean, variance, usualRows, sum);
  }

  void restore(StudentState.Drift state) {
    seen = state.seen();
    mean = state.mean();
    variance = state.variance();
    usualRows = state.rows();
    sum = state.sum();
  }
}
