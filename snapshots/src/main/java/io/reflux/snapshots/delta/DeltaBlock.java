package io.reflux.snapshots.delta;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.Map;

/**
 * A stretch of a file as a block of differences from a stretch of another file.
 *
 * <p>The stretch is cut into segments; for each the encoder chooses how its bytes are read as
 * numbers, by which the differences are smallest, or leaves it as it is where there is nothing to
 * build on. The same bytes give the same block.
 *
 * <p>A block begins with {@code RXD}, the number of its format, the length of the stretch in four
 * bytes, big-endian, and the SHA-256 of the whole file that it builds on. The rest is coded bits.
 */
public final class DeltaBlock {
  /** Longest stretch, which bounds the memory that a block can ask for. */
  public static final int MAX_STRETCH_BYTES = 4 << 20;

  private static final int SEGMENT_BYTES = 512;
  private static final int SHA256_BYTES = 32;
  private static final int HEADER_BYTES = 8 + SHA256_BYTES;
  private static final byte[] MAGIC = {'R', 'X', 'D'};
  private static final int FORMAT = 1;

  /** Ways to code a segment: unchanged, not built on anything, or as numbers of some kind. */
  private static final int UNCHANGED = 0;

  private static final int PLAIN = 1;
  private static final int FIRST_NUMBERS = 2;
  private static final int WAY_BITS = 3;
  private static final int WAYS = 1 << WAY_BITS;
  private static final int PLAIN_BITS_A_BYTE = 8;
  private static final double LOG_2 = Math.log(2);
  private static final Numbers[] NUMBERS = Numbers.values();

  private final AdaptiveBits ways = new AdaptiveBits(WAYS * WAYS);
  private final AdaptiveBits plainBytes = new AdaptiveBits(256);
  private final Map<Numbers, DifferenceModel> models = new EnumMap<>(Numbers.class);
  private int previousWay;

  private DeltaBlock() {}

  /**
   * Codes a stretch.
   *
   * @param base what it follows on; may be shorter or longer than the stretch
   * @param baseSha256 of the whole file that the base is a stretch of, 32 bytes
   * @param stretch 1 to {@link #MAX_STRETCH_BYTES} bytes
   */
  public static byte[] encode(byte[] base, byte[] baseSha256, byte[] stretch) {
    requireLength(stretch.length);
    if (baseSha256.length != SHA256_BYTES) {
      throw new IllegalArgumentException("baseSha256: " + baseSha256.length + " (expected: 32)");
    }
    byte[] header =
        ByteBuffer.allocate(HEADER_BYTES)
            .put(MAGIC)
            .put((byte) FORMAT)
            .putInt(stretch.length)
            .put(baseSha256)
            .array();
    RangeEncoder coder = new RangeEncoder(header, stretch.length / 3);
    new DeltaBlock().code(coder, base, stretch, true);
    return coder.finish();
  }

  /**
   * The stretch that a block stands for.
   *
   * @param base the same bytes that it was encoded with
   * @param baseSha256 of the whole file that the base is a stretch of
   * @throws DeltaException if this is no block, or it builds on another file
   */
  public static byte[] decode(byte[] base, byte[] baseSha256, byte[] block) throws DeltaException {
    if (block.length < HEADER_BYTES
        || !Arrays.equals(block, 0, MAGIC.length, MAGIC, 0, MAGIC.length)) {
      throw new DeltaException("not a block of differences (expected: one that begins with RXD)");
    }
    int format = block[MAGIC.length] & 0xFF;
    if (format != FORMAT) {
      throw new DeltaException(
          "format " + format + " of differences (expected: " + FORMAT + ", all this build reads)");
    }
    ByteBuffer header = ByteBuffer.wrap(block, MAGIC.length + 1, HEADER_BYTES - MAGIC.length - 1);
    int length = header.getInt();
    if (length < 1 || length > MAX_STRETCH_BYTES) {
      throw new DeltaException(
          "a stretch of " + length + " bytes (expected: 1 to " + MAX_STRETCH_BYTES + ")");
    }
    byte[] built = new byte[SHA256_BYTES];
    header.get(built);
    if (!Arrays.equals(built, baseSha256)) {
      throw new DeltaException(
          "builds on a file with sha256 " + hex(built) + " (expected: " + hex(baseSha256) + ")");
    }
    RangeDecoder coder = new RangeDecoder(block, HEADER_BYTES);
    byte[] stretch = new byte[length];
    new DeltaBlock().code(coder, base, stretch, false);
    if (!coder.isAtEnd()) {
      throw new DeltaException("differences of another length (expected: whole ones)");
    }
    return stretch;
  }

  private static void requireLength(int length) {
    if (length < 1 || length > MAX_STRETCH_BYTES) {
      throw new IllegalArgumentException(
          "stretch: " + length + " bytes (expected: 1 to " + MAX_STRETCH_BYTES + ")");
    }
  }

  private static String hex(byte[] digest) {
    return HexFormat.of().formatHex(digest);
  }

  /** Both ways; when decoding, the stretch is what is filled. */
  private void code(BitCoder coder, byte[] base, byte[] stretch, boolean encoding) {
    for (int from = 0; from < stretch.length; from += SEGMENT_BYTES) {
      int length = Math.min(SEGMENT_BYTES, stretch.length - from);
      int way = codeWay(coder, encoding ? choose(base, stretch, from, length) : 0);
      if (way >= FIRST_NUMBERS) {
        Numbers numbers = numbers(way);
        codeNumbers(coder, numbers, padded(base, from, length), stretch, from, length);
      } else if (way == PLAIN) {
        codePlain(coder, stretch, from, length);
      } else {
        System.arraycopy(padded(base, from, length), 0, stretch, from, length);
      }
    }
  }

  /** Of a damaged block it may be none; then any does, for its digest will tell. */
  private static Numbers numbers(int way) {
    for (Numbers numbers : NUMBERS) {
      if (numbers.way() == way) {
        return numbers;
      }
    }
    return Numbers.FLOATS;
  }

  private int codeWay(BitCoder coder, int way) {
    int node = 1;
    for (int i = WAY_BITS - 1; i >= 0; i--) {
      node = (node << 1) | coder.code(ways, previousWay * WAYS + node, (way >> i) & 1);
    }
    previousWay = node - WAYS;
    return previousWay;
  }

  private void codeNumbers(
      BitCoder coder, Numbers numbers, byte[] base, byte[] stretch, int from, int length) {
    DifferenceModel model = models.computeIfAbsent(numbers, DifferenceModel::new);
    int count = numbers.count(length);
    for (int i = 0; i < count; i++) {
      int before = numbers.read(base, 0, i);
      int difference =
          model.code(coder, before, numbers.minus(numbers.read(stretch, from, i), before));
      numbers.write(stretch, from, i, numbers.plus(before, difference));
    }
  }

  private void codePlain(BitCoder coder, byte[] stretch, int from, int length) {
    for (int i = from; i < from + length; i++) {
      int node = 1;
      for (int bit = 7; bit >= 0; bit--) {
        node = (node << 1) | coder.code(plainBytes, node, (stretch[i] >> bit) & 1);
      }
      stretch[i] = (byte) node;
    }
  }

  /** The way that should take the fewest bits. */
  private static int choose(byte[] base, byte[] stretch, int from, int length) {
    if (from + length > base.length) {
      return PLAIN;
    }
    if (Arrays.equals(base, from, from + length, stretch, from, from + length)) {
      return UNCHANGED;
    }
    int best = PLAIN;
    double least = (double) PLAIN_BITS_A_BYTE * length;
    for (Numbers numbers : NUMBERS) {
      if (numbers.divides(length)) {
        double bits = estimate(numbers, base, stretch, from, length);
        if (bits < least) {
          least = bits;
          best = numbers.way();
        }
      }
    }
    return best;
  }

  /** The entropy of the differences' lengths, and the bits of their magnitudes and signs. */
  private static double estimate(
      Numbers numbers, byte[] base, byte[] stretch, int from, int length) {
    int[] counts = new int[Integer.SIZE + 1];
    int count = numbers.count(length);
    for (int i = 0; i < count; i++) {
      int difference = numbers.minus(numbers.read(stretch, from, i), numbers.read(base, from, i));
      counts[Integer.SIZE - Integer.numberOfLeadingZeros(Math.abs(difference))]++;
    }
    double bits = 0;
    for (int size = 0; size < counts.length; size++) {
      if (counts[size] > 0) {
        bits += counts[size] * (size + Math.log((double) count / counts[size]) / LOG_2);
      }
    }
    return bits;
  }

  /** A segment of the base, with zeros where it has ended. */
  private static byte[] padded(byte[] base, int from, int length) {
    return Arrays.copyOfRange(
        base, Math.min(from, base.length), Math.min(from, base.length) + length);
  }
}
