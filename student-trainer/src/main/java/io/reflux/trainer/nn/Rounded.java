package io.reflux.trainer.nn;

/**
 * Sizes that come again. Products of matrices in bfloat16 are compiled for every shape anew, which
 * costs more than a small product itself, and memory for ever new sizes leaves holes.
 */
final class Rounded {
  /** Sizes between a power of two and the next. */
  private static final int STEPS = 16;

  private static final int LEAST_STEP = 8;

  private Rounded() {}

  /** The next size that is one of few: at most a sixteenth more, or 7 where that is little. */
  static int up(int size) {
    int step = Math.max(LEAST_STEP, Integer.highestOneBit(size) / STEPS);
    return (size + step - 1) / step * step;
  }
}
