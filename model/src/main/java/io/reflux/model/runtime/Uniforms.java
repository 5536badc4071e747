package io.reflux.model.runtime;

/**
 * Uniform numbers that depend on a seed, a position of a sequence and a count alone, so that
 * batching and retries change nothing. SplitMix64 (Steele, Lea and Flood, 2014), whose n-th output
 * is a mix of start + n · increment and needs no state; written out here because a library's own
 * may change with its version.
 */
final class Uniforms {
  /** A draw goes by three levels; see the scoring graph. */
  static final int PER_DRAW = 3;

  private static final long INCREMENT = 0x9E3779B97F4A7C15L;

  private Uniforms() {}

  /**
   * Fills in the numbers of one row. With 23 bits and a half they are exact in float32, and neither
   * 0 nor 1.
   *
   * @param to [rows, draws, 3]
   * @param firstDraw index of the row's first draw
   */
  static void fill(float[] to, int firstDraw, int draws, long seed, int position) {
    long start = mix(mix(seed + INCREMENT) + (position + 1) * INCREMENT);
    for (int i = 0; i < draws * PER_DRAW; i++) {
      long bits = mix(start + (i + 1) * INCREMENT);
      to[firstDraw * PER_DRAW + i] = ((bits >>> 41) + 0.5f) * 0x1p-23f;
    }
  }

  private static long mix(long value) {
    long mixed = (value ^ (value >>> 30)) * 0xBF58476D1CE4E5B9L;
    mixed = (mixed ^ (mixed >>> 27)) * 0x94D049BB133111EBL;
    return mixed ^ (mixed >>> 31);
  }
}
