package io.reflux.snapshots.delta;

import java.util.Arrays;

/**
 * How likely each of some bits is to be set, learnt from those seen: the mean of a memory that
 * forgets fast and one that forgets slowly.
 */
final class AdaptiveBits {
  private static final int ONE = 1 << 16;
  private static final int FAST = 4;
  private static final int SLOW = 7;

  /** Nothing is ever certain, or a surprise could not be coded. */
  private static final int LEAST = 24;

  private final char[] fast;
  private final char[] slow;

  AdaptiveBits(int count) {
    fast = new char[count];
    slow = new char[count];
    Arrays.fill(fast, (char) (ONE / 2));
    Arrays.fill(slow, (char) (ONE / 2));
  }

  /** Of 65,536, how often the bit should be set. */
  int chance(int index) {
    int chance = (fast[index] + slow[index]) >>> 1;
    return Math.max(LEAST, Math.min(ONE - LEAST, chance));
  }

  void learn(int index, int bit) {
    int target = bit == 0 ? 0 : ONE - 1;
    fast[index] += (char) ((target - fast[index]) >> FAST);
    slow[index] += (char) ((target - slow[index]) >> SLOW);
  }
}
