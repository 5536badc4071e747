package io.reflux.trainer;

import java.util.Map;

/**
 * How near a student is to its teacher on held-out sequences.
 *
 * @param positions rows compared
 * @param agreement share of rows with the same likeliest token; NaN without rows
 * @param kl mean KL(teacher‖student), nats; NaN without rows
 * @param acceptance mean of 1 − TV; NaN without rows
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
    return kl <= published.kl * (1 + tolerance) && agreement >= published.agreement - tolerance;
  }

  /** As a manifest carries it. */
  Map<String, Double> figures() {
    return isKnown()
        ? Map.of(
            "positions", (double) positions,
            "agreement", agreement,
            "kl", kl,
            "acceptance", acceptance)
        : Map.of("positions", 0.0);
  }
}
