package io.reflux.plots;

import java.util.List;

/**
 * Curves that share their axes.
 *
 * @param kind how values read at the axis
 * @param curves at most as many as there are colours are told apart
 */
public record Panel(String title, Kind kind, List<Curve> curves) {
  /** How values read. */
  public enum Kind {
    NUMBER,
    /** Of 1, shown in per cent. */
    SHARE,
    BYTES,
    /** Above 0, on a logarithmic axis. */
    LOGARITHMIC
  }
}
