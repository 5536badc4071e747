package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.junit.jupiter.api.Test;

class HeldOutTest {
  /** A prompt held out once must be so for good, or it was trained on. */
  @Test
  void choiceNeverChanges() {
    assertThreshold(0.9367694483904401);
    assertThreshold(0.8594892079901713, 1);
    assertThreshold(0.9572534959082795, 1, 2, 3);
    assertThreshold(0.3493309053147375, 3, 2, 1);
    assertThreshold(0.7471357637662338, 151_643, -1);
  }

  private static void assertThreshold(double threshold, int... prompt) {
    assertThat(HeldOut.isHeldOut(prompt, threshold - 1e-12)).isFalse();
    assertThat(HeldOut.isHeldOut(prompt, threshold + 1e-12)).isTrue();
  }

  @Property(tries = 200)
  void largerFractionsHoldOutMore(
      @ForAll int[] prompt, @ForAll @DoubleRange(min = 0, max = 1) double fraction) {
    if (HeldOut.isHeldOut(prompt, fraction)) {
      assertThat(HeldOut.isHeldOut(prompt, (fraction + 1) / 2)).isTrue();
    }
    assertThat(HeldOut.isHeldOut(prompt, 0)).isFalse();
    assertThat(HeldOut.isHeldOut(prompt, 1)).isTrue();
  }

  @Test
  void fractionIsWhatItSays() {
    int heldOut = 0;
    for (int i = 0; i < 100_000; i++) {
      heldOut += HeldOut.isHeldOut(new int[] {i, 7, 3}, 0.1) ? 1 : 0;
    }

    assertThat(heldOut).isCloseTo(10_000, within(300));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> HeldOut.isHeldOut(new int[0], 1.5))
        .withMessage("fraction: 1.5 (expected: 0.0 to 1.0)");
  }
}
