package io.reflux.schemas.labels;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class TopKFormat2Test {
  /** The largest that scaling a row to one moves a square root by, relatively. */
  private static final double SCALING = 0.09;

  @Property(tries = 300)
  void everythingComesBackWithinTheStatedError(
      @ForAll @IntRange(min = 0, max = 12) int rows,
      @ForAll @IntRange(min = 1, max = 600) int vocabulary,
      @ForAll @DoubleRange(min = 0, max = 1) double share,
      @ForAll @DoubleRange(min = 0, max = 12) double sharpness,
      @ForAll long seed)
      throws SoftLabelFormatException {
    int k = Math.max(1, (int) (share * vocabulary));
    TopKBlock block = Blocks.random(rows, k, vocabulary, sharpness, seed);

    assertAlike(block, roundTrip(block, vocabulary));
  }

  private static void assertAlike(TopKBlock block, TopKBlock decoded) {
    assertThat(decoded.rows()).isEqualTo(block.rows());
    assertThat(decoded.k()).isEqualTo(block.k());
    double step = 1.0 / TopKScale.forIds(block.k()).steps;
    int k = block.k();
    for (int row = 0; row < block.rows(); row++) {
      int base = row * k;
      assertThat(decoded.topId(row)).isEqualTo(block.topId(row));
      Map<Integer, Float> truth = new HashMap<>();
      for (int i = base; i < base + k; i++) {
        truth.put(block.ids()[i], block.logprobs()[i]);
      }
      double sum = Math.exp(decoded.tailLogMass()[row]);
      for (int i = base; i < base + k; i++) {
        assertThat(truth).containsKey(decoded.ids()[i]);
        assertRoots(decoded.logprobs()[i], truth.remove(decoded.ids()[i]), step);
        assertThat(decoded.logprobs()[i])
            .isLessThanOrEqualTo(i > base ? decoded.logprobs()[i - 1] : 0);
        sum += Math.exp(decoded.logprobs()[i]);
      }
      assertThat(sum).isCloseTo(1, within(1e-5));
      assertRoots(decoded.tailLogMass()[row], block.tailLogMass()[row], step / 2);
      assertThat(decoded.tailLogMass()[row] == Float.NEGATIVE_INFINITY)
          .isEqualTo(block.tailLogMass()[row] == Float.NEGATIVE_INFINITY);
      if (block.tokenLogprobs()[row] == block.logprobs()[base]) {
        assertThat(decoded.tokenLogprobs()[row]).isEqualTo(decoded.logprobs()[base]);
      } else {
        assertThat(decoded.tokenLogprobs()[row])
            .isCloseTo(block.tokenLogprobs()[row], within(1 / 64f + 1e-5f));
      }
      assertThat(decoded.entropy()[row]).isCloseTo(block.entropy()[row], within(1 / 64f + 1e-4f));
    }
  }

  private static void assertRoots(double decodedLog, double log, double step) {
    double root = Math.exp(log / 2);
    assertThat(Math.exp(decodedLog / 2)).isCloseTo(root, within(step + SCALING * root + 1e-6));
  }

  /** Rows flat and sharp, of a vocabulary so small that all ids count. */
  @Test
  void aBlocksMeanDivergenceStaysWithinThePagesBound() throws SoftLabelFormatException {
    double divergence = 0;
    int blocks = 0;
    for (int k : new int[] {1, 16, 50, 128}) {
      for (double sharpness : new double[] {0.5, 1, 2, 3, 4, 6, 8, 12}) {
        TopKBlock block = Blocks.random(40, k, 8000, sharpness, 3);
        TopKBlock decoded = roundTrip(block, 8000);
        double mean = 0;
        for (int row = 0; row < block.rows(); row++) {
          double one = divergence(block, decoded, row);
          assertThat(one).isBetween(-1e-6, 4e-3);
          mean += one / block.rows();
        }
        assertThat(mean).as("k %s, sharpness %s", k, sharpness).isLessThan(1e-3 + 1e-6);
        divergence += mean;
        blocks++;
      }
    }

    // Far below it would mean bytes spent for nothing.
    assertThat(divergence / blocks).isGreaterThan(2e-4);
  }

  private static double divergence(TopKBlock exact, TopKBlock decoded, int row) {
    int k = exact.k();
    Map<Integer, Float> logprobs = new HashMap<>();
    for (int i = row * k; i < (row + 1) * k; i++) {
      logprobs.put(decoded.ids()[i], decoded.logprobs()[i]);
    }
    double tail = exact.tailLogMass()[row];
    double sum = Math.exp(tail) * (tail - decoded.tailLogMass()[row]);
    for (int i = row * k; i < (row + 1) * k; i++) {
      double logprob = exact.logprobs()[i];
      sum += Math.exp(logprob) * (logprob - logprobs.get(exact.ids()[i]));
    }
    return sum;
  }

  @Test
  void unknownTailsAndEntropiesStayUnknownAndTheOthersKnown() throws SoftLabelFormatException {
    TopKBlock block = Blocks.random(4, 20, 500, 3, 8);
    block.tailLogMass()[1] = Float.NaN;
    block.entropy()[1] = Float.NaN;
    block.entropy()[3] = Float.NaN;

    TopKBlock decoded = roundTrip(block, 500);

    assertThat(decoded.tailLogMass()[1]).isNaN();
    assertThat(decoded.tailLogMass()[2]).isNotNaN();
    assertThat(decoded.entropy()[0]).isCloseTo(block.entropy()[0], within(1 / 64f + 1e-4f));
    assertThat(decoded.entropy()[1]).isNaN();
    assertThat(decoded.entropy()[3]).isNaN();
    assertThat(decoded.logprobs()[20]).isCloseTo(block.logprobs()[20], within(0.05f));
  }

  @Test
  void rowsThatDoNotSumToOneAreNotScaled() throws SoftLabelFormatException {
    TopKBlock block =
        new TopKBlock(
            1,
            2,
            new int[] {1, 0},
            new float[] {-2, -3},
            new float[] {-4},
            new float[] {-2},
            new float[] {1});

    TopKBlock decoded = roundTrip(block, 4);

    assertThat(Math.exp(decoded.logprobs()[0] / 2)).isCloseTo(Math.exp(-1), within(1 / 190.0));
    assertThat(Math.exp(decoded.logprobs()[1] / 2)).isCloseTo(Math.exp(-1.5), within(1 / 80.0));
    assertThat(Math.exp(decoded.tailLogMass()[0] / 2)).isCloseTo(Math.exp(-2), within(1 / 160.0));
  }

  @Test
  void impossibleIdsAndTokensAreRead() throws SoftLabelFormatException {
    TopKBlock block =
        new TopKBlock(
            2,
            2,
            new int[] {1, 0, 1, 0},
            new float[] {0, -400, 0, Float.NEGATIVE_INFINITY},
            new float[] {Float.NEGATIVE_INFINITY, Float.NEGATIVE_INFINITY},
            new float[] {-180.5f, Float.NEGATIVE_INFINITY},
            new float[] {0, 0});

    TopKBlock decoded = roundTrip(block, 4);

    assertThat(decoded.logprobs()[1]).isLessThan(-9);
    assertThat(decoded.tokenLogprobs()).containsExactly(-180.5f, Float.NEGATIVE_INFINITY);
    assertThat(decoded.tailLogMass()).containsOnly(Float.NEGATIVE_INFINITY);
  }

  @Test
  void likeliestIdStaysFirstAmongEquals() throws SoftLabelFormatException {
    float[] logprobs = new float[7];
    Arrays.fill(logprobs, (float) -Math.log(7));
    TopKBlock block =
        new TopKBlock(
            1,
            7,
            new int[] {4, 0, 6, 2, 5, 1, 3},
            logprobs,
            new float[] {Float.NEGATIVE_INFINITY},
            new float[] {-3},
            new float[] {1.9459101f});

    TopKBlock decoded = roundTrip(block, 7);

    assertThat(decoded.topId(0)).isEqualTo(4);
    assertThat(decoded.ids()).containsExactlyInAnyOrder(0, 1, 2, 3, 4, 5, 6);
  }

  @Test
  void oneIdOfTheLargestVocabulary() throws SoftLabelFormatException {
    TopKBlock block =
        new TopKBlock(
            1,
            1,
            new int[] {SoftLabelCodec.MAX_VOCABULARY_SIZE - 1},
            new float[] {-0.5f},
            new float[] {(float) Math.log1p(-Math.exp(-0.5))},
            new float[] {-0.5f},
            new float[] {13.86f});

    assertAlike(block, roundTrip(block, SoftLabelCodec.MAX_VOCABULARY_SIZE));
  }

  private static TopKBlock roundTrip(TopKBlock block, int vocabulary)
      throws SoftLabelFormatException {
    return SoftLabelCodec.decodeTopK(SoftLabelCodec.encode(block, vocabulary), vocabulary);
  }
}
