package io.reflux.plots;

/**
 * A line of a panel.
 *
 * @param name in the panel's legend
 * @param x not falling
 * @param y of the same length; where it is not finite the line is broken
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
public record Curve(String name, double[] x, double[] y) {
  public Curve {
    if (x.length != y.length) {
      throw new IllegalArgumentException(
          "y: %d points (expected: %d, as x has)".formatted(y.length, x.length));
    }
  }

  /** Whether there is anything to draw. */
  public boolean isKnown() {
    for (double value : y) {
      if (Double.isFinite(value)) {
        return true;
      }
    }
    return false;
  }
}
