package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;

class TopKFormat1Test {
  @Property(tries = 300)
  void everythingComesBackWithinTheStatedError(
      @ForAll @IntRange(min = 0, max = 12) int rows,
      @ForAll @IntRange(min = 1, max = 600) int vocabulary,
      @ForAll @DoubleRange(min = 0, max = 1) double share,
      @ForAll @DoubleRange(min = 0, max = 12) double sharpness,
      @ForAll long seed)
      throws SoftLabelFormatException {
    int k = Math.max(1, (int) (share * vocabulary));
    TopKBlock block = Blocks.random(rows, k, vocabulary, sharpness, seed);

    TopKBlock decoded =
        SoftLabelCodec.decodeTopK(TopKFormat1.encode(block, vocabulary), vocabulary);

    assertAlike(block, decoded);
  }

  private static void assertAlike(TopKBlock block, TopKBlock decoded) {
    assertThat(decoded.rows()).isEqualTo(block.rows());
    assertThat(decoded.k()).isEqualTo(block.k());
    int k = block.k();
    for (int row = 0; row < block.rows(); row++) {
      assertThat(decoded.topId(row)).isEqualTo(block.topId(row));
      Map<Integer, Float> truth = new HashMap<>();
      for (int i = row * k; i < (row + 1) * k; i++) {
        truth.put(block.ids()[i], block.logprobs()[i]);
      }
      double divergence = 0;
      double sum = Math.exp(decoded.tailLogMass()[row]);
      for (int i = row * k; i < (row + 1) * k; i++) {
        assertThat(truth).containsKey(decoded.ids()[i]);
        float exact = truth.remove(decoded.ids()[i]);
        assertThat((double) decoded.logprobs()[i])
            .isCloseTo(Math.max(exact, -255.97), within(statedError(exact)));
        divergence += Math.exp(exact) * (exact - decoded.logprobs()[i]);
        sum += Math.exp(decoded.logprobs()[i]);
        if (i > row * k) {
          assertThat(decoded.logprobs()[i]).isLessThanOrEqualTo(decoded.logprobs()[i - 1]);
        }
      }
      assertThat(sum).isCloseTo(1, within(1e-5));
      double tail = block.tailLogMass()[row];
      if (tail < -64) {
        assertThat(decoded.tailLogMass()[row]).isEqualTo(Float.NEGATIVE_INFINITY);
      } else {
        assertThat((double) decoded.tailLogMass()[row]).isCloseTo(tail, within(0.033));
        divergence += Math.exp(tail) * (tail - decoded.tailLogMass()[row]);
      }
      assertThat(divergence).isBetween(-1e-5, 6e-4);
      assertThat((double) decoded.tokenLogprobs()[row])
          .isCloseTo(block.tokenLogprobs()[row], within(statedError(block.tokenLogprobs()[row])));
      assertThat(decoded.entropy()[row]).isCloseTo(block.entropy()[row], within(1.3e-4f));
    }
  }

  /** The cut's half, and the most that making the row sum to one can move it. */
  private static double statedError(double logprob) {
    double cut = logprob > -2 ? 1 / 512.0 : logprob > -5 ? 1 / 128.0 : 1 / 32.0;
    return cut + 1 / 32.0 + 1e-4;
  }

  @Test
  void wholeVocabularyHasNoTail() throws SoftLabelFormatException {
    TopKBlock block = Blocks.random(3, 1024, 1024, 2, 7);

    TopKBlock decoded = roundTrip(block, 1024);

    assertAlike(block, decoded);
    assertThat(decoded.tailLogMass()).containsOnly(Float.NEGATIVE_INFINITY);
  }

  @Test
  void oneIdOfTheLargestVocabulary() throws SoftLabelFormatException {
    TopKBlock block =
        new TopKBlock(
            1,
            1,
            new int[] {SoftLabelCodec.MAX_VOCABULARY_SIZE - 1},
            new float[] {-0.5f},
            new float[] {(float) Math.log1p(-Math.exp(-0.5))},
            new float[] {-0.5f},
            new float[] {13.86f});

    assertAlike(block, roundTrip(block, SoftLabelCodec.MAX_VOCABULARY_SIZE));
  }

  @Test
  void certaintyStaysCertain() throws SoftLabelFormatException {
    TopKBlock block =
        new TopKBlock(
            1,
            2,
            new int[] {5, 3},
            new float[] {-1e-6f, -13.8155f},
            new float[] {Float.NEGATIVE_INFINITY},
            new float[] {-1e-6f},
            new float[] {0});

    TopKBlock decoded = roundTrip(block, 10);

    assertThat(decoded.logprobs()[0]).isCloseTo(-1e-6f, within(1e-7f));
    assertThat(decoded.tokenLogprobs()[0]).isEqualTo(decoded.logprobs()[0]);
  }

  @Test
  void likeliestIdStaysFirstAmongIdsOfOneCell() throws SoftLabelFormatException {
    int k = 7;
    float[] logprobs = new float[k];
    for (int i = 0; i < k; i++) {
      logprobs[i] = -1.9459101f - i * 1e-5f;
    }
    TopKBlock block =
        new TopKBlock(
            1,
            k,
            new int[] {4, 0, 6, 2, 5, 1, 3},
            logprobs,
            new float[] {Float.NEGATIVE_INFINITY},
            new float[] {logprobs[3]},
            new float[] {1.9459101f});

    assertThat(roundTrip(block, k).topId(0)).isEqualTo(4);
  }

  @Test
  void impossibleTokensAndIdsComeBackAsSuch() throws SoftLabelFormatException {
    TopKBlock block =
        new TopKBlock(
            2,
            2,
            new int[] {1, 0, 1, 0},
            new float[] {0, -400, 0, Float.NEGATIVE_INFINITY},
            new float[] {Float.NEGATIVE_INFINITY, Float.NEGATIVE_INFINITY},
            new float[] {-300, -180.5f},
            new float[] {0, 0});

    TopKBlock decoded = roundTrip(block, 4);

    assertThat(decoded.logprobs()[1]).isCloseTo(-255.97f, within(0.01f));
    assertThat(decoded.tokenLogprobs()[0]).isCloseTo(-256f, within(0.01f));
    assertThat(decoded.tokenLogprobs()[1]).isCloseTo(-180.5f, within(0.001f));
  }

  @Test
  void rowsThatDoNotSumToOneAreKeptAsTheyAre() throws SoftLabelFormatException {
    TopKBlock block =
        new TopKBlock(
            1,
            2,
            new int[] {1, 0},
            new float[] {-2, -3},
            new float[] {-4},
            new float[] {-2},
            new float[] {1});

    TopKBlock decoded = roundTrip(block, 4);

    assertThat(decoded.logprobs()[0]).isCloseTo(-2f, within(1 / 128f));
    assertThat(decoded.logprobs()[1]).isCloseTo(-3f, within(1 / 128f));
    assertThat(decoded.tailLogMass()[0]).isEqualTo(-4f);
  }

  @Test
  void emptyBlock() throws SoftLabelFormatException {
    TopKBlock block = Blocks.random(0, 16, 1024, 1, 1);

    assertThat(roundTrip(block, 1024)).isEqualTo(block);
  }

  @Test
  void anotherVocabularyIsRefused() {
    byte[] bytes = TopKFormat1.encode(Blocks.random(1, 4, 16, 1, 1), 16);

    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> SoftLabelCodec.decodeTopK(bytes, 17))
        .withMessage("Soft labels of vocabulary 16 (expected: 17)");
  }

  @Test
  void everyFlippedBitAndEveryCutIsFound() {
    byte[] bytes = TopKFormat1.encode(Blocks.random(2, 8, 64, 2, 5), 64);
    for (int bit = 0; bit < bytes.length * 8; bit++) {
      byte[] damaged = bytes.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertDamaged(damaged);
    }
    for (int length = 0; length < bytes.length; length++) {
      assertDamaged(Arrays.copyOf(bytes, length));
    }
    assertDamaged(Arrays.copyOf(bytes, bytes.length + 1));
  }

  private static void assertDamaged(byte[] bytes) {
    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> SoftLabelCodec.decodeTopK(bytes, 64));
  }

  /** A forged checksum: the body itself must be read safely. */
  @Property(tries = 2000)
  void noBytesDoAnythingButDecodeOrFail(
      @ForAll @Size(max = 200) byte[] tail, @ForAll @IntRange(min = 1, max = 70) int vocabulary) {
    byte[] bytes = new byte[2 + tail.length];
    bytes[0] = TopKFormat1.FORMAT;
    bytes[1] = (byte) (tail.length % 2);
    System.arraycopy(tail, 0, bytes, 2, tail.length);

    try {
      TopKBlock block = SoftLabelCodec.decodeTopK(withChecksum(bytes), vocabulary);
      assertThat(block.rows()).isLessThanOrEqualTo(bytes.length);
    } catch (SoftLabelFormatException e) {
      assertThat(e).hasMessageStartingWith("Soft labels");
    }
  }

  @Property(tries = 500)
  void mutilatedBodiesDoNothingButDecodeOrFail(@ForAll long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    byte[] good = TopKFormat1.encode(Blocks.random(3, 9, 60, 3, seed), 60);
    byte[] body = Arrays.copyOf(good, good.length - 4);
    for (int i = 0; i < 3; i++) {
      body[1 + random.nextInt(body.length - 1)] = (byte) random.nextInt();
    }

    try {
      TopKBlock block = SoftLabelCodec.decodeTopK(withChecksum(body), 60);
      for (int id : block.ids()) {
        assertThat(id).isBetween(0, 59);
      }
    } catch (SoftLabelFormatException e) {
      assertThat(e).hasMessageStartingWith("Soft labels");
    }
  }

  @Test
  void countsThatLieCostNoMemory() {
    ByteBuffer header = ByteBuffer.allocate(32);
    header.put((byte) 1).put((byte) 0);
    header.put(new byte[] {(byte) 0x80, (byte) 0x80, 0x40}); // vocabulary 2^20
    header.put(new byte[] {(byte) 0xff, (byte) 0xff, (byte) 0xff, (byte) 0xff, 0x07}); // rows
    header.put(new byte[] {(byte) 0x80, (byte) 0x80, 0x40}); // k

    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> SoftLabelCodec.decodeTopK(withChecksum(header.array()), 1 << 20))
        .withMessageContaining("rows, k, vocabulary: 2147483647, 1048576, 1048576");
  }

  private static byte[] withChecksum(byte[] body) {
    CRC32C crc = new CRC32C();
    crc.update(body);
    return ByteBuffer.allocate(body.length + 4).put(body).putInt((int) crc.getValue()).array();
  }

  @Test
  void whatIsNoDistributionIsRefusedByName() {
    assertRefused(new int[] {1, 16}, -1, -2, "ids, row 0: 16 (expected: 0 to 15)");
    assertRefused(new int[] {1, 1}, -1, -2, "ids, row 0: 1 twice");
    assertRefused(
        new int[] {1, 2}, -2, -1, "logprobs, row 0: -1.0 after -2.0 (expected: likeliest first)");
    assertRefused(new int[] {1, 2}, 0.5f, -1, "logprobs, row 0: 0.5 (expected: 0 or less)");
    assertRefused(new int[] {1, 2}, -1, Float.NaN, "logprobs, row 0: NaN (expected: 0 or less)");
  }

  private static void assertRefused(int[] ids, float first, float second, String message) {
    TopKBlock block =
        new TopKBlock(
            1,
            2,
            ids,
            new float[] {first, second},
            new float[] {-1},
            new float[] {-1},
            new float[] {1});
    assertThatIllegalArgumentException()
        .isThrownBy(() -> TopKFormat1.encode(block, 16))
        .withMessage(message);
  }

  private static TopKBlock roundTrip(TopKBlock block, int vocabulary)
      throws SoftLabelFormatException {
    return SoftLabelCodec.decodeTopK(TopKFormat1.encode(block, vocabulary), vocabulary);
  }
}
