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

  /** Rows of many ids, of few, and of one. */
  static SampledBlock sampled() {
    return new SampledBlock(
        3,
        6,
        new int[] {0, 4, 6, 7},
        new int[] {3, 17, 900, 151_643, 220, 198, 0},
        new int[] {2, 2, 1, 1, 5, 1, 6},
        new float[] {-2.8134108f, -0.05f, Float.NEGATIVE_INFINITY},
        new float[] {3.25f, Float.NaN, 0});
  }

  /** A common row, and one with what cannot be and what is not known. */
  static SupportBlock support() {
    return new SupportBlock(
        2,
        3,
        SupportBlock.checksum(new int[] {5, 17, 151_643, 1, 2, 3}),
        new float[] {-0.25f, -2.5f, -14.2f, -1.5f, Float.NEGATIVE_INFINITY, -40},
        new float[] {-3.3f, Float.NaN},
        new float[] {-2.5f, -7.7f},
        new float[] {0.8f, Float.NaN});
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

  @Test
  void format2IsStillRead() throws IOException, SoftLabelFormatException {
    TopKBlock decoded = SoftLabelCodec.decodeTopK(fixture("v2.bin"), VOCABULARY);

    assertThat(decoded.ids())
        .containsExactly(11, 151_643, 0, 77_000, 1003, 1000, 1001, 1002, 5, 2, 3, 4);
    assertClose(
        decoded.logprobs(),
        -0.10455213f,
        -2.8653312f,
        -4.558836f,
        -6.718252f,
        -1.6083997f,
        -1.6083997f,
        -1.6083997f,
        -1.6083997f,
        -2.861027E-6f,
        -13.862944f,
        -13.862944f,
        -13.862944f);
    assertClose(decoded.tailLogMass(), -3.4859385f, -1.6136013f, Float.NEGATIVE_INFINITY);
    assertClose(decoded.tokenLogprobs(), -2.8125f, -12.25f, Float.NEGATIVE_INFINITY);
    assertClose(decoded.entropy(), 0.45177326f, 4.0040836f, 0.0000425f);
  }

  @Test
  void format3IsStillRead() throws IOException, SoftLabelFormatException {
    SampledBlock expected =
        new SampledBlock(
            3,
            6,
            sampled().starts(),
            sampled().ids(),
            sampled().counts(),
            new float[] {-2.8125f, -0.0625f, Float.NEGATIVE_INFINITY},
            new float[] {3.25f, Float.NaN, 0});

    assertThat(SoftLabelCodec.decode(fixture("v3.bin"), VOCABULARY)).isEqualTo(expected);
  }

  @Test
  void format4IsStillRead() throws IOException, SoftLabelFormatException {
    SupportBlock expected =
        new SupportBlock(
            2,
            3,
            support().supportChecksum(),
            new float[] {-0.25f, -2.5f, -14.1875f, -1.5f, Float.NEGATIVE_INFINITY, -40},
            new float[] {-3.3125f, Float.NaN},
            new float[] {-2.5f, -7.6875f},
            new float[] {0.796875f, Float.NaN});

    assertThat(SoftLabelCodec.decode(fixture("v4.bin"), VOCABULARY)).isEqualTo(expected);
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
  void everyFormatIsStillWrittenByteForByte() throws IOException {
    assertThat(TopKFormat1.encode(block(), VOCABULARY)).isEqualTo(fixture("v1.bin"));
    assertThat(SoftLabelCodec.encode(block(), VOCABULARY)).isEqualTo(fixture("v2.bin"));
    assertThat(SoftLabelCodec.encode(sampled(), VOCABULARY)).isEqualTo(fixture("v3.bin"));
    assertThat(SoftLabelCodec.encode(support(), VOCABULARY)).isEqualTo(fixture("v4.bin"));
  }
}
