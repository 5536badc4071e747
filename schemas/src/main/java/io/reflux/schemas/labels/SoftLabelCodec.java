package io.reflux.schemas.labels;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.zip.CRC32C;

/**
 * The bytes of {@code SoftLabels.labels}; docs/SOFT_LABELS.md describes the format.
 *
 * <p>Exact: ids, which id is likeliest, that there is no tail. Approximate: log-probs to 1/512 nat
 * where p > e^-2, to 1/128 where p > e^-5, to 1/32 below (before rows are made to sum to one, which
 * moves a row by at most its own mean error); tail log mass and the log-prob of a token outside the
 * k ids to 1/2048; entropy to 1/8192 nat. Log-probs below -255 come back as about -255.97, tail log
 * masses below -63.99 as none. Ids whose log-probs fall into one cell may change places, the
 * likeliest excepted.
 */
public final class SoftLabelCodec {
  /** Highest format tag that this build reads, and the one that it writes. */
  public static final int FORMAT = 1;

  /** Largest vocabulary that the format can name. */
  public static final int MAX_VOCABULARY_SIZE = 1 << 20;

  /** Most ids in a block; a lying header asks for no more memory than this. */
  private static final int MAX_ENTRIES = 1 << 26;

  private static final int FLAG_NORMALISED = 1;
  private static final int CHECKSUM_BYTES = 4;

  /** How far from one a row may sum and still count as normalised. */
  private static final double SUM_TOLERANCE = 1e-3;

  private SoftLabelCodec() {}

  /**
   * Encodes a block.
   *
   * @throws IllegalArgumentException when a row is no distribution: an id outside the vocabulary or
   *     twice, log-probs above 0, not a number or not likeliest first
   */
  public static byte[] encode(SoftLabelBlock block, int vocabularySize) {
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
    TopKFormat format = new TopKFormat(vocabularySize, k, normalised);
    for (int row = 0; row < block.rows(); row++) {
      format.write(block, row, out);
    }
    out.align();
    int checksum = checksum(out.array(), out.size());
    out.write(checksum, 32);
    return Arrays.copyOf(out.array(), out.size());
  }

  private static void requireShape(SoftLabelBlock block, int vocabularySize) {
    if (vocabularySize < 1 || vocabularySize > MAX_VOCABULARY_SIZE) {
      throw new IllegalArgumentException(
          "vocabularySize: " + vocabularySize + " (expected: 1 to " + MAX_VOCABULARY_SIZE + ")");
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
  private static boolean requireLogprobs(SoftLabelBlock block, int row) {
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
   * Decodes a block; rows come likeliest first.
   *
   * @param vocabularySize what the bytes must be of
   * @throws SoftLabelFormatException when the bytes are of another format or vocabulary, or damaged
   */
  public static SoftLabelBlock decode(byte[] bytes, int vocabularySize)
      throws SoftLabelFormatException {
    if (bytes.length == 0) {
      throw new SoftLabelFormatException("Soft labels: no bytes");
    }
    int tag = bytes[0] & 0xff;
    if (tag != FORMAT) {
      throw new SoftLabelFormatException(
          "Unknown label format " + tag + ", this build reads up to " + FORMAT);
    }
    int end = bytes.length - CHECKSUM_BYTES;
    if (end < 1 || checksum(bytes, end) != ByteBuffer.wrap(bytes, end, CHECKSUM_BYTES).getInt()) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: " + bytes.length + " bytes whose checksum does not hold");
    }
    BitReader in = new BitReader(bytes, 1, end);
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
    SoftLabelBlock block =
        new SoftLabelBlock(
            rows,
            k,
            new int[rows * k],
            new float[rows * k],
            new float[rows],
            new float[rows],
            new float[rows]);
    TopKFormat format = new TopKFormat(vocabulary, k, (flags & FLAG_NORMALISED) != 0);
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
        vocabulary <= MAX_VOCABULARY_SIZE
            && k <= vocabulary
            && (k > 0 || rows == 0)
            && (long) rows * k <= MAX_ENTRIES
            && (long) rows * (TopKFormat.MIN_ROW_BITS + k) <= bits;
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

  private static int checksum(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return (int) crc.getValue();
  }
}
