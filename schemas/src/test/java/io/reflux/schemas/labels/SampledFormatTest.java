package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class SampledFormatTest {
  @Property(tries = 500)
  void drawsComeBackExactlyAndTheRestWithinTheStatedError(@ForAll long seed)
      throws SoftLabelFormatException {
    SplittableRandom random = new SplittableRandom(seed);
    int vocabulary = 1 + random.nextInt(random.nextBoolean() ? 60 : 200_000);
    SampledBlock block = Blocks.sampled(random.nextInt(8), vocabulary, random);

    SampledBlock decoded =
        (SampledBlock) SoftLabelCodec.decode(SoftLabelCodec.encode(block, vocabulary), vocabulary);

    assertThat(decoded.draws()).isEqualTo(block.draws());
    assertThat(decoded.starts()).isEqualTo(block.starts());
    assertThat(decoded.ids()).isEqualTo(block.ids());
    assertThat(decoded.counts()).isEqualTo(block.counts());
    for (int row = 0; row < block.rows(); row++) {
      SupportFormatTest.assertLogprob(decoded.tokenLogprobs()[row], block.tokenLogprobs()[row]);
      SupportFormatTest.assertEntropy(decoded.entropy()[row], block.entropy()[row]);
    }
  }

  @Test
  void drawsAreCountedMostDrawnFirst() {
    SampledBlock block =
        SampledBlock.of(
            2,
            5,
            new int[] {7, 3, 9, 3, 7, 4, 4, 4, 4, 4},
            new float[] {-1, 0},
            new float[] {1, 0});

    assertThat(block.starts()).containsExactly(0, 3, 4);
    assertThat(block.ids()).containsExactly(3, 7, 9, 4);
    assertThat(block.counts()).containsExactly(2, 2, 1, 5);
  }

  @Test
  void certainTokenCostsLittle() throws SoftLabelFormatException {
    int[] drawn = new int[50 * 100];
    Arrays.fill(drawn, 1234);
    SampledBlock block = SampledBlock.of(100, 50, drawn, new float[100], new float[100]);

    byte[] bytes = SoftLabelCodec.encode(block, 151_936);

    assertThat(bytes.length / 100.0).isCloseTo(6.5, within(1.5));
    assertThat(SoftLabelCodec.decode(bytes, 151_936)).isEqualTo(block);
  }

  @Test
  void whatIsNotCountedDrawsIsRefusedByName() {
    assertRefused(new int[] {3, 16}, new int[] {3, 1}, "ids, row 0: 16 (expected: 0 to 15)");
    assertRefused(new int[] {3, 4}, new int[] {3, 2}, "counts, row 0: 5 (expected: 4)");
    assertRefused(new int[] {3, 4}, new int[] {4, 0}, "counts, row 0: 0 (expected: 1 or more)");
    assertRefused(
        new int[] {4, 3},
        new int[] {2, 2},
        "ids, row 0: 3 after 4 (expected: most drawn first, then ascending)");
    assertRefused(new int[] {3, 3}, new int[] {3, 1}, "ids, row 0: 3 twice");
  }

  private static void assertRefused(int[] ids, int[] counts, String message) {
    SampledBlock block =
        new SampledBlock(1, 4, new int[] {0, 2}, ids, counts, new float[1], new float[1]);
    assertThatIllegalArgumentException()
        .isThrownBy(() -> SoftLabelCodec.encode(block, 16))
        .withMessage(message);
  }
}
