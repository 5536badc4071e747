package io.reflux.bench.prune;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.compress.PruningSchedule;
import java.util.Locale;

/**
 * One way to a smaller student.
 *
 * @param name of its row
 * @param start where it comes from
 * @param schedule when it is cut, in thousandths of its training
 */
record Way(String name, Start start, PruningSchedule schedule) {
  /** Steps of a schedule that are the whole training. */
  static final double WHOLE = 1000;

  /** Where a student comes from. */
  enum Start {
    /** It is trained from nothing on, and cut on its way. */
    NOTHING,
    /** It is of the shape that the schedule ends in, and trained from nothing. */
    SMALL,
    /** It was trained to the end, and goes on with a learning rate that rises again. */
    FINISHED
  }

  Way(String name, Start start, String schedule) {
    this(name, start, PruningSchedule.parse(schedule));
  }

  /** The shape in the end. */
  ModelConfig shape(ModelConfig dense) {
    return schedule.shapeAt((long) WHOLE, dense).cut(dense);
  }

  /** As a key of figures. */
  String key() {
    return name.replaceAll("[^A-Za-z0-9]+", "_").toLowerCase(Locale.ROOT);
  }
}
