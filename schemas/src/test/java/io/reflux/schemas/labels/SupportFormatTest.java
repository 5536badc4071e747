package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class SupportFormatTest {
  @Property(tries = 500)
  void logprobsComeBackInOrderWithinTheStatedError(@ForAll long seed)
      throws SoftLabelFormatException {
    SplittableRandom random = new SplittableRandom(seed);
    int vocabulary = 1 + random.nextInt(2000);
    SupportBlock block = Blocks.support(random.nextInt(8), vocabulary, random);

    SupportBlock decoded =
        (SupportBlock) SoftLabelCodec.decode(SoftLabelCodec.encode(block, vocabulary), vocabulary);

    assertThat(decoded.supportChecksum()).isEqualTo(block.supportChecksum());
    for (int i = 0; i < block.logprobs().length; i++) {
      assertLogprob(decoded.logprobs()[i], block.logprobs()[i]);
    }
    for (int row = 0; row < block.rows(); row++) {
      assertLogprob(decoded.tokenLogprobs()[row], block.tokenLogprobs()[row]);
      if (Float.isNaN(block.tailLogMass()[row])) {
        assertThat(decoded.tailLogMass()[row]).isNaN();
      } else {
        assertLogprob(decoded.tailLogMass()[row], block.tailLogMass()[row]);
      }
      assertEntropy(decoded.entropy()[row], block.entropy()[row]);
    }
  }

  /** 1/64 nat down to -10, below 1/320 of the log-prob; infinity stays. */
  static void assertLogprob(float decoded, float logprob) {
    if (logprob == Float.NEGATIVE_INFINITY) {
      assertThat(decoded).isEqualTo(logprob);
    } else {
      float error = logprob > -10 ? 1 / 64f : -logprob / 320;
      assertThat(decoded).isCloseTo(logprob, within(error + 1e-5f));
    }
  }

  static void assertEntropy(float decoded, float entropy) {
    if (Float.isNaN(entropy)) {
      assertThat(decoded).isNaN();
    } else {
      assertThat(decoded).isCloseTo(entropy, within(1 / 128f + 1e-5f));
    }
  }

  @Test
  void logprobsOfOtherIdsAreRefused() {
    int[] ids = {5, 9, 2, 7};
    SupportBlock block =
        new SupportBlock(
            2,
            2,
            SupportBlock.checksum(ids),
            new float[] {-1, -2, -3, -4},
            new float[] {-1, -2},
            new float[] {-1, -2},
            new float[] {1, 2});

    assertThatCode(() -> block.requireSupport(ids)).doesNotThrowAnyException();
    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> block.requireSupport(new int[] {9, 5, 2, 7}))
        .withMessageStartingWith("Soft labels of other support ids than the rollout's");
    assertThatExceptionOfType(SoftLabelFormatException.class)
        .isThrownBy(() -> block.requireSupport(new int[] {5, 9}))
        .withMessage("Soft labels of 4 support ids (the rollout has 2)");
  }

  @Test
  void checksumIsOfBigEndianIds() {
    assertThat(SupportBlock.checksum(new int[] {1, 151_936})).isEqualTo(0xaad01ba1);
  }
}
