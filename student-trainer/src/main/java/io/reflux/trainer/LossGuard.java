package io.reflux.trainer;

import io.reflux.trainer.StudentState.Seen;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.stream.DoubleStream;

/**
 * Tells a step whose loss, or gradient norm, is out of bounds: median plus a multiple of the median
 * absolute deviation of the latest steps. Both ignore up to half of what they are made of, so
 * spikes do not widen the bound; a level that stays becomes usual once it has filled half of the
 * window. The mean of fewer rows than usual varies by more, and its bound is wider by the root of
 * that.
 */
final class LossGuard {
  private static final int WINDOW = 32;

  /** Losses that a bound takes. */
  private static final int LEAST = 16;

  /** Of a normal distribution, the standard deviation over the median absolute deviation. */
  private static final double NORMAL = 1.4826;

  /** Rises below half of the median are not worth a step. */
  private static final double LEAST_SHARE = 0.5;

  /** Nor are smaller ones, however well what is repeated is known by heart. */
  private static final double LEAST_NATS = 0.5;

  private final double threshold;
  private final double least;
  private final Deque<Seen> steps = new ArrayDeque<>();

  private LossGuard(double threshold, double least) {
    this.threshold = threshold;
    this.least = least;
  }

  /**
   * @param threshold in standard deviations; 0 bounds nothing
   */
  static LossGuard ofLosses(double threshold) {
    return new LossGuard(threshold, LEAST_NATS);
  }

  /**
   * @param threshold in standard deviations; 0 bounds nothing
   */
  static LossGuard ofNorms(double threshold) {
    return new LossGuard(threshold, 0);
  }

  /** What a step of as many rows as usual should not exceed; infinite if that is not known yet. */
  double bound() {
    return bound(Long.MAX_VALUE);
  }

  /** What a step of so many rows should not exceed, nats; infinite if that is not known yet. */
  double bound(long rows) {
    if (threshold == 0 || steps.size() < LEAST) {
      return Double.POSITIVE_INFINITY;
    }
    double median = median(steps.stream().mapToDouble(Seen::loss));
    double deviation = median(steps.stream().mapToDouble(seen -> Math.abs(seen.loss() - median)));
    double usualRows = median(steps.stream().mapToDouble(Seen::rows));
    double narrowest = Math.max(LEAST_SHARE * Math.abs(median), least);
    double width = Math.max(threshold * NORMAL * deviation, narrowest);
    return median + width * Math.sqrt(Math.max(1, usualRows / rows));
  }

  /**
   * Takes note of a step, whether or not it was within bounds.
   *
   * @param loss finite
   */
  void observe(double loss, long rows) {
    steps.add(new Seen(loss, rows));
    if (steps.size() > WINDOW) {
      steps.remove();
    }
  }

  /** Forgets what is usual. */
  void clear() {
    steps.clear();
  }

  private static double median(DoubleStream values) {
    double[] sorted = values.sorted().toArray();
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  List<Seen> state() {
    return List.copyOf(steps);
  }

  void restore(List<Seen> state) {
    steps.clear();
    steps.addAll(state);
  }
}
