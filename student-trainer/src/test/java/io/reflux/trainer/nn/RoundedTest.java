package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class RoundedTest {
  @Test
  void aSizeGrowsByASixteenthAtMostAndFewSizesAreLeft() {
    int[] rounded = IntStream.rangeClosed(0, 8192).map(Rounded::up).toArray();
    for (int size = 0; size < rounded.length; size++) {
      assertThat(rounded[size]).isBetween(size, size + Math.max(7, size / 16));
    }
    assertThat(IntStream.of(rounded).distinct().count()).isLessThan(120);
    assertThat(rounded[8192]).isEqualTo(8192);
  }
}
