package io.reflux.bench.prune;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.compress.PruningSchedule;
import java.util.Locale;

/**
 * One way to a smaller student.
 *
 * @param name of its row
 * @param schedule when it is cut, in thousandths of the training that follows
 */
record Way(String name, PruningSchedule schedule) {
  /** Steps of a schedule that are the whole training. */
  static final double WHOLE = 1000;

  static Way of(String name, String schedule) {
    return new Way(name, PruningSchedule.parse(schedule));
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
