package io.reflux.schemas.labels;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Locale;
import java.util.zip.CRC32C;

/**
 * The bytes of {@code SoftLabels.labels}; docs/SOFT_LABELS.md describes the formats, and to what
 * error each brings back what.
 */
public final class SoftLabelCodec {
  /** Highest format tag that this build reads. */
  public static final int MAX_FORMAT = 4;

  /** Largest vocabulary that the formats can name. */
  public static final int MAX_VOCABULARY_SIZE = 1 << 20;

  /** Most ids in a block; a lying header asks for no more memory than this. */
  static final int MAX_ENTRIES = 1 << 26;

  private static final int CHECKSUM_BYTES = 4;

  private SoftLabelCodec() {}

  /**
   * Encodes a block: top-k as format 2, draws as 3, a support's log-probs as 4.
   *
   * @throws IllegalArgumentException when a row is none: an id outside the vocabulary or twice,
   *     log-probs above 0, not a number or not likeliest first, counts that are not of the draws
   */
  public static byte[] encode(LabelBlock block, int vocabularySize) {
    requireVocabulary(vocabularySize);
    BitWriter out = new BitWriter(64);
    if (block instanceof TopKBlock topK) {
      TopKFormat2Writer.encode(topK, vocabularySize, out);
    } else if (block instanceof SampledBlock sampled) {
      SampledFormat.encode(sampled, vocabularySize, out);
    } else if (block instanceof SupportBlock support) {
      SupportFormat.encode(support, vocabularySize, out);
    }
    out.align();
    return withChecksum(out.array(), out.size());
  }

  static void requireVocabulary(int vocabularySize) {
    if (vocabularySize < 1 || vocabularySize > MAX_VOCABULARY_SIZE) {
      throw new IllegalArgumentException(
          "vocabularySize: " + vocabularySize + " (expected: 1 to " + MAX_VOCABULARY_SIZE + ")");
    }
  }

  /** The first bytes of an array and their checksum. */
  static byte[] withChecksum(byte[] body, int length) {
    byte[] bytes = Arrays.copyOf(body, length + CHECKSUM_BYTES);
    ByteBuffer.wrap(bytes, length, CHECKSUM_BYTES).putInt(checksum(bytes, length));
    return bytes;
  }

  /**
   * Decodes a block of any format that was ever released.
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
    if (tag < TopKFormat1.FORMAT || tag > MAX_FORMAT) {
      throw new SoftLabelFormatException(
          "Unknown label format " + tag + ", this build reads up to " + MAX_FORMAT);
    }
    int end = bytes.length - CHECKSUM_BYTES;
    if (end < 1 || checksum(bytes, end) != ByteBuffer.wrap(bytes, end, CHECKSUM_BYTES).getInt()) {
      throw new SoftLabelFormatException(
          "Soft labels are damaged: " + bytes.length + " bytes whose checksum does not hold");
    }
    BitReader in = new BitReader(bytes, 1, end);
    return switch (tag) {
      case TopKFormat1.FORMAT -> TopKFormat1.decode(in, vocabularySize);
      case TopKFormat2.TAG -> TopKFormat2.decode(in, bytes, vocabularySize);
      case SampledFormat.TAG -> SampledFormat.decode(in, vocabularySize);
      default -> SupportFormat.decode(in, vocabularySize);
    };
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

  /**
   * The probability below which a block names ids without telling them apart; 0 where it tells all.
   *
   * @param bytes that {@link #decode} takes
   */
  public static double resolution(byte[] bytes) throws SoftLabelFormatException {
    if (bytes.length == 0 || bytes[0] != TopKFormat2.TAG) {
      return 0;
    }
    double steps = TopKFormat2.steps(new BitReader(bytes, 1, bytes.length));
    return 1 / (steps * steps);
  }

  private static int checksum(byte[] bytes, int length) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, 0, length);
    return (int) crc.getValue();
  }
}
