package io.reflux.schemas.labels;

/** Frequencies of symbols, for {@link AnsEncoder} and {@link AnsDecoder}. */
final class AnsModel {
  static final int BITS = 11;
  static final int TOTAL = 1 << BITS;

  /** [TOTAL], the symbol of every slot. */
  private final byte[] symbols;

  /** A symbol's first slot in the high 16 bits, its frequency in the low 16. */
  private final int[] codes;

  /**
   * @param frequencies each 1 or more, {@link #TOTAL} in all
   */
  AnsModel(int[] frequencies) {
    symbols = new byte[TOTAL];
    codes = new int[frequencies.length];
    int start = 0;
    for (int symbol = 0; symbol < frequencies.length; symbol++) {
      int frequency = frequencies[symbol];
      if (frequency < 1 || start + frequency > TOTAL) {
        throw new IllegalArgumentException("frequencies: " + frequency + " of symbol " + symbol);
      }
      codes[symbol] = (start << 16) | frequency;
      for (int slot = start; slot < start + frequency; slot++) {
        symbols[slot] = (byte) symbol;
      }
      start += frequency;
    }
    if (start != TOTAL) {
      throw new IllegalArgumentException(
          "frequencies: " + start + " in all (expected: " + TOTAL + ")");
    }
  }

  int code(int symbol) {
    return codes[symbol];
  }

  int symbol(int slot) {
    return symbols[slot];
  }

  int size() {
    return codes.length;
  }

  /** What a symbol costs. */
  double bits(int symbol) {
    return BITS - Math.log(codes[symbol] & 0xffff) / Math.log(2);
  }
}
