package io.reflux.trainer;

/**
 * SplitMix64 (Steele et al., OOPSLA 2014): its whole state is one number that a checkpoint holds.
 */
final class RandomBits {
  private long state;

  RandomBits(long seed) {
    this.state = seed;
  }

  long state() {
    return state;
  }

  void restore(long saved) {
    state = saved;
  }

  long nextLong() {
    state += 0x9E3779B97F4A7C15L;
    long mixed = (state ^ state >>> 30) * 0xBF58476D1CE4E5B9L;
    mixed = (mixed ^ mixed >>> 27) * 0x94D049BB133111EBL;
    return mixed ^ mixed >>> 31;
  }

  /** In [0, 1). */
  double nextDouble() {
    return (nextLong() >>> 11) * 0x1.0p-53;
  }

  /** In [0, bound). The bias of a remainder of 64 bits is far below what training could feel. */
  long below(long bound) {
    return Long.remainderUnsigned(nextLong(), bound);
  }
}
