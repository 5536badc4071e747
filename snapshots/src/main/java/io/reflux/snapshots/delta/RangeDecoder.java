package io.reflux.snapshots.delta;

/** Gives back what {@link RangeEncoder} has coded. Beyond the end it reads zeros. */
final class RangeDecoder implements BitCoder {
  private static final long TOP = 0xFF000000L;
  private static final long ALL = 0xFFFFFFFFL;
  private static final int HALF = 1 << 15;

  private final byte[] in;
  private int position;
  private long low;
  private long high = ALL;
  private long code;

  RangeDecoder(byte[] in, int from) {
    this.in = in;
    this.position = from;
    for (int i = 0; i < Integer.BYTES; i++) {
      code = (code << 8) | next();
    }
  }

  @Override
  public int code(AdaptiveBits expectations, int index, int bit) {
    int decoded = narrow(expectations.chance(index));
    expectations.learn(index, decoded);
    return decoded;
  }

  @Override
  public long plain(long value, int count) {
    long decoded = 0;
    for (int i = 0; i < count; i++) {
      decoded = (decoded << 1) | narrow(HALF);
    }
    return decoded;
  }

  /** Whether exactly everything was read. */
  boolean isAtEnd() {
    return position == in.length;
  }

  private int narrow(int chance) {
    long middle = RangeEncoder.middle(low, high, chance);
    int bit = code <= middle ? 1 : 0;
    if (bit != 0) {
      high = middle;
    } else {
      low = middle + 1;
    }
    while (((low ^ high) & TOP) == 0) {
      low = (low << 8) & ALL;
      high = ((high << 8) & ALL) | 0xFF;
      code = ((code << 8) & ALL) | next();
    }
    return bit;
  }

  private int next() {
    int value = position < in.length ? in[position] & 0xFF : 0;
    position++;
    return value;
  }
}
