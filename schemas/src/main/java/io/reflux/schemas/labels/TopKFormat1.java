package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * The body of format 1, a row at a time; docs/SOFT_LABELS.md describes it bit by bit.
 *
 * <p>Log-probs are coded as x = -log p in cells of 1/16 nat, the cells of likely ids cut finer. Ids
 * are a set in ascending order under a binary interpolative code, which needs no parameter and
 * profits where ids cluster.
 */
final class TopKFormat1 {
  static final int FORMAT = 1;

  private static final int FLAG_NORMALISED = 1;

  /** Most ids in a block; a lying header asks for no more memory than this. */
  private static final int MAX_ENTRIES = 1 << 26;

  /** How far from one a row may sum and still count as normalised. */
  private static final double SUM_TOLERANCE = 1e-3;

  private static final double CELLS_PER_NAT = 16;
  private static final int CELL_BITS = 12;
  private static final int MAX_CELL = (1 << CELL_BITS) - 1;
  private static final int RICE_BITS = 4;

  // Cells below these (p > e^-2, p > e^-5) are cut into 16 and 4.
  private static final int FINE_CELLS = 32;
  private static final int FINE_BITS = 4;
  private static final int MEDIUM_CELLS = 80;
  private static final int MEDIUM_BITS = 2;

  private static final double TAIL_STEPS_PER_NAT = 1024;
  private static final int TAIL_BITS = 16;
  private static final int NO_TAIL = (1 << TAIL_BITS) - 1;

  private static final double TOKEN_STEPS_PER_NAT = 1024;
  private static final int TOKEN_BITS = 18;
  private static final int TOKEN_IMPOSSIBLE = (1 << TOKEN_BITS) - 1;

  private static final double ENTROPY_STEPS_PER_NAT = 4096;
  private static final int ENTROPY_BITS = 16;
  private static final int MAX_ENTROPY = (1 << ENTROPY_BITS) - 1;

  /** Least bits of a row beside one for each of its ids. */
  static final int MIN_ROW_BITS = CELL_BITS + RICE_BITS + TAIL_BITS + 2 + ENTROPY_BITS;

  private final int vocabularySize;
  private final int k;
  private final boolean normalised;

  // Scratch of one row, in ascending order of ids.
  private final long[] byId;
  private final int[] sortedIds;
  private final int[] cells;
  private final int[] order;
  private final long[] byLikelihood;

  TopKFormat1(int vocabularySize, int k, boolean normalised) {
    this.vocabularySize = vocabularySize;
    this.k = k;
    this.normalised = normalised;
    this.byId = new long[k];
    this.sortedIds = new int[k];
    this.cells = new int[k];
    this.order = new int[k];
    this.byLikelihood = new long[k];
  }

  /**
   * Encodes a block: what releases before format 2 wrote.
   *
   * @throws IllegalArgumentException when a row is no distribution: an id outside the vocabulary or
   *     twice, log-probs above 0, not a number or not likeliest first
   */
  static byte[] encode(TopKBlock block, int vocabularySize) {
    requireShape(block, vocabularySize);
    boolean normalised = true;
    for (int row = 0; row < block.rows(); row++) {
      normalised &= requireLogprobs(block, row);
    }
    int k = block.k();
    BitWriter out = new BitWriter(32 + block.rows() * (8 + 3 * k));
    out.writeByte(FORMAT);
    out.writeByte(normalised ? FLAG_NORMALISED : 0);
    out.writeVarint(vocabularySize);
    out.writeVarint(block.rows());
    out.writeVarint(k);
    TopKFormat1 format = new TopKFormat1(vocabularySize, k, normalised);
    for (int row = 0; row < block.rows(); row++) {
      format.write(block, row, out);
    }
    out.align();
    return SoftLabelCodec.withChecksum(out.array(), out.size());
  }

  private static void requireShape(TopKBlock block, int vocabularySize) {
    if (vocabularySize < 1 || vocabularySize > SoftLabelCodec.MAX_VOCABULARY_SIZE) {
      throw new IllegalArgumentException(
          "vocabularySize: "
              + vocabularySize
              + " (expected: 1 to "
              + SoftLabelCodec.MAX_VOCABULARY_SIZE
              + ")");
    }
    int least = block.rows() == 0 ? 0 : 1;
    if (block.k() < least || block.k() > vocabularySize) {
      throw new IllegalArgumentException(
          "k: " + block.k() + " (expected: " + least + " to " + vocabularySize + ")");
    }
    if (block.ids().length > MAX_ENTRIES) {
      throw new IllegalArgumentException(
          "rows * k: " + block.ids().length + " (expected: at most " + MAX_ENTRIES + ")");
    }
  }

  /** Returns whether the row sums to one. */
  private static boolean requireLogprobs(TopKBlock block, int row) {
    double sum = requireLogprob("tailLogMass", row, block.tailLogMass()[row]);
    float previous = Float.POSITIVE_INFINITY;
    for (int i = row * block.k(); i < (row + 1) * block.k(); i++) {
      float logprob = block.logprobs()[i];
      sum += requireLogprob("logprobs", row, logprob);
      if (logprob > previous) {
        throw new IllegalArgumentException(
            "logprobs, row "
                + row
                + ": "
                + logprob
                + " after "
                + previous
                + " (expected: likeliest first)");
      }
      previous = logprob;
    }
    requireLogprob("tokenLogprobs", row, block.tokenLogprobs()[row]);
    float entropy = block.entropy()[row];
    if (!(entropy >= -SUM_TOLERANCE && entropy < Float.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException(
          "entropy, row " + row + ": " + entropy + " (expected: 0 or more)");
    }
    return Math.abs(sum - 1) <= SUM_TOLERANCE;
  }

  private static double requireLogprob(String name, int row, float value) {
    // A little above zero is rounding.
    if (!(value <= SUM_TOLERANCE)) {
      throw new IllegalArgumentException(
          name + ", row " + row + ": " + value + " (expected: 0 or less)");
    }
    return Math.exp(value);
  }

  /**
   * @param in after the tag, up to the checksum
   */
  static TopKBlock decode(BitReader in, int vocabularySize) throws SoftLabelFormatException {
    int flags = in.read(8);
    if ((flags & ~FLAG_NORMALISED) != 0) {
      throw new SoftLabelFormatException("Soft labels: unknown flags " + flags);
    }
    int vocabulary = in.readVarint();
    if (vocabulary != vocabularySize) {
      throw new SoftLabelFormatException(
          "Soft labels of vocabulary " + vocabulary + " (expected: " + vocabularySize + ")");
    }
    int rows = in.readVarint();
    int k = in.readVarint();
    requirePlausible(rows, k, vocabulary, in.remainingBits());
    TopKBlock block =
        new TopKBlock(
            rows,
            k,
            new int[rows * k],
            new float[rows * k],
            new float[rows],
            new float[rows],
            new float[rows]);
    TopKFormat1 format = new TopKFormat1(vocabulary, k, (flags & FLAG_NORMALISED) != 0);
    for (int row = 0; row < rows; row++) {
      format.read(in, block, row);
    }
    if (in.remainingBits() >= 8) {
      throw new SoftLabelFormatException(
          "Soft labels: " + in.remainingBits() / 8 + " bytes after the last row");
    }
    return block;
  }

  /** Before any array is made: each row and each id takes some bits. */
  private static void requirePlausible(int rows, int k, int vocabulary, long bits)
      throws SoftLabelFormatException {
    boolean plausible =
        vocabulary <= SoftLabelCodec.MAX_VOCABULARY_SIZE
            && k <= vocabulary
            && (k > 0 || rows == 0)
            && (long) rows * k <= MAX_ENTRIES
            && (long) rows * (TopKFormat1.MIN_ROW_BITS + k) <= bits;
    if (!plausible) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: rows, k, vocabulary: "
              + rows
              + ", "
              + k
              + ", "
              + vocabulary
              + " in "
              + bits / 8
              + " bytes");
    }
  }

  void write(TopKBlock block, int row, BitWriter out) {
    int base = row * k;
    for (int i = 0; i < k; i++) {
      int id = block.ids()[base + i];
      if (id < 0 || id >= vocabularySize) {
        throw new IllegalArgumentException(
            "ids, row " + row + ": " + id + " (expected: 0 to " + (vocabularySize - 1) + ")");
      }
      byId[i] = ((long) id << 32) | i;
    }
    Arrays.sort(byId);
    int maxCell = 0;
    int top = 0;
    for (int i = 0; i < k; i++) {
      int rank = (int) byId[i];
      sortedIds[i] = (int) (byId[i] >>> 32);
      if (i > 0 && sortedIds[i] == sortedIds[i - 1]) {
        throw new IllegalArgumentException("ids, row " + row + ": " + sortedIds[i] + " twice");
      }
      cells[i] = fineCell(block.logprobs()[base + rank]);
      maxCell = Math.max(maxCell, cells[i] >> FINE_BITS);
      if (rank == 0) {
        top = i;
      }
    }
    int rice = bestRice(maxCell);
    out.write(maxCell, CELL_BITS);
    out.write(rice, RICE_BITS);
    writeIds(0, k, 0, vocabularySize - 1, out);
    for (int i = 0; i < k; i++) {
      int cell = cells[i] >> FINE_BITS;
      int distance = maxCell - cell;
      out.writeUnary(distance >> rice);
      out.write(distance, rice);
      int cut = cutBits(cell);
      out.write(cells[i] >> (FINE_BITS - cut), cut);
    }
    writeTop(top, out);
    orderByLikelihood(top);
    writeTail(block.tailLogMass()[row], out);
    writeToken(block, row, out);
    out.write(
        (int) Math.min(MAX_ENTROPY, Math.round(block.entropy()[row] * ENTROPY_STEPS_PER_NAT)),
        ENTROPY_BITS);
  }

  void read(BitReader in, TopKBlock block, int row) throws SoftLabelFormatException {
    int maxCell = in.read(CELL_BITS);
    int rice = in.read(RICE_BITS);
    readIds(0, k, 0, vocabularySize - 1, in);
    for (int i = 0; i < k; i++) {
      int high = in.readUnary(maxCell >> rice);
      int cell = maxCell - ((high << rice) | in.read(rice));
      if (cell < 0) {
        throw new SoftLabelFormatException("Soft labels are damaged: a log-prob above 0");
      }
      int cut = cutBits(cell);
      cells[i] = (cell << FINE_BITS) | (in.read(cut) << (FINE_BITS - cut));
    }
    int top = readTop(in);
    orderByLikelihood(top);
    int base = row * k;
    int tail = in.read(TAIL_BITS);
    double tailLogMass = tail == NO_TAIL ? Double.NEGATIVE_INFINITY : -tail / TAIL_STEPS_PER_NAT;
    double shift = normalised ? logSum(tailLogMass) : 0;
    for (int rank = 0; rank < k; rank++) {
      block.ids()[base + rank] = sortedIds[order[rank]];
      block.logprobs()[base + rank] = (float) Math.min(0, -middle(cells[order[rank]]) - shift);
    }
    block.tailLogMass()[row] = (float) Math.min(0, tailLogMass - shift);
    block.tokenLogprobs()[row] = readToken(in, block, base);
    block.entropy()[row] = (float) (in.read(ENTROPY_BITS) / ENTROPY_STEPS_PER_NAT);
  }

  // --- log-probs

  /** The cell in the high bits, and the cut within it in the low {@link #FINE_BITS}. */
  private static int fineCell(float logprob) {
    double x = Math.max(0, -(double) logprob) * CELLS_PER_NAT;
    if (!(x < MAX_CELL)) {
      return MAX_CELL << FINE_BITS;
    }
    int cell = (int) x;
    int cut = cutBits(cell);
    int within = (int) ((x - cell) * (1 << cut));
    return (cell << FINE_BITS) | (within << (FINE_BITS - cut));
  }

  private static int cutBits(int cell) {
    return cell < FINE_CELLS ? FINE_BITS : cell < MEDIUM_CELLS ? MEDIUM_BITS : 0;
  }

  /** -log p in the middle of the cut. */
  private static double middle(int fineCell) {
    int cell = fineCell >> FINE_BITS;
    double cut = 1.0 / (1 << cutBits(cell));
    double within = (fineCell & ((1 << FINE_BITS) - 1)) / (double) (1 << FINE_BITS);
    return (cell + within + cut / 2) / CELLS_PER_NAT;
  }

  private double logSum(double tailLogMass) {
    double sum = Math.exp(tailLogMass);
    for (int i = 0; i < k; i++) {
      sum += Math.exp(-middle(cells[i]));
    }
    return Math.log(sum);
  }

  private int bestRice(int maxCell) {
    int best = 0;
    long bestBits = Long.MAX_VALUE;
    for (int rice = 0; rice <= CELL_BITS; rice++) {
      long bits = (long) k * rice;
      for (int i = 0; i < k; i++) {
        bits += (maxCell - (cells[i] >> FINE_BITS)) >> rice;
      }
      if (bits < bestBits) {
        best = rice;
        bestBits = bits;
      }
    }
    return best;
  }

  // --- ids

  /** The middle id of sortedIds[from, to), known to lie in [low, high], then both sides. */
  private void writeIds(int from, int to, int low, int high, BitWriter out) {
    if (from == to) {
      return;
    }
    int middle = (from + to) >>> 1;
    int least = low + (middle - from);
    int most = high - (to - 1 - middle);
    out.writeBelow(sortedIds[middle] - least, most - least + 1);
    writeIds(from, middle, low, sortedIds[middle] - 1, out);
    writeIds(middle + 1, to, sortedIds[middle] + 1, high, out);
  }

  private void readIds(int from, int to, int low, int high, BitReader in)
      throws SoftLabelFormatException {
    if (from == to) {
      return;
    }
    int middle = (from + to) >>> 1;
    int least = low + (middle - from);
    int most = high - (to - 1 - middle);
    sortedIds[middle] = least + in.readBelow(most - least + 1);
    readIds(from, middle, low, sortedIds[middle] - 1, in);
    readIds(middle + 1, to, sortedIds[middle] + 1, high, in);
  }

  // --- order

  /** Which of the ids that share the least cell comes first: the likeliest must stay exact. */
  private void writeTop(int top, BitWriter out) {
    int before = 0;
    int tied = 0;
    for (int i = 0; i < k; i++) {
      if (cells[i] == cells[top]) {
        before += i < top ? 1 : 0;
        tied++;
      }
    }
    out.writeBelow(before, tied);
  }

  private int readTop(BitReader in) throws SoftLabelFormatException {
    int least = Integer.MAX_VALUE;
    int tied = 0;
    for (int i = 0; i < k; i++) {
      if (cells[i] < least) {
        least = cells[i];
        tied = 0;
      }
      tied += cells[i] == least ? 1 : 0;
    }
    int chosen = in.readBelow(tied);
    int top = 0;
    for (int i = 0; i < k; i++) {
      if (cells[i] == least && chosen-- == 0) {
        top = i;
      }
    }
    return top;
  }

  private void orderByLikelihood(int top) {
    for (int i = 0; i < k; i++) {
      byLikelihood[i] = ((i == top ? -1L : cells[i]) << 32) | i;
    }
    Arrays.sort(byLikelihood);
    for (int rank = 0; rank < k; rank++) {
      order[rank] = (int) byLikelihood[rank];
    }
  }

  // --- the rest of a row

  private static void writeTail(float tailLogMass, BitWriter out) {
    double steps = Math.max(0, -(double) tailLogMass) * TAIL_STEPS_PER_NAT;
    out.write(steps < NO_TAIL - 0.5 ? (int) Math.round(steps) : NO_TAIL, TAIL_BITS);
  }

  /** The token's rank where it is among the ids, else its log-prob. */
  private void writeToken(TopKBlock block, int row, BitWriter out) {
    float logprob = block.tokenLogprobs()[row];
    int base = row * k;
    for (int rank = 0; rank < k; rank++) {
      // In decoded order; byId still says where each stood in the block.
      if (block.logprobs()[base + (int) byId[order[rank]]] == logprob) {
        out.write(1, 1);
        out.writeGamma(rank + 1);
        return;
      }
    }
    out.write(0, 1);
    double steps = Math.max(0, -(double) logprob) * TOKEN_STEPS_PER_NAT;
    int coded =
        logprob == Float.NEGATIVE_INFINITY
            ? TOKEN_IMPOSSIBLE
            : (int) Math.min(TOKEN_IMPOSSIBLE - 1, Math.round(steps));
    out.write(coded, TOKEN_BITS);
  }

  private float readToken(BitReader in, TopKBlock block, int base) throws SoftLabelFormatException {
    if (in.read(1) == 1) {
      int rank = in.readGamma(30) - 1;
      if (rank >= k) {
        throw new SoftLabelFormatException(
            "Soft labels are damaged: rank of the token: " + rank + " (expected: below " + k + ")");
      }
      return block.logprobs()[base + rank];
    }
    int coded = in.read(TOKEN_BITS);
    return coded == TOKEN_IMPOSSIBLE
        ? Float.NEGATIVE_INFINITY
        : (float) Math.min(0, -coded / TOKEN_STEPS_PER_NAT);
  }
}
