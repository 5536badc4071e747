package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SoftLabelCodecTest {
  private static final int VOCABULARY = 64;

  static Stream<LabelBlock> blocks() {
    SplittableRandom random = new SplittableRandom(4);
    return Stream.of(
        Blocks.random(2, 8, VOCABULARY, 2, 5),
        Blocks.sampled(2, VOCABULARY, random),
        Blocks.support(2, VOCABULARY, random));
  }

  @ParameterizedTest
  @MethodSource("blocks")
  void everyFlippedBitAndEveryCutIsFound(LabelBlock block) {
    byte[] bytes = SoftLabelCodec.encode(block, VOCABULARY);
    for (int bit = 0; bit < bytes.length * 8; bit++) {
      byte[] damaged = bytes.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertRefused(damaged);
    }
    for (int length = 0; length < bytes.length; length++) {
      assertRefused(Arrays.copyOf(bytes, length));
    }
    assertRefused(Arrays.copyOf(bytes, bytes.length + 1));
  }

  @ParameterizedTest
  @MethodSource("blocks")
  void bytesAfterTheLastRowAreFoundThoughTheChecksumFits(LabelBlock block) {
    byte[] bytes = SoftLabelCodec.encode(block, VOCABULARY);
    byte[] longer = Arrays.copyOf(bytes, bytes.length - 4 + 1);

    assertRefused(SoftLabelCodec.withChecksum(longer, longer.length));
  }

  private static void assertRefused(byte[] damaged) {
    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> SoftLabelCodec.decode(damaged, VOCABULARY));
  }

  @ParameterizedTest
  @MethodSource("blocks")
  void anotherVocabularyIsRefused(LabelBlock block) {
    byte[] bytes = SoftLabelCodec.encode(block, VOCABULARY);

    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> SoftLabelCodec.decode(bytes, 65))
        .withMessage("Soft labels of vocabulary 64 (expected: 65)");
  }

  @Test
  void countsThatLieCostNoMemory() {
    for (int tag = 2; tag <= 4; tag++) {
      BitWriter out = new BitWriter(64);
      new LabelHeader(0, 1 << 20, Integer.MAX_VALUE, 1 << 20).write(tag, out);
      out.writeVarint(80);
      out.writeVarint(4);
      out.writeBytes(new byte[] {0, 1, 0, 0, 0, 0, 0, 0, 0, 0});
      byte[] bytes = SoftLabelCodec.withChecksum(out.array(), out.size());

      assertThatExceptionOfType(SoftLabelFormatException.class)
          .isThrownBy(() -> SoftLabelCodec.decode(bytes, 1 << 20))
          .withMessageContaining("rows, width, vocabulary: 2147483647, 1048576, 1048576");
    }
  }

  @Test
  void newerFormatIsNamed() {
    byte[] bytes = SoftLabelCodec.encode(Blocks.random(1, 4, VOCABULARY, 1, 1), VOCABULARY);
    bytes[0] = 5;

    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> SoftLabelCodec.decode(bytes, VOCABULARY))
        .withMessage("Unknown label format 5, this build reads up to 4");
  }

  @Test
  void anotherEncodingThanTopKIsNamed() {
    SampledBlock block = Blocks.sampled(1, VOCABULARY, new SplittableRandom(1));
    byte[] bytes = SoftLabelCodec.encode(block, VOCABULARY);

    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> SoftLabelCodec.decodeTopK(bytes, VOCABULARY))
        .withMessage("Soft labels of encoding sampled (expected: topk)");
  }

  @Test
  void emptyBlocks() throws SoftLabelFormatException {
    SplittableRandom random = new SplittableRandom(4);
    for (LabelBlock block :
        new LabelBlock[] {
          Blocks.random(0, 16, VOCABULARY, 1, 1),
          Blocks.sampled(0, VOCABULARY, random),
          Blocks.support(0, VOCABULARY, random)
        }) {
      byte[] bytes = SoftLabelCodec.encode(block, VOCABULARY);

      assertThat(SoftLabelCodec.decode(bytes, VOCABULARY)).isEqualTo(block);
    }
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
        .isThrownBy(() -> SoftLabelCodec.encode(block, 16))
        .withMessage(message);
  }
}
