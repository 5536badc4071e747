package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * Format 3: draws as a set of ids and their counts; docs/SOFT_LABELS.md describes it bit by bit.
 */
final class SampledFormat {
  static final int TAG = 3;

  private static final int FLAGS = LabelHeader.SOME_ENTROPIES_UNKNOWN;

  private SampledFormat() {}

  static void encode(SampledBlock block, int vocabularySize, BitWriter out) {
    Shapes.requireWidth("draws", block.draws(), block.rows(), SoftLabelCodec.MAX_ENTRIES);
    boolean someUnknown = Shapes.someUnknown(block.entropy());
    int flags = someUnknown ? LabelHeader.SOME_ENTROPIES_UNKNOWN : 0;
    new LabelHeader(flags, vocabularySize, block.rows(), block.draws()).write(TAG, out);
    // By ascending id, the count beside.
    long[] byId = new long[block.ids().length];
    int[] ids = new int[block.ids().length];
    GapCode.Fit fit = new GapCode.Fit(vocabularySize);
    for (int row = 0; row < block.rows(); row++) {
      requireRow(block, row, vocabularySize);
      int from = block.starts()[row];
      int to = block.starts()[row + 1];
      for (int i = from; i < to; i++) {
        byId[i] = (long) block.ids()[i] << 32 | block.counts()[i];
      }
      Arrays.sort(byId, from, to);
      for (int i = from; i < to; i++) {
        ids[i] = (int) (byId[i] >>> 32);
        if (i > from && ids[i] == ids[i - 1]) {
          throw new IllegalArgumentException("ids, row " + row + ": " + ids[i] + " twice");
        }
      }
      fit.add(ids, from, to, shift(block.draws(), to - from));
    }
    GapCode gaps = fit.best();
    gaps.writeParameters(out);
    for (int row = 0; row < block.rows(); row++) {
      int from = block.starts()[row];
      int to = block.starts()[row + 1];
      out.writeBelow(to - from - 1, Math.min(block.draws(), vocabularySize));
      int top = from;
      while (ids[top] != block.ids()[from]) {
        top++;
      }
      out.writeBelow(top - from, to - from);
      gaps.write(ids, from, to, shift(block.draws(), to - from), out);
      for (int i = from; i < to; i++) {
        if (i != top) {
          out.writeGamma((int) byId[i]);
        }
      }
      out.write(LogprobCode.encode(block.tokenLogprobs()[row]), LogprobCode.BITS);
      EntropyCode.write(block.entropy()[row], someUnknown, out);
    }
  }

  private static void requireRow(SampledBlock block, int row, int vocabularySize) {
    long sum = 0;
    int from = block.starts()[row];
    for (int i = from; i < block.starts()[row + 1]; i++) {
      Shapes.requireId(row, block.ids()[i], vocabularySize);
      int count = block.counts()[i];
      if (count < 1) {
        throw new IllegalArgumentException(
            "counts, row " + row + ": " + count + " (expected: 1 or more)");
      }
      boolean inOrder =
          i == from
              || block.counts()[i - 1] > count
              || (block.counts()[i - 1] == count && block.ids()[i - 1] < block.ids()[i]);
      if (!inOrder) {
        throw new IllegalArgumentException(
            "ids, row "
                + row
                + ": "
                + block.ids()[i]
                + " after "
                + block.ids()[i - 1]
                + " (expected: most drawn first, then ascending)");
      }
      sum += count;
    }
    if (sum != block.draws()) {
      throw new IllegalArgumentException(
          "counts, row " + row + ": " + sum + " (expected: " + block.draws() + ")");
    }
    Shapes.requireLogprob("tokenLogprobs", row, block.tokenLogprobs()[row]);
    Shapes.requireEntropy(row, block.entropy()[row]);
  }

  /** What a row of few ids is sparser than one of as many ids as draws, in octaves. */
  private static int shift(int draws, int distinct) {
    return 31 - Integer.numberOfLeadingZeros((int) (3L * draws / (2L * distinct)));
  }

  static SampledBlock decode(BitReader in, int vocabularySize) throws SoftLabelFormatException {
    LabelHeader header = LabelHeader.read(in, FLAGS, vocabularySize);
    int rows = header.rows();
    int draws = header.width();
    boolean someUnknown = header.has(LabelHeader.SOME_ENTROPIES_UNKNOWN);
    header.requirePlausible(SoftLabelCodec.MAX_ENTRIES, LogprobCode.BITS + 2, in);
    GapCode gaps = GapCode.readParameters(in, vocabularySize);
    int[] starts = new int[rows + 1];
    int[] ids = new int[Math.max(16, rows * Math.min(4, draws))];
    int[] counts = new int[ids.length];
    float[] tokenLogprobs = new float[rows];
    float[] entropy = new float[rows];
    Row scratch = new Row(draws);
    for (int row = 0; row < rows; row++) {
      int from = starts[row];
      int distinct = in.readBelow(Math.min(draws, vocabularySize)) + 1;
      // Each id takes a bit or more: more cannot follow, and no memory is spent on them.
      if (distinct > in.remainingBits()) {
        throw new SoftLabelFormatException("Soft labels end early: " + distinct + " ids follow");
      }
      if (from + distinct > ids.length) {
        int length = (int) Math.min(Integer.MAX_VALUE - 8L, 2L * (from + distinct));
        ids = Arrays.copyOf(ids, length);
        counts = Arrays.copyOf(counts, length);
      }
      scratch.read(in, gaps, distinct);
      scratch.order(ids, counts, from);
      starts[row + 1] = from + distinct;
      tokenLogprobs[row] = LogprobCode.read(in);
      entropy[row] = EntropyCode.read(someUnknown, in);
    }
    in.requireEnd();
    return new SampledBlock(
        rows,
        draws,
        starts,
        Arrays.copyOf(ids, starts[rows]),
        Arrays.copyOf(counts, starts[rows]),
        tokenLogprobs,
        entropy);
  }

  /** One row by ascending ids. */
  private static final class Row {
    private final int draws;
    private int[] ids = new int[16];
    private int[] counts = new int[16];
    private long[] ordered = new long[16];
    private int distinct;

    Row(int draws) {
      this.draws = draws;
    }

    void read(BitReader in, GapCode gaps, int distinctIds) throws SoftLabelFormatException {
      distinct = distinctIds;
      if (ids.length < distinct) {
        ids = new int[distinct];
        counts = new int[distinct];
        ordered = new long[distinct];
      }
      int top = in.readBelow(distinct);
      gaps.read(in, ids, 0, distinct, shift(draws, distinct));
      long left = draws;
      int mostBefore = 0;
      int mostAfter = 0;
      for (int i = 0; i < distinct; i++) {
        if (i != top) {
          counts[i] = in.readGamma(30);
          left -= counts[i];
          if (i < top) {
            mostBefore = Math.max(mostBefore, counts[i]);
          } else {
            mostAfter = Math.max(mostAfter, counts[i]);
          }
        }
      }
      if (left < 1 || left <= mostBefore || left < mostAfter) {
        throw new SoftLabelFormatException(
            "Soft labels are damaged: " + left + " of " + draws + " draws left for the likeliest");
      }
      counts[top] = (int) left;
    }

    void order(int[] toIds, int[] toCounts, int from) {
      for (int i = 0; i < distinct; i++) {
        ordered[i] = (long) -counts[i] << 32 | ids[i];
      }
      Arrays.sort(ordered, 0, distinct);
      for (int i = 0; i < distinct; i++) {
        toIds[from + i] = (int) ordered[i];
        toCounts[from + i] = (int) -(ordered[i] >> 32);
      }
    }
  }
}
