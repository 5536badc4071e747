package io.reflux.traffic;

import java.util.List;

/**
 * SplitMix64 (Steele, Lea, Flood 2014), written out so that a seed gives the same text on every
 * JDK: the bounded methods of {@code java.util} generators have changed between releases.
 */
final class SeededRandom {
  private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;

  private long state;

  SeededRandom(long seed) {
    state = mix(seed);
  }

  long nextLong() {
    state += GOLDEN_GAMMA;
    return mix(state);
  }

  /** Uniform in [0, bound); the bias of at most bound / 2^32 is of no account here. */
  int nextInt(int bound) {
    return (int) (((nextLong() >>> 32) * bound) >>> 32);
  }

  /** Uniform in [0, 1). */
  double nextDouble() {
    return (nextLong() >>> 11) * 0x1.0p-53;
  }

  <T> T pick(List<T> values) {
    return values.get(nextInt(values.size()));
  }

  /** The finalizer of SplitMix64: a bijection that spreads every bit. */
  static long mix(long value) {
    long z = value;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
