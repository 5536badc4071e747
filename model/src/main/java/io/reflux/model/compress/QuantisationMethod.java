package io.reflux.model.compress;

import io.reflux.model.ModelException;
import java.util.Locale;

/** How the values of a matrix are chosen once its scales are fixed. */
public enum QuantisationMethod {
  /** Each weight by itself; needs no calibration. */
  RTN,
  /** Column by column, each column's error made up for by those after it (arXiv 2210.17323). */
  GPTQ,
  /** Cyclic coordinate descent from the better of the two others (arXiv 2309.01885). */
  QUANTEASE;

  /**
   * Reads {@code rtn}, {@code gptq} or {@code quantease}, in any case.
   *
   * @throws ModelException if it is none of these
   */
  public static QuantisationMethod parse(String name) {
    for (QuantisationMethod method : values()) {
      if (method.toString().equals(name.strip().toLowerCase(Locale.ROOT))) {
        return method;
      }
    }
    throw new ModelException(
        "quantisation method: " + name + " (expected: rtn, gptq or quantease)");
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
