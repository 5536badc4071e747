package io.reflux.model.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class Float8Test {
  @Test
  void everyNumberComesBackAsItWas() {
    for (int bits = 0; bits < 256; bits++) {
      float value = Float8.fromE4m3((byte) bits);
      assertThat(Float8.toE4m3(value) & 0x7f).isEqualTo(bits & 0x7f);
      assertThat(Float.isNaN(value)).isEqualTo((bits & 0x7f) == 0x7f);
      if (!Float.isNaN(value)) {
        assertThat(Float8.toE4m3(value)).isEqualTo((byte) bits);
      }
    }
  }

  /** From the table of the format's paper. */
  @Test
  void knownNumbers() {
    assertThat(Float8.fromE4m3((byte) 0x7e)).isEqualTo(448);
    assertThat(Float8.fromE4m3((byte) 0x08)).isEqualTo(0x1p-6f);
    assertThat(Float8.fromE4m3((byte) 0x07)).isEqualTo(0.875f * 0x1p-6f);
    assertThat(Float8.fromE4m3((byte) 0x01)).isEqualTo(0x1p-9f);
    assertThat(Float8.fromE4m3((byte) 0xb8)).isEqualTo(-1);
    assertThat(Float8.fromE4m3((byte) 0x80)).isEqualTo(-0f);
  }

  @Test
  void beyondTheLargestItSaturates() {
    for (float value : new float[] {448, 449, 464, 480, 1e9f, Float.POSITIVE_INFINITY}) {
      assertThat(Float8.toE4m3(value)).isEqualTo((byte) 0x7e);
      assertThat(Float8.toE4m3(-value)).isEqualTo((byte) 0xfe);
    }
  }

  @Test
  void betweenTwoNumbersTheEvenOneIsTaken() {
    for (int bits = 0; bits < 0x7e; bits++) {
      float middle = (Float8.fromE4m3((byte) bits) + Float8.fromE4m3((byte) (bits + 1))) / 2;
      assertThat(Float8.toE4m3(middle)).isEqualTo((byte) (bits + (bits & 1)));
      assertThat(Float8.toE4m3(Math.nextUp(middle))).isEqualTo((byte) (bits + 1));
      assertThat(Float8.toE4m3(Math.nextDown(middle))).isEqualTo((byte) bits);
    }
  }

  @Property(tries = 300)
  void noNumberIsNearer(@ForAll long seed) {
    Random random = new Random(seed);
    float value = (float) (random.nextGaussian() * Math.exp(10 * random.nextGaussian()));
    float rounded = Float8.fromE4m3(Float8.toE4m3(value));
    for (int bits = 0; bits < 256; bits++) {
      float other = Float8.fromE4m3((byte) bits);
      if (!Float.isNaN(other)) {
        assertThat(Math.abs((double) value - rounded))
            .isLessThanOrEqualTo(Math.abs((double) value - other));
      }
    }
  }
}
