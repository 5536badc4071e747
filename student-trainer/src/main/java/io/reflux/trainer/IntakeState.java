package io.reflux.trainer;

import java.util.Map;
import java.util.TreeMap;

/**
 * How far taking in labels is.
 *
 * @param positions by {@code topic-partition}
 * @param softLabelsTaken labels of requests since the last step
 * @param rolloutLabelsTaken labels of rollouts since the last step
 * @param promptCredit share of a prompt for rollouts that has not made up a whole one
 */
record IntakeState(
    Map<String, Position> positions,
    int softLabelsTaken,
    int rolloutLabelsTaken,
    double promptCredit) {

  static final IntakeState NONE = new IntakeState(Map.of(), 0, 0, 0);

  /** Next offsets to take in, by {@code topic-partition}. */
  Map<String, Long> offsets() {
    Map<String, Long> offsets = new TreeMap<>();
    positions.forEach((partition, position) -> offsets.put(partition, position.next()));
    return offsets;
  }
}
