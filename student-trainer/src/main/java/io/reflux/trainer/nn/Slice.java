package io.reflux.trainer.nn;

import java.util.ArrayList;
import java.util.List;

/**
 * A part of the flat buffers that the optimizer deals with at a time.
 *
 * @param index among the slices
 * @param start in the flat buffers
 * @param length in elements
 * @param decayed whether weight decay acts on all of it; else on none
 */
record Slice(int index, int start, int length, boolean decayed) {
  /** Cuts a layout's buffer where decay ends, and often enough. */
  static List<Slice> of(ParameterLayout layout, int most) {
    List<Slice> slices = new ArrayList<>();
    cut(slices, 0, layout.decayedFloats(), most, true);
    cut(slices, layout.decayedFloats(), layout.floats(), most, false);
    return List.copyOf(slices);
  }

  private static void cut(List<Slice> slices, int from, int to, int most, boolean decayed) {
    for (int start = from; start < to; ) {
      int length = Math.min(most, to - start);
      slices.add(new Slice(slices.size(), start, length, decayed));
      start += length;
    }
  }
}
