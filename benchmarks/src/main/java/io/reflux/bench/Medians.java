package io.reflux.bench;

import java.util.Arrays;
import java.util.Collection;

/** The middle of several runs. */
public final class Medians {
  private Medians() {}

  /**
   * The median.
   *
   * @return NaN when there are no values
   */
  public static double of(Collection<? extends Number> values) {
    return ofSorted(values.stream().mapToDouble(Number::doubleValue).sorted().toArray());
  }

  /** The median. */
  public static double of(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return ofSorted(sorted);
  }

  static double ofSorted(double[] sorted) {
    int n = sorted.length;
    if (n == 0) {
      return Double.NaN;
    }
    return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  }
}
