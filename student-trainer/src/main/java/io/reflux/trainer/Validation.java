package io.reflux.trainer;

import io.reflux.trainer.nn.Losses;
import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A student measured on held-out sequences.
 *
 * @param step that it was after
 * @param overall all of them
 * @param bySegment each segment's
 */
public record Validation(long step, Figures overall, SortedMap<String, Figures> bySegment) {

  /**
   * Figures of some rows.
   *
   * @param rows with a teacher's distribution
   * @param agreement share of them where both have the same likeliest token
   * @param kl mean KL(teacher‖student), nats; from a teacher's draws an unbiased estimate
   */
  public record Figures(long rows, double agreement, double kl) {
    static Figures of(Losses losses) {
      return new Figures(losses.distilledRows(), losses.agreement(), losses.meanKl());
    }
  }

  /**
   * @param losses whose parts' origins are segments
   */
  static Validation of(long step, Losses losses) {
    SortedMap<String, Losses> parts = new TreeMap<>();
    losses.parts().forEach((part, of) -> parts.merge(part.origin(), of, Losses::plus));
    SortedMap<String, Figures> segments = new TreeMap<>();
    parts.forEach((segment, of) -> segments.put(segment, Figures.of(of)));
    return new Validation(step, Figures.of(losses), Collections.unmodifiableSortedMap(segments));
  }
}
