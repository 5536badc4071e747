package io.reflux.model.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class HalvesTest {
  @Test
  void everyHalfSurvivesWideningAndNarrowing() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      short half = (short) bits;
      if (!Float.isNaN(Halves.fromFloat16(half))) {
        assertThat(Halves.toFloat16(Halves.fromFloat16(half))).isEqualTo(half);
      }
      if (!Float.isNaN(Halves.fromBfloat16(half))) {
        assertThat(Halves.toBfloat16(Halves.fromBfloat16(half))).isEqualTo(half);
      }
    }
  }

  @Property
  void narrowingTakesTheNearestAndOfTwoTheEvenOne(@ForAll float value) {
    assertNearest(value, Halves.toBfloat16(value), Halves::fromBfloat16, (short) 0x7f80);
  }

  @Property
  void narrowingToFloat16TakesTheNearest(@ForAll double seed) {
    float value = (float) (Math.sin(seed) * Math.pow(2, seed % 30 - 16));
    assertNearest(value, Halves.toFloat16(value), Halves::fromFloat16, (short) 0x7c00);
  }

  @Test
  void knownValues() {
    assertThat(Halves.toFloat16(1)).isEqualTo((short) 0x3c00);
    assertThat(Halves.toFloat16(65504)).isEqualTo((short) 0x7bff);
    assertThat(Halves.toFloat16(65519.996f)).isEqualTo((short) 0x7bff);
    assertThat(Halves.toFloat16(65520)).isEqualTo((short) 0x7c00);
    assertThat(Halves.toFloat16(0x1p-24f)).isEqualTo((short) 1);
    assertThat(Halves.toFloat16(0x1p-25f)).isEqualTo((short) 0);
    assertThat(Halves.toFloat16(Math.nextUp(0x1p-25f))).isEqualTo((short) 1);
    assertThat(Halves.toFloat16(-0.0f)).isEqualTo((short) 0x8000);
    assertThat(Halves.toFloat16(Float.POSITIVE_INFINITY)).isEqualTo((short) 0x7c00);
    assertThat(Halves.fromFloat16(Halves.toFloat16(Float.NaN))).isNaN();
    assertThat(Halves.toBfloat16(1 + 0x1p-8f)).as("tie to even").isEqualTo((short) 0x3f80);
    assertThat(Halves.toBfloat16(1 + 0x3p-8f)).as("tie to even").isEqualTo((short) 0x3f82);
    assertThat(Halves.toBfloat16(Float.MAX_VALUE)).isEqualTo((short) 0x7f80);
    assertThat(Halves.fromBfloat16(Halves.toBfloat16(Float.intBitsToFloat(0x7f800001)))).isNaN();
  }

  private interface Widening {
    float widen(short half);
  }

  /** Compares with both neighbours in double, where all are exact. */
  private static void assertNearest(float value, short half, Widening widening, short infinity) {
    if (Float.isNaN(value) || (half & 0x7fff) == infinity) {
      return;
    }
    double error = Math.abs((double) widening.widen(half) - value);
    for (int step = -1; step <= 1; step += 2) {
      short neighbour = (short) (half + step);
      boolean sameSign = (neighbour & 0x8000) == (half & 0x8000);
      double other = widening.widen(neighbour);
      if (sameSign && Double.isFinite(other)) {
        double otherError = Math.abs(other - value);
        assertThat(error).isLessThanOrEqualTo(otherError);
        if (error == otherError) {
          assertThat(half & 1).isZero();
        }
      }
    }
  }
}
