package io.reflux.schemas.labels;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Damages encoded labels of every format, at random but repeatably, and holds the codec to its
 * word: damaged bytes are refused, and where a checksum was made to fit them, they are refused or
 * read as a block that means something.
 */
public final class CodecFuzz {
  private static final int CHECKSUM_BYTES = 4;
  private static final int SOUND = 96;

  private final byte[][] sound = new byte[SOUND][];
  private final int[] vocabularies = new int[SOUND];

  /**
   * How the cases ended.
   *
   * @param rejected by a {@link SoftLabelFormatException}
   * @param accepted read as a consistent block: damage that hit nothing, or whose checksum was made
   *     to fit
   */
  public record Outcome(long rejected, long accepted) {}

  private CodecFuzz(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < SOUND; i++) {
      int vocabulary = 1 + random.nextInt(i % 3 == 0 ? 1 << 17 : 200);
      int rows = random.nextInt(4);
      vocabularies[i] = vocabulary;
      sound[i] =
          switch (i % 4) {
            case 0 -> TopKFormat1.encode(topK(rows, vocabulary, false, random), vocabulary);
            case 1 -> SoftLabelCodec.encode(topK(rows, vocabulary, true, random), vocabulary);
            case 2 -> SoftLabelCodec.encode(sampled(rows, vocabulary, random), vocabulary);
            default -> SoftLabelCodec.encode(support(rows, vocabulary, random), vocabulary);
          };
    }
  }

  /**
   * Runs so many cases; the same seed runs the same.
   *
   * @throws IllegalStateException naming the seed and the case when anything else happens than a
   *     refusal or a consistent block
   */
  public static Outcome run(long seed, long cases) {
    CodecFuzz fuzz = new CodecFuzz(seed);
    long rejected = 0;
    for (long number = 0; number < cases; number++) {
      try {
        rejected += fuzz.rejects(new SplittableRandom(seed + 0x9e3779b97f4a7c15L * number)) ? 1 : 0;
      } catch (RuntimeException e) {
        throw new IllegalStateException("seed " + seed + ", case " + number + ": " + e, e);
      }
    }
    return new Outcome(rejected, cases - rejected);
  }

  private boolean rejects(SplittableRandom random) {
    int which = random.nextInt(SOUND);
    byte[] original = sound[which];
    byte[] damaged = damage(original, random);
    boolean fitted = random.nextBoolean() && damaged.length > CHECKSUM_BYTES;
    if (fitted) {
      damaged = SoftLabelCodec.withChecksum(damaged, damaged.length - CHECKSUM_BYTES);
    }
    LabelBlock block;
    try {
      block = SoftLabelCodec.decode(damaged, vocabularies[which]);
    } catch (SoftLabelFormatException e) {
      return true;
    }
    if (!fitted && !isSound(damaged)) {
      throw new IllegalStateException("damage that went unnoticed");
    }
    requireConsistent(block, vocabularies[which], damaged);
    return false;
  }

  /** Damage may undo itself, or put other sound bytes in place. */
  private boolean isSound(byte[] bytes) {
    return Arrays.stream(sound).anyMatch(one -> Arrays.equals(one, bytes));
  }

  // --- damage

  private byte[] damage(byte[] original, SplittableRandom random) {
    byte[] bytes = original.clone();
    int turns = 1 + random.nextInt(3);
    for (int turn = 0; turn < turns && bytes.length > 0; turn++) {
      int at = random.nextInt(bytes.length);
      // Most of what can lie is in the first bytes.
      int early = random.nextInt(Math.min(bytes.length, 16));
      switch (random.nextInt(9)) {
        case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
        case 1 -> bytes[at] = (byte) random.nextInt();
        case 2 -> bytes[early] ^= (byte) (1 << random.nextInt(8));
        case 3 -> bytes[early] = (byte) random.nextInt();
        case 4 -> bytes = Arrays.copyOf(bytes, at);
        case 5 -> bytes = Arrays.copyOf(bytes, bytes.length + 1 + random.nextInt(9));
        case 6 -> Arrays.fill(bytes, at, bytes.length, (byte) -random.nextInt(2));
        case 7 -> bytes = splice(bytes, at, sound[random.nextInt(SOUND)], random);
        default -> bytes[0] = (byte) (1 + random.nextInt(SoftLabelCodec.MAX_FORMAT));
      }
    }
    return bytes;
  }

  private static byte[] splice(byte[] head, int length, byte[] tail, SplittableRandom random) {
    int from = random.nextInt(tail.length);
    byte[] bytes = Arrays.copyOf(head, length + tail.length - from);
    System.arraycopy(tail, from, bytes, length, tail.length - from);
    return bytes;
  }

  // --- what a block must be

  private static void requireConsistent(LabelBlock block, int vocabulary, byte[] bytes) {
    require(block.rows() <= bytes.length * 8L, "rows", block.rows());
    for (float logprob : block.tokenLogprobs()) {
      require(logprob <= 0, "tokenLogprobs", logprob);
    }
    for (float entropy : block.entropy()) {
      require(Float.isNaN(entropy) || entropy >= 0, "entropy", entropy);
    }
    // The writer checks ids, order, counts and log-probs.
    byte[] again = SoftLabelCodec.encode(block, vocabulary);
    try {
      LabelBlock read = SoftLabelCodec.decode(again, vocabulary);
      require(read.rows() == block.rows(), "rows read again", read.rows());
    } catch (SoftLabelFormatException e) {
      throw new IllegalStateException("written again, refused", e);
    }
    if (block instanceof TopKBlock topK && bytes[0] == TopKFormat2.TAG) {
      requireSums(topK, (bytes[1] & LabelHeader.NORMALISED) != 0);
    }
  }

  private static void requireSums(TopKBlock block, boolean normalised) {
    for (int row = 0; row < block.rows() && normalised; row++) {
      double sum = Math.exp(block.tailLogMass()[row]);
      for (int i = row * block.k(); i < (row + 1) * block.k(); i++) {
        sum += Math.exp(block.logprobs()[i]);
      }
      require(Double.isNaN(sum) || Math.abs(sum - 1) < 1e-4, "sum", sum);
    }
  }

  private static void require(boolean holds, String name, double value) {
    if (!holds) {
      throw new IllegalStateException(name + ": " + value);
    }
  }

  // --- sound blocks

  private static TopKBlock topK(
      int rows, int vocabulary, boolean mayBeUnknown, SplittableRandom random) {
    int k = 1 + random.nextInt(Math.min(vocabulary, 60));
    int[] ids = new int[rows * k];
    float[] logprobs = new float[rows * k];
    float[] tail = new float[rows];
    float[] token = new float[rows];
    float[] entropy = new float[rows];
    for (int row = 0; row < rows; row++) {
      System.arraycopy(distinct(k, vocabulary, random), 0, ids, row * k, k);
      double left = 1;
      double share = random.nextDouble();
      double previous = 1;
      for (int i = 0; i < k; i++) {
        double mass = Math.min(previous, left * share * (0.5 + random.nextDouble() / 2));
        logprobs[row * k + i] = (float) Math.log(mass);
        previous = Math.exp(logprobs[row * k + i]);
        left -= mass;
      }
      tail[row] =
          k == vocabulary ? Float.NEGATIVE_INFINITY : (float) Math.log(Math.max(left, 1e-12));
      token[row] = random.nextBoolean() ? logprobs[row * k] : (float) Math.log(random.nextDouble());
      entropy[row] = (float) (random.nextDouble() * Math.log(vocabulary + 1));
      if (mayBeUnknown && random.nextInt(8) == 0) {
        tail[row] = Float.NaN;
        entropy[row] = Float.NaN;
      }
    }
    return new TopKBlock(rows, k, ids, logprobs, tail, token, entropy);
  }

  private static int[] distinct(int count, int vocabulary, SplittableRandom random) {
    return vocabulary < 4 * count
        ? Arrays.copyOf(shuffled(vocabulary, random), count)
        : random.ints(0, vocabulary).distinct().limit(count).toArray();
  }

  private static int[] shuffled(int size, SplittableRandom random) {
    int[] values = new int[size];
    for (int i = 0; i < size; i++) {
      int j = random.nextInt(i + 1);
      values[i] = values[j];
      values[j] = i;
    }
    return values;
  }

  private static SampledBlock sampled(int rows, int vocabulary, SplittableRandom random) {
    int draws = 1 + random.nextInt(60);
    int[] drawn = new int[rows * draws];
    for (int i = 0; i < drawn.length; i++) {
      drawn[i] = (int) (vocabulary * Math.pow(random.nextDouble(), 8));
    }
    float[] token = new float[rows];
    float[] entropy = new float[rows];
    for (int row = 0; row < rows; row++) {
      token[row] = (float) Math.log(random.nextDouble());
      entropy[row] = random.nextInt(8) == 0 ? Float.NaN : (float) (10 * random.nextDouble());
    }
    return SampledBlock.of(rows, draws, drawn, token, entropy);
  }

  private static SupportBlock support(int rows, int vocabulary, SplittableRandom random) {
    int k = 1 + random.nextInt(Math.min(vocabulary, 60));
    float[] logprobs = new float[rows * k];
    for (int i = 0; i < logprobs.length; i++) {
      logprobs[i] =
          random.nextInt(20) == 0 ? Float.NEGATIVE_INFINITY : (float) (-20 * random.nextDouble());
    }
    float[] tail = new float[rows];
    float[] token = new float[rows];
    float[] entropy = new float[rows];
    for (int row = 0; row < rows; row++) {
      boolean unknown = random.nextInt(8) == 0;
      tail[row] = unknown ? Float.NaN : (float) (-5 * random.nextDouble());
      token[row] = random.nextBoolean() ? logprobs[row * k] : -3.5f;
      entropy[row] = unknown ? Float.NaN : (float) (10 * random.nextDouble());
    }
    return new SupportBlock(rows, k, random.nextInt(), logprobs, tail, token, entropy);
  }
}
