package io.reflux.schemas.labels;

import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Locale;
import java.util.zip.CRC32C;

/** The bytes of {@code SoftLabels.labels}; docs/SOFT_LABELS.md describes the formats. */
public final class SoftLabelCodec {
  /** Highest format tag that this build reads. */
  public static final int MAX_FORMAT = 4;

  /** Largest vocabulary that the formats can name. */
  public static final int MAX_VOCABULARY_SIZE = 1 << 20;

  /** Most ids in a block; a lying header asks for no more memory than this. */
  private static final int MAX_ENTRIES = 1 << 26;

  private static final int TOPK = 2;
  private static final int SAMPLED = 3;
  private static final int SUPPORT = 4;
  private static final int CHECKSUM_BYTES = 4;

  private SoftLabelCodec() {}

  /**
   * Encodes a block.
   *
   * @throws IllegalArgumentException when a row is no distribution: an id outside the vocabulary or
   *     twice, log-probs above 0, not a number or not likeliest first
   */
  public static byte[] encode(LabelBlock block, int vocabularySize) {
    if (vocabularySize < 1 || vocabularySize > MAX_VOCABULARY_SIZE) {
      throw new IllegalArgumentException(
          "vocabularySize: " + vocabularySize + " (expected: 1 to " + MAX_VOCABULARY_SIZE + ")");
    }
    BitWriter out = new BitWriter(1024);
    if (block instanceof TopKBlock topK) {
      writeHeader(TOPK, vocabularySize, block.rows(), topK.k(), out);
      writeInts(topK.ids(), out);
      writeFloats(topK.logprobs(), out);
      writeFloats(topK.tailLogMass(), out);
    } else if (block instanceof SampledBlock sampled) {
      writeHeader(SAMPLED, vocabularySize, block.rows(), sampled.draws(), out);
      writeInts(sampled.starts(), out);
      writeInts(sampled.ids(), out);
      writeInts(sampled.counts(), out);
    } else if (block instanceof SupportBlock support) {
      writeHeader(SUPPORT, vocabularySize, block.rows(), support.k(), out);
      out.write(support.supportChecksum(), 32);
      writeFloats(support.logprobs(), out);
      writeFloats(support.tailLogMass(), out);
    }
    writeFloats(block.tokenLogprobs(), out);
    writeFloats(block.entropy(), out);
    out.write(checksum(out.array(), out.size()), 32);
    return Arrays.copyOf(out.array(), out.size());
  }

  private static void writeHeader(int tag, int vocabularySize, int rows, int width, BitWriter out) {
    out.writeByte(tag);
    out.writeVarint(vocabularySize);
    out.writeVarint(rows);
    out.writeVarint(width);
  }

  private static void writeInts(int[] values, BitWriter out) {
    for (int value : values) {
      out.write(value, 32);
    }
  }

  private static void writeFloats(float[] values, BitWriter out) {
    for (float value : values) {
      out.write(Float.floatToIntBits(value), 32);
    }
  }

  /**
   * Decodes a block of any encoding.
   *
   * @param vocabularySize what the bytes must be of
   * @throws SoftLabelFormatException when the bytes are of another format or vocabulary, or damaged
   */
  public static LabelBlock decode(byte[] bytes, int vocabularySize)
      throws SoftLabelFormatException {
    if (bytes.length == 0) {
      throw new SoftLabelFormatException("Soft labels: no bytes");
    }
    int tag = bytes[0] & 0xff;
    if (tag < 1 || tag > MAX_FORMAT) {
      throw new SoftLabelFormatException(
          "Unknown label format " + tag + ", this build reads up to " + MAX_FORMAT);
    }
    int end = bytes.length - CHECKSUM_BYTES;
    if (end < 1 || checksum(bytes, end) != ByteBuffer.wrap(bytes, end, CHECKSUM_BYTES).getInt()) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: " + bytes.length + " bytes whose checksum does not hold");
    }
    if (tag == 1) {
      return TopKFormat.decode(bytes, vocabularySize);
    }
    ByteBuffer in = ByteBuffer.wrap(bytes, 1, end - 1);
    try {
      int vocabulary = readVarint(in);
      if (vocabulary != vocabularySize) {
        throw new SoftLabelFormatException(
            "Soft labels of vocabulary " + vocabulary + " (expected: " + vocabularySize + ")");
      }
      int rows = readVarint(in);
      int k = readVarint(in);
      if ((long) rows * k > MAX_ENTRIES || rows > in.remaining()) {
        throw new SoftLabelFormatException("Soft labels are damaged: " + rows + " rows of " + k);
      }
      LabelBlock block =
          switch (tag) {
            case TOPK ->
                new TopKBlock(
                    rows,
                    k,
                    ints(in, rows * k),
                    floats(in, rows * k),
                    floats(in, rows),
                    floats(in, rows),
                    floats(in, rows));
            case SAMPLED -> {
              int[] starts = ints(in, rows + 1);
              yield new SampledBlock(
                  rows,
                  k,
                  starts,
                  ints(in, starts[rows]),
                  ints(in, starts[rows]),
                  floats(in, rows),
                  floats(in, rows));
            }
            default ->
                new SupportBlock(
                    rows,
                    k,
                    in.getInt(),
                    floats(in, rows * k),
                    floats(in, rows),
                    floats(in, rows),
                    floats(in, rows));
          };
      if (in.hasRemaining()) {
        throw new SoftLabelFormatException(
            "Soft labels: " + in.remaining() + " bytes after the last row");
      }
      return block;
    } catch (IllegalArgumentException | BufferUnderflowException e) {
      throw new SoftLabelFormatException("Soft labels are damaged: " + e.getMessage());
    }
  }

  /**
   * Decodes a block that must be of {@link LabelEncoding#TOPK}.
   *
   * @throws SoftLabelFormatException as {@link #decode}, and when the block is of another encoding
   */
  public static TopKBlock decodeTopK(byte[] bytes, int vocabularySize)
      throws SoftLabelFormatException {
    LabelBlock block = decode(bytes, vocabularySize);
    if (block instanceof TopKBlock topK) {
      return topK;
    }
    throw new SoftLabelFormatException(
        "Soft labels of encoding "
            + block.encoding().name().toLowerCase(Locale.ROOT)
            + " (expected: topk)");
  }

  private static int readVarint(ByteBuffer in) throws SoftLabelFormatException {
    long value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      int next = in.get();
      value |= (long) (next & 0x7f) << shift;
      if (next >= 0 && value <= Integer.MAX_VALUE) {
        return (int) value;
      }
    }
    throw new SoftLabelFormatException("Soft labels are damaged: a count beyond 31 bits");
  }

  private static int[] ints(ByteBuffer in, int count) throws SoftLabelFormatException {
    requireRemaining(in, count);
    int[] values = new int[count];
    for (int i = 0; i < count; i++) {
      values[i] = in.getInt();
    }
    return values;
  }

  private static float[] floats(ByteBuffer in, int count) throws SoftLabelFormatException {
    requireRemaining(in, count);
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = Float.intBitsToFloat(in.getInt());
    }
    return values;
  }

  private static void requireRemaining(ByteBuffer in, int count) throws SoftLabelFormatException {
    if (count < 0 || in.remaining() / 4 < count) {
      throw new SoftLabelFormatException("Soft labels end early");
    }
  }

  static int checksum(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return (int) crc.getValue();
  }
}
