package io.reflux.trainer;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.List;

/**
 * Tells a step whose loss is out of bounds: median plus a multiple of the median absolute deviation
 * of the latest steps. Both ignore up to half of what they are made of, so spikes do not widen the
 * bound; a level that stays becomes usual once it has filled half of the window.
 */
final class LossGuard {
  private static final int WINDOW = 32;

  /** Losses that a bound takes. */
  private static final int LEAST = 16;

  /** Of a normal distribution, the standard deviation over the median absolute deviation. */
  private static final double NORMAL = 1.4826;

  /** Rises below half of the median are not worth a step. */
  private static final double LEAST_SHARE = 0.5;

  private static final double LEAST_NATS = 0.05;

  private final double threshold;
  private final Deque<Double> losses = new ArrayDeque<>();

  /**
   * @param threshold in standard deviations; 0 bounds nothing
   */
  LossGuard(double threshold) {
    this.threshold = threshold;
  }

  /** What the next step's loss should not exceed, nats; infinite if that is not known yet. */
  double bound() {
    if (threshold == 0 || losses.size() < LEAST) {
      return Double.POSITIVE_INFINITY;
    }
    double median = median(losses);
    double deviation = median(losses.stream().map(loss -> Math.abs(loss - median)).toList());
    double least = Math.max(LEAST_SHARE * Math.abs(median), LEAST_NATS);
    return median + Math.max(threshold * NORMAL * deviation, least);
  }

  /**
   * Takes note of a step, whether or not it was within bounds.
   *
   * @param loss finite
   */
  void observe(double loss) {
    losses.add(loss);
    if (losses.size() > WINDOW) {
      losses.remove();
    }
  }

  /** Forgets what is usual. */
  void clear() {
    losses.clear();
  }

  private static double median(Collection<Double> values) {
    double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  List<Double> state() {
    return List.copyOf(losses);
  }

  void restore(List<Double> state) {
    losses.clear();
    losses.addAll(state);
  }
}
