package io.reflux.schemas.labels;

/**
 * Format 4: log-probs of ids that another record names; docs/SOFT_LABELS.md describes it bit by
 * bit.
 */
final class SupportFormat {
  static final int TAG = 4;

  private static final int FLAGS =
      LabelHeader.SOME_TAILS_UNKNOWN | LabelHeader.SOME_ENTROPIES_UNKNOWN;
  private static final int PARAMETER_BITS = 4;
  private static final int MOST_PARAMETER = 11;

  /** As many 1 bits stand for a difference written out. */
  private static final int LONG = 16;

  private static final int LONG_BITS = 12;

  /** Where a row is expected to start: -2 nats. */
  private static final int FIRST_EXPECTED = 64;

  private SupportFormat() {}

  static void encode(SupportBlock block, int vocabularySize, BitWriter out) {
    Shapes.requireWidth("k", block.k(), block.rows(), vocabularySize);
    boolean tails = Shapes.someUnknown(block.tailLogMass());
    boolean entropies = Shapes.someUnknown(block.entropy());
    int flags =
        (tails ? LabelHeader.SOME_TAILS_UNKNOWN : 0)
            | (entropies ? LabelHeader.SOME_ENTROPIES_UNKNOWN : 0);
    int k = block.k();
    new LabelHeader(flags, vocabularySize, block.rows(), k).write(TAG, out);
    out.write(block.supportChecksum(), 32);
    int[] differences = new int[k];
    for (int row = 0; row < block.rows(); row++) {
      int expected = FIRST_EXPECTED;
      for (int i = 0; i < k; i++) {
        float logprob = block.logprobs()[row * k + i];
        Shapes.requireLogprob("logprobs", row, logprob);
        int coded = LogprobCode.encode(logprob);
        differences[i] = Bins.zigzag(coded - expected);
        expected = (expected + coded) >> 1;
      }
      writeDifferences(differences, out);
      Shapes.requireTail(row, block.tailLogMass()[row]);
      boolean tailKnown = !Float.isNaN(block.tailLogMass()[row]);
      if (tails) {
        out.write(tailKnown ? 1 : 0, 1);
      }
      if (tailKnown) {
        out.write(LogprobCode.encode(block.tailLogMass()[row]), LogprobCode.BITS);
      }
      writeToken(block, row, out);
      Shapes.requireEntropy(row, block.entropy()[row]);
      EntropyCode.write(block.entropy()[row], entropies, out);
    }
  }

  private static void writeDifferences(int[] differences, BitWriter out) {
    int best = 0;
    long bestBits = Long.MAX_VALUE;
    for (int parameter = 0; parameter <= MOST_PARAMETER; parameter++) {
      long bits = 0;
      for (int difference : differences) {
        int quotient = difference >> parameter;
        bits += quotient < LONG ? quotient + 1 + parameter : LONG + LONG_BITS;
      }
      if (bits < bestBits) {
        best = parameter;
        bestBits = bits;
      }
    }
    out.write(best, PARAMETER_BITS);
    for (int difference : differences) {
      int quotient = difference >> best;
      if (quotient < LONG) {
        out.writeUnary(quotient);
        out.write(difference, best);
      } else {
        out.write((1 << LONG) - 1, LONG);
        out.write(difference, LONG_BITS);
      }
    }
  }

  /** Where the token stands among the ids, else its log-prob. */
  private static void writeToken(SupportBlock block, int row, BitWriter out) {
    float logprob = block.tokenLogprobs()[row];
    Shapes.requireLogprob("tokenLogprobs", row, logprob);
    for (int i = 0; i < block.k(); i++) {
      if (block.logprobs()[row * block.k() + i] == logprob) {
        out.write(1, 1);
        out.writeGamma(i + 1);
        return;
      }
    }
    out.write(0, 1);
    out.write(LogprobCode.encode(logprob), LogprobCode.BITS);
  }

  static SupportBlock decode(BitReader in, int vocabularySize) throws SoftLabelFormatException {
    LabelHeader header = LabelHeader.read(in, FLAGS, vocabularySize);
    int rows = header.rows();
    int k = header.width();
    header.requirePlausible(vocabularySize, PARAMETER_BITS + (long) k + 2, in);
    int checksum = in.read(16) << 16 | in.read(16);
    SupportBlock block =
        new SupportBlock(
            rows,
            k,
            checksum,
            new float[rows * k],
            new float[rows],
            new float[rows],
            new float[rows]);
    for (int row = 0; row < rows; row++) {
      readLogprobs(in, block, row);
      boolean tailKnown = !header.has(LabelHeader.SOME_TAILS_UNKNOWN) || in.read(1) == 1;
      block.tailLogMass()[row] = tailKnown ? LogprobCode.read(in) : Float.NaN;
      block.tokenLogprobs()[row] = readToken(in, block, row);
      block.entropy()[row] = EntropyCode.read(header.has(LabelHeader.SOME_ENTROPIES_UNKNOWN), in);
    }
    in.requireEnd();
    return block;
  }

  private static void readLogprobs(BitReader in, SupportBlock block, int row)
      throws SoftLabelFormatException {
    int parameter = in.read(PARAMETER_BITS);
    if (parameter > MOST_PARAMETER) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: log-prob parameter " + parameter);
    }
    int expected = FIRST_EXPECTED;
    long at = in.position();
    for (int i = row * block.k(); i < (row + 1) * block.k(); i++) {
      long word = in.peek(at);
      int quotient = Long.numberOfLeadingZeros(~word);
      int difference;
      if (quotient < LONG) {
        difference =
            quotient << parameter | (int) (word << (quotient + 1) >>> 1 >>> (63 - parameter));
        at += quotient + 1 + parameter;
      } else {
        difference = (int) (word << LONG >>> (64 - LONG_BITS));
        at += LONG + LONG_BITS;
      }
      int coded = LogprobCode.require(expected + Bins.unzigzag(difference));
      block.logprobs()[i] = LogprobCode.decode(coded);
      expected = (expected + coded) >> 1;
    }
    in.moveTo(at);
  }

  private static float readToken(BitReader in, SupportBlock block, int row)
      throws SoftLabelFormatException {
    if (in.read(1) == 0) {
      return LogprobCode.read(in);
    }
    int index = in.readGamma(30) - 1;
    if (index >= block.k()) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: place of the token: "
              + index
              + " (expected: below "
              + block.k()
              + ")");
    }
    return block.logprobs()[row * block.k() + index];
  }
}
