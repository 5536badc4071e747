package io.reflux.trainer;

import java.util.HashMap;
import java.util.Map;

/**
 * How near a student is to its teacher on held-out sequences.
 *
 * @param positions rows compared
 * @param agreement share of rows with the same likeliest token; NaN without rows. Of a teacher's
 *     draws the most drawn stands for the likeliest
 * @param kl mean KL(teacher‖student), nats; NaN without rows. From draws an unbiased estimate, by
 *     chance a little below 0 near the optimum; two students measured on the same draws share most
 *     of the chance
 * @param acceptance mean of 1 − TV; NaN without rows that tell, and those of draws do not
 */
record SnapshotQuality(long positions, double agreement, double kl, double acceptance) {
  static final SnapshotQuality UNKNOWN = new SnapshotQuality(0, Double.NaN, Double.NaN, Double.NaN);

  boolean isKnown() {
    return positions > 0;
  }

  /**
   * Whether it is not worse.
   *
   * @param tolerance relative in KL, absolute in agreement
   */
  boolean holdsAgainst(SnapshotQuality published, double tolerance) {
    // An estimate may be below 0, and a share of it would then ask for more, not for less.
    return kl <= published.kl + Math.abs(published.kl) * tolerance
        && agreement >= published.agreement - tolerance;
  }

  /** As a manifest carries it. */
  Map<String, Double> figures() {
    Map<String, Double> figures = new HashMap<>();
    figures.put("positions", (double) positions);
    if (isKnown()) {
      figures.put("agreement", agreement);
      figures.put("kl", kl);
    }
    if (!Double.isNaN(acceptance)) {
      figures.put("acceptance", acceptance);
    }
    return figures;
  }
}
