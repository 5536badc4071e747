package io.reflux.snapshots.delta;

/**
 * What is expected of the next difference: about as much as its neighbours had, in the direction in
 * which they grew or shrank. A difference is coded as the length of its magnitude in bits, its
 * sign, the three bits after the leading one, and the rest as it is.
 */
final class DifferenceModel {
  /** Mean lengths, in 256ths of a bit, at which the finer levels begin. */
  private static final int[] LEVELS = {3, 8, 16, 28, 44, 68, 100, 140, 192};

  private static final int COARSE_STEP = 96;
  private static final int MOST_LEVELS = 36;
  private static final int RECENT = 4;
  private static final int PREVIOUS = 3;
  private static final int MODELLED_BITS = 3;
  private static final int LONGEST = 33;
  private static final int TRENDS = 5;

  private final Numbers numbers;
  private final AdaptiveBits lengths;
  private final AdaptiveBits signs = new AdaptiveBits(TRENDS);
  private final AdaptiveBits mantissas = new AdaptiveBits(LONGEST << MODELLED_BITS);

  private int meanLength;
  private int previousLength;
  private int trend;

  DifferenceModel(Numbers numbers) {
    this.numbers = numbers;
    this.lengths = new AdaptiveBits((MOST_LEVELS * PREVIOUS * 2) << numbers.lengthBits());
  }

  /**
   * Codes a difference.
   *
   * @param base the number that it is from
   * @param difference not looked at when decoding
   * @return the difference
   */
  int code(BitCoder coder, int base, int difference) {
    long magnitude = Math.abs((long) difference);
    int length = codeLength(coder, base, Long.SIZE - Long.numberOfLeadingZeros(magnitude));
    if (length == 0) {
      return 0;
    }
    magnitude = codeMantissa(coder, length, magnitude);
    boolean positive = base >= 0;
    boolean shrinks = coder.code(signs, trendLevel(), (difference < 0) == positive ? 1 : 0) != 0;
    trend += ((shrinks ? -64 : 64) - trend) >> 3;
    return numbers.plus(0, (int) (shrinks == positive ? -magnitude : magnitude));
  }

  private int codeLength(BitCoder coder, int base, int length) {
    int context = (level() * PREVIOUS + Math.min(previousLength, PREVIOUS - 1)) * 2;
    if (isExtreme(base)) {
      context++;
    }
    int tree = context << numbers.lengthBits();
    int node = 1;
    for (int i = numbers.lengthBits() - 1; i >= 0; i--) {
      node = (node << 1) | coder.code(lengths, tree + node, (length >> i) & 1);
    }
    int coded = node - (1 << numbers.lengthBits());
    meanLength += ((coded << 8) - meanLength) >> RECENT;
    previousLength = coded;
    return coded;
  }

  private long codeMantissa(BitCoder coder, int length, long magnitude) {
    int modelled = Math.min(MODELLED_BITS, length - 1);
    int tree = Math.min(length, LONGEST - 1) << MODELLED_BITS;
    long coded = 1;
    for (int i = 1; i <= modelled; i++) {
      int bit = (int) (magnitude >>> (length - 1 - i)) & 1;
      coded = (coded << 1) | coder.code(mantissas, tree + (int) coded, bit);
    }
    int rest = length - 1 - modelled;
    return (coded << rest) | coder.plain(magnitude & ((1L << rest) - 1), rest);
  }

  /** Where the largest of a group is always the largest number, it seldom changes. */
  private boolean isExtreme(int base) {
    int most = (1 << (Math.min(numbers.bits(), 16) - 1)) - 1;
    return base >= most || base <= -most;
  }

  private int level() {
    int level = 0;
    while (level < LEVELS.length && meanLength >= LEVELS[level]) {
      level++;
    }
    return level < LEVELS.length
        ? level
        : Math.min(MOST_LEVELS - 1, level + (meanLength - LEVELS[LEVELS.length - 1]) / COARSE_STEP);
  }

  private int trendLevel() {
    return trend < -32 ? 0 : trend < -12 ? 1 : trend <= 12 ? 2 : trend <= 32 ? 3 : 4;
  }
}
