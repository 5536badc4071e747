package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.io.InputStream;
import org.junit.jupiter.api.Test;

/** Bytes that earlier releases wrote: never change a file here, add one. */
class SoftLabelFixtureTest {
  private static final int VOCABULARY = 152_064;

  /** A common row, one with ids in one cell, one with a token outside the ids and no tail. */
  static TopKBlock block() {
    return new TopKBlock(
        3,
        4,
        new int[] {11, 151_643, 0, 77_000, 1003, 1001, 1000, 1002, 5, 4, 3, 2},
        new float[] {
          -0.1053605f, -2.8134108f, -4.6051702f, -6.9077554f,
          -1.609438f, -1.609438f, -1.6094381f, -1.6094382f,
          -0.000001f, -14.5086575f, -15.201805f, -300f
        },
        new float[] {-3.5404594f, -1.609438f, Float.NEGATIVE_INFINITY},
        new float[] {-2.8134108f, -12.25f, Float.NEGATIVE_INFINITY},
        new float[] {0.4378f, 4.0f, 0.00002f});
  }

  private static byte[] fixture(String name) throws IOException {
    try (InputStream in = SoftLabelFixtureTest.class.getResourceAsStream("/soft-labels/" + name)) {
      return in.readAllBytes();
    }
  }

  @Test
  void format1IsStillRead() throws IOException, SoftLabelFormatException {
    TopKBlock decoded = SoftLabelCodec.decodeTopK(fixture("v1.bin"), VOCABULARY);

    assertThat(decoded.ids())
        .containsExactly(11, 151_643, 0, 77_000, 1003, 1000, 1001, 1002, 5, 4, 3, 2);
    assertClose(
        decoded.logprobs(),
        -0.104813874f,
        -2.8216107f,
        -4.602861f,
        -6.9075484f,
        -1.6098288f,
        -1.6098288f,
        -1.6098288f,
        -1.6098288f,
        -7.360659E-7f,
        -14.529298f,
        -15.216798f,
        -255.9668f);
    assertClose(decoded.tailLogMass(), -3.5413373f, -1.6078757f, Float.NEGATIVE_INFINITY);
    assertClose(decoded.tokenLogprobs(), -2.8216107f, -12.25f, Float.NEGATIVE_INFINITY);
    assertThat(decoded.entropy()).containsExactly(0.43774414f, 4.0f, 0.0f);
  }

  /** To the rounding of exp and log, which may differ between machines. */
  private static void assertClose(float[] actual, float... expected) {
    assertThat(actual).hasSize(expected.length);
    for (int i = 0; i < expected.length; i++) {
      if (Float.isInfinite(expected[i])) {
        assertThat(actual[i]).isEqualTo(expected[i]);
      } else {
        assertThat(actual[i]).isCloseTo(expected[i], within(1e-5f));
      }
    }
  }

  @Test
  void format1IsStillWrittenByteForByte() throws IOException {
    assertThat(TopKFormat.encode(block(), VOCABULARY)).isEqualTo(fixture("v1.bin"));
  }
}
