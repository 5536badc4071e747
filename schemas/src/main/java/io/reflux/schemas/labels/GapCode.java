package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * Ascending ids by the gaps between them, as Rice codes whose parameter depends on the octave of
 * the id before: ids of byte-pair vocabularies are the denser the lower.
 */
final class GapCode {
  private static final int MOST_PARAMETER = 20;
  private static final int PARAMETER_BITS = 5;

  /** As many 1 bits stand for a gap written out. */
  private static final int LONG_GAP = 24;

  private static final int LONG_GAP_BITS = 20;

  private final int vocabularySize;

  /** By the number of bits of (the id before + 1). */
  private final int[] parameters;

  private GapCode(int vocabularySize, int[] parameters) {
    this.vocabularySize = vocabularySize;
    this.parameters = parameters;
  }

  private static int octave(int previous) {
    return 32 - Integer.numberOfLeadingZeros(previous + 1);
  }

  private static int octaves(int vocabularySize) {
    return octave(vocabularySize - 1) + 1;
  }

  /** Counts the gaps of a block, to fit the parameters to them. */
  static final class Fit {
    private final int vocabularySize;
    // By octave and by the number of bits of the gap.
    private final int[][] counts;

    Fit(int vocabularySize) {
      this.vocabularySize = vocabularySize;
      this.counts = new int[octaves(vocabularySize)][LONG_GAP_BITS + 1];
    }

    void add(int[] ids, int from, int to, int shift) {
      int previous = -1;
      for (int i = from; i < to; i++) {
        int gap = (ids[i] - previous - 1) >> shift;
        counts[octave(previous)][32 - Integer.numberOfLeadingZeros(gap)]++;
        previous = ids[i];
      }
    }

    GapCode best() {
      int[] parameters = new int[counts.length];
      Arrays.fill(parameters, -1);
      for (int octave = 0; octave < counts.length; octave++) {
        if (Arrays.stream(counts[octave]).sum() > 0) {
          parameters[octave] = bestParameter(counts[octave]);
        }
      }
      fillUnused(parameters);
      return new GapCode(vocabularySize, parameters);
    }

    private static int bestParameter(int[] counts) {
      double[] bits = new double[MOST_PARAMETER + 1];
      for (int width = 0; width < counts.length; width++) {
        for (int parameter = 0; parameter < bits.length && counts[width] > 0; parameter++) {
          // The mean quotient of numbers of so many bits.
          double quotient = width <= parameter ? 0 : 0.75 * (1L << (width - parameter)) - 0.5;
          bits[parameter] +=
              counts[width] * Math.min(quotient + 1 + parameter, LONG_GAP + LONG_GAP_BITS);
        }
      }
      int best = 0;
      for (int parameter = 1; parameter < bits.length; parameter++) {
        if (bits[parameter] < bits[best]) {
          best = parameter;
        }
      }
      return best;
    }

    /** Their neighbours' parameters, which cost least to write. */
    private static void fillUnused(int[] parameters) {
      int last = Arrays.stream(parameters).filter(p -> p >= 0).findFirst().orElse(0);
      for (int i = 0; i < parameters.length; i++) {
        last = parameters[i] < 0 ? last : parameters[i];
        parameters[i] = last;
      }
    }
  }

  /** The first parameter plain, the others by their difference. */
  void writeParameters(BitWriter out) {
    out.write(parameters[0], PARAMETER_BITS);
    for (int i = 1; i < parameters.length; i++) {
      out.writeUnary(Bins.zigzag(parameters[i] - parameters[i - 1]));
    }
  }

  static GapCode readParameters(BitReader in, int vocabularySize) throws SoftLabelFormatException {
    int[] parameters = new int[octaves(vocabularySize)];
    parameters[0] = requireParameter(in.read(PARAMETER_BITS));
    for (int i = 1; i < parameters.length; i++) {
      int difference = Bins.unzigzag(in.readUnary(2 * MOST_PARAMETER));
      parameters[i] = requireParameter(parameters[i - 1] + difference);
    }
    return new GapCode(vocabularySize, parameters);
  }

  private static int requireParameter(int parameter) throws SoftLabelFormatException {
    if (parameter < 0 || parameter > MOST_PARAMETER) {
      throw new SoftLabelFormatException("Soft labels are damaged: gap parameter " + parameter);
    }
    return parameter;
  }

  /**
   * @param shift added to the parameters: what a row's ids are sparser than the block's
   */
  void write(int[] ids, int from, int to, int shift, BitWriter out) {
    int previous = -1;
    for (int i = from; i < to; i++) {
      int gap = ids[i] - previous - 1;
      int parameter = Math.min(MOST_PARAMETER, parameters[octave(previous)] + shift);
      int quotient = gap >> parameter;
      if (quotient < LONG_GAP) {
        out.write(((1 << quotient) - 1) << 1, quotient + 1);
        out.write(gap, parameter);
      } else {
        out.write((1 << LONG_GAP) - 1, LONG_GAP);
        out.write(gap, LONG_GAP_BITS);
      }
      previous = ids[i];
    }
  }

  /** Reads ascending ids into [from, to) of an array. */
  void read(BitReader in, int[] ids, int from, int to, int shift) throws SoftLabelFormatException {
    long at = in.position();
    int previous = -1;
    for (int i = from; i < to; i++) {
      int parameter = Math.min(MOST_PARAMETER, parameters[octave(previous)] + shift);
      long word = in.peek(at);
      int quotient = Long.numberOfLeadingZeros(~word);
      int gap;
      if (quotient < LONG_GAP) {
        gap = quotient << parameter | (int) (word << (quotient + 1) >>> 1 >>> (63 - parameter));
        at += quotient + 1 + parameter;
      } else {
        gap = (int) (word << LONG_GAP >>> (64 - LONG_GAP_BITS));
        at += LONG_GAP + LONG_GAP_BITS;
      }
      // A gap is below 2^25, so that nothing overflows before this is seen.
      previous += gap + 1;
      if (previous >= vocabularySize) {
        throw new SoftLabelFormatException(
            "Soft labels are damaged: id " + previous + " of vocabulary " + vocabularySize);
      }
      ids[i] = previous;
    }
    in.moveTo(at);
  }
}
