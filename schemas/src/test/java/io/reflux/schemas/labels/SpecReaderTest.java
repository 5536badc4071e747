package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.util.Arrays;
import java.util.SplittableRandom;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

/** The page says all that another implementation needs: one was written from it. */
class SpecReaderTest {
  @Property(tries = 700)
  void topKReadsTheSame(@ForAll long seed) throws IOException, SoftLabelFormatException {
    SplittableRandom random = new SplittableRandom(seed);
    int vocabulary = 1 + random.nextInt(random.nextBoolean() ? 300 : 3000);
    int k = 1 + random.nextInt(Math.min(vocabulary, 120));
    TopKBlock block =
        Blocks.random(random.nextInt(4), k, vocabulary, 12 * random.nextDouble(), seed);
    Blocks.forget(block.tailLogMass(), random);
    Blocks.forget(block.entropy(), random);
    byte[] bytes = SoftLabelCodec.encode(block, vocabulary);

    TopKBlock expected = (TopKBlock) SpecReader.read(bytes);
    TopKBlock actual = SoftLabelCodec.decodeTopK(bytes, vocabulary);

    assertThat(actual.ids()).isEqualTo(expected.ids());
    assertClose(actual.logprobs(), expected.logprobs());
    assertClose(actual.tailLogMass(), expected.tailLogMass());
    assertClose(actual.tokenLogprobs(), expected.tokenLogprobs());
    assertClose(actual.entropy(), expected.entropy());
  }

  /** To the rounding of exp and log. */
  private static void assertClose(float[] actual, float[] expected) {
    assertThat(actual).hasSameSizeAs(expected);
    for (int i = 0; i < expected.length; i++) {
      if (Float.isFinite(expected[i])) {
        assertThat(actual[i]).isCloseTo(expected[i], within(2e-5f));
      } else {
        assertThat(Float.compare(actual[i], expected[i])).isZero();
      }
    }
  }

  @Property(tries = 700)
  void drawsReadTheSame(@ForAll long seed) throws IOException, SoftLabelFormatException {
    SplittableRandom random = new SplittableRandom(seed);
    int vocabulary = 1 + random.nextInt(random.nextBoolean() ? 60 : 200_000);
    SampledBlock block = Blocks.sampled(random.nextInt(5), vocabulary, random);
    byte[] bytes = SoftLabelCodec.encode(block, vocabulary);

    assertThat(SoftLabelCodec.decode(bytes, vocabulary)).isEqualTo(SpecReader.read(bytes));
  }

  @Property(tries = 700)
  void supportReadsTheSame(@ForAll long seed) throws IOException, SoftLabelFormatException {
    SplittableRandom random = new SplittableRandom(seed);
    int vocabulary = 1 + random.nextInt(1000);
    SupportBlock block = Blocks.support(random.nextInt(5), vocabulary, random);
    byte[] bytes = SoftLabelCodec.encode(block, vocabulary);

    SupportBlock expected = (SupportBlock) SpecReader.read(bytes);
    SupportBlock actual = (SupportBlock) SoftLabelCodec.decode(bytes, vocabulary);

    assertThat(actual.supportChecksum()).isEqualTo(expected.supportChecksum());
    assertClose(actual.logprobs(), expected.logprobs());
    assertClose(actual.tailLogMass(), expected.tailLogMass());
    assertClose(actual.tokenLogprobs(), expected.tokenLogprobs());
    assertThat(Arrays.equals(actual.entropy(), expected.entropy())).isTrue();
  }
}
