package io.reflux.scorer.remote;

/** What a server's log-probs of one position say together, or that they cannot be right. */
final class Masses {
  /**
   * How far a sum of probabilities may be above 1: float32 log-probs err by some 1e-6 of their
   * probability, so that anything near this is no rounding.
   */
  static final double MOST_ABOVE_ONE = 1e-3;

  /**
   * A tail smaller than this is unknown: it is what float32 rounding leaves of 1 - sum, and at this
   * size already uncertain by a tenth.
   */
  static final double LEAST_KNOWN_TAIL = 1e-5;

  /** Rounding may lift a probability of one above it. */
  private static final double MOST_LOGPROB = 1e-6;

  private Masses() {}

  /**
   * A log-prob, if it is one.
   *
   * @return at most 0
   */
  static double logprob(double value, int position) {
    if (!(value <= MOST_LOGPROB) || value == Double.NEGATIVE_INFINITY) {
      throw ServerFault.wrong(
          "position " + position + ": log-prob: " + value + " (expected: a number up to 0)");
    }
    return Math.min(value, 0);
  }

  /**
   * Log of what is left outside of some ids.
   *
   * @param sum of their probabilities
   * @param all whether there are no other ids
   * @return natural log; negative infinity where nothing can be left, NaN where rounding hides it
   */
  static float tail(double sum, boolean all, int position) {
    if (sum > 1 + MOST_ABOVE_ONE) {
      throw ServerFault.wrong(
          "position " + position + ": probabilities that sum to " + sum + " (expected: at most 1)");
    }
    if (all) {
      return Float.NEGATIVE_INFINITY;
    }
    return sum > 1 - LEAST_KNOWN_TAIL ? Float.NaN : (float) Math.log1p(-sum);
  }
}
