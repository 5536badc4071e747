package io.reflux.snapshots.delta;

/**
 * Codes bits, or gives coded ones back: one description of the data serves both ways, so that they
 * cannot differ.
 */
interface BitCoder {
  /**
   * Codes a bit by what is expected of it, and learns from it.
   *
   * @param bit 0 or 1; not looked at when decoding
   * @return the bit
   */
  int code(AdaptiveBits expectations, int index, int bit);

  /**
   * Codes bits of which nothing is expected.
   *
   * @param count 0 to 32
   */
  long plain(long value, int count);
}
