package io.reflux.schemas.labels;

/**
 * Whole numbers as a symbol and extra bits: below 12 a symbol each, above two symbols an octave of
 * (number - 8).
 */
final class Bins {
  /** Numbers that have a symbol of their own. */
  static final int PLAIN = 12;

  private static final int OFFSET = 8;

  private Bins() {}

  static int symbol(int value) {
    if (value < PLAIN) {
      return value;
    }
    int octave = 31 - Integer.numberOfLeadingZeros(value - OFFSET);
    return PLAIN + 2 * (octave - 2) + (((value - OFFSET) >> (octave - 1)) & 1);
  }

  static int extraBits(int symbol) {
    return symbol < PLAIN ? 0 : (symbol - PLAIN) / 2 + 1;
  }

  /** Least number of a symbol. */
  static int low(int symbol) {
    return symbol < PLAIN ? symbol : OFFSET + ((2 + ((symbol - PLAIN) & 1)) << extraBits(symbol));
  }

  /** Largest number that some symbols can express. */
  static int most(int symbols) {
    return low(symbols) - 1;
  }

  static void writeExtra(int value, BitWriter out) {
    // The low bits as they are: every symbol's least number ends in as many zeros once shifted.
    out.write(value - OFFSET, extraBits(symbol(value)));
  }

  static int read(int symbol, BitReader in) throws SoftLabelFormatException {
    return symbol < PLAIN ? symbol : low(symbol) + in.read(extraBits(symbol));
  }

  /** 0, -1, 1, -2, ... as 0, 1, 2, 3, ... */
  static int zigzag(int value) {
    return (value << 1) ^ (value >> 31);
  }

  static int unzigzag(int value) {
    return (value >>> 1) ^ -(value & 1);
  }
}
