package io.reflux.snapshots.delta;

/**
 * How the bytes of a segment are read as numbers. Signs and magnitudes of floating point are turned
 * into integers of the same order, so that near numbers have a small difference.
 */
enum Numbers {
  /** Two 4-bit numbers a byte. */
  NIBBLES(2, 4, 3),
  /** 8-bit integers. */
  BYTES(3, 8, 4),
  /** 8-bit floating point. */
  SMALL_FLOATS(4, 8, 4),
  /** 16-bit floating point of any kind, little-endian. */
  HALVES(5, 16, 5),
  /** 32-bit floating point, little-endian. */
  FLOATS(6, 32, 6);

  private final int way;
  private final int bits;
  private final int lengthBits;

  Numbers(int way, int bits, int lengthBits) {
    this.way = way;
    this.bits = bits;
    this.lengthBits = lengthBits;
  }

  /** How blocks call it; never changes. */
  int way() {
    return way;
  }

  int bits() {
    return bits;
  }

  /** Bits in which the length of a magnitude is written. */
  int lengthBits() {
    return lengthBits;
  }

  /** How many of them some bytes hold. */
  int count(int bytes) {
    return bytes * 8 / bits;
  }

  boolean divides(int bytes) {
    return bytes * 8 % bits == 0;
  }

  /**
   * One number.
   *
   * @param from first byte of the segment
   */
  int read(byte[] bytes, int from, int index) {
    return switch (this) {
      case NIBBLES -> ((bytes[from + index / 2] >> (index % 2 * 4)) & 0xF) - 8;
      case BYTES -> bytes[from + index];
      case SMALL_FLOATS -> ordered(bytes[from + index], 0x7F);
      case HALVES -> ordered((short) half(bytes, from + 2 * index), 0x7FFF);
      case FLOATS ->
          ordered(
              half(bytes, from + 4 * index) | (half(bytes, from + 4 * index + 2) << 16),
              Integer.MAX_VALUE);
    };
  }

  /** Puts a number where {@link #read} would find it. */
  void write(byte[] bytes, int from, int index, int value) {
    switch (this) {
      case NIBBLES -> {
        int at = from + index / 2;
        int nibble = (value + 8) & 0xF;
        bytes[at] =
            (byte)
                (index % 2 == 0 ? (bytes[at] & 0xF0) | nibble : (bytes[at] & 0xF) | (nibble << 4));
      }
      case BYTES -> bytes[from + index] = (byte) value;
      case SMALL_FLOATS -> bytes[from + index] = (byte) ordered((byte) value, 0x7F);
      case HALVES -> putHalf(bytes, from + 2 * index, ordered((short) value, 0x7FFF));
      case FLOATS -> {
        int plain = ordered(value, Integer.MAX_VALUE);
        putHalf(bytes, from + 4 * index, plain);
        putHalf(bytes, from + 4 * index + 2, plain >>> 16);
      }
    }
  }

  /** The difference, as a number of the same width. */
  int minus(int value, int base) {
    return narrow(value - base);
  }

  /** The number that is a difference away. */
  int plus(int base, int difference) {
    return narrow(base + difference);
  }

  private int narrow(int wide) {
    int unused = Integer.SIZE - bits;
    return (wide << unused) >> unused;
  }

  /** Its own inverse. */
  private static int ordered(int signed, int magnitude) {
    return signed ^ ((signed >> 31) & magnitude);
  }

  private static int half(byte[] bytes, int at) {
    return (bytes[at] & 0xFF) | ((bytes[at + 1] & 0xFF) << 8);
  }

  private static void putHalf(byte[] bytes, int at, int value) {
    bytes[at] = (byte) value;
    bytes[at + 1] = (byte) (value >>> 8);
  }
}
