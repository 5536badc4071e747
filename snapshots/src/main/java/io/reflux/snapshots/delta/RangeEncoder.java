package io.reflux.snapshots.delta;

import java.util.Arrays;

/**
 * An arithmetic coder of bits. The bits so far are an interval of 32-bit numbers; each further one
 * takes its share of it, and leading bytes that both ends agree on are written.
 */
final class RangeEncoder implements BitCoder {
  private static final long TOP = 0xFF000000L;
  private static final long ALL = 0xFFFFFFFFL;
  private static final int HALF = 1 << 15;

  private byte[] out;
  private int length;
  private long low;
  private long high = ALL;

  /**
   * @param prefix written first, as it is
   */
  RangeEncoder(byte[] prefix, int expectedLength) {
    out = Arrays.copyOf(prefix, prefix.length + Math.max(16, expectedLength));
    length = prefix.length;
  }

  @Override
  public int code(AdaptiveBits expectations, int index, int bit) {
    narrow(expectations.chance(index), bit);
    expectations.learn(index, bit);
    return bit;
  }

  @Override
  public long plain(long value, int count) {
    for (int i = count - 1; i >= 0; i--) {
      narrow(HALF, (int) (value >>> i) & 1);
    }
    return value;
  }

  /** Ends the coding and gives the prefix and all that was coded. */
  byte[] finish() {
    for (int shift = 24; shift >= 0; shift -= 8) {
      write((int) (low >>> shift));
    }
    return Arrays.copyOf(out, length);
  }

  static long middle(long low, long high, int chance) {
    // The chance is of 65,536, and the product stays below 2^48.
    return low + (((high - low) * chance) >>> 16);
  }

  private void narrow(int chance, int bit) {
    long middle = middle(low, high, chance);
    if (bit != 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
    while (((low ^ high) & TOP) == 0) {
      write((int) (high >>> 24));
      low = (low << 8) & ALL;
      high = ((high << 8) & ALL) | 0xFF;
    }
  }

  private void write(int value) {
    if (length == out.length) {
      out = Arrays.copyOf(out, 2 * length);
    }
    out[length++] = (byte) value;
  }
}
