package io.reflux.model.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.runtime.Generation.Token;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
  private static final double[] PROBABILITIES = {0.05, 0.4, 0.1, 0.25, 0.2};
  private static final int DRAWS = 40_000;

  @Test
  void drawsFollowTheDistribution() {
    assertShares(new SamplingOptions(1, 1, 0, 3), PROBABILITIES);
  }

  @Test
  void temperatureSharpensAndFlattens() {
    assertShares(
        new SamplingOptions(0.5, 1, 0, 3),
        normalised(Arrays.stream(PROBABILITIES).map(p -> p * p).toArray()));
    assertShares(
        new SamplingOptions(2, 1, 0, 3),
        normalised(Arrays.stream(PROBABILITIES).map(Math::sqrt).toArray()));
  }

  @Test
  void topKKeepsTheLikeliest() {
    assertShares(new SamplingOptions(1, 1, 2, 3), normalised(0, 0.4, 0, 0.25, 0));
    assertShares(new SamplingOptions(1, 1, 99, 3), PROBABILITIES);
  }

  @Test
  void topPKeepsTheSmallestNucleus() {
    assertShares(new SamplingOptions(1, 0.6, 0, 3), normalised(0, 0.4, 0, 0.25, 0));
    assertShares(new SamplingOptions(1, 0.7, 0, 3), normalised(0, 0.4, 0, 0.25, 0.2));
    assertShares(new SamplingOptions(1, 1e-6, 0, 3), 0, 1, 0, 0, 0);
    // Of the three kept, the first two have 0.65 / 0.85 = 76 %.
    assertShares(new SamplingOptions(1, 0.7, 3, 3), normalised(0, 0.4, 0, 0.25, 0));
  }

  @Test
  void nucleusReachesIntoVeryUnlikelyTokens() {
    float[] logprobs = new float[5000];
    Arrays.fill(logprobs, (float) Math.log(1e-5));
    logprobs[17] = (float) Math.log(1 - 4999e-5);
    Sampler sampler = new Sampler(new SamplingOptions(1, 0.97, 0, 5), 0);
    double[] scratch = new double[5000];
    int unlikely = 0;
    for (int i = 0; i < 5000; i++) {
      int id = sampler.draw(logprobs, scratch).id();
      unlikely += id == 17 ? 0 : 1;
      // Of equals the lower ids are in the nucleus: (0.97 − 0.95) / 1e-5 = some 1,999 of them.
      assertThat(id).isLessThan(2005);
    }
    assertThat(unlikely / 5000.0).isCloseTo(0.02 / 0.97, within(0.01));
  }

  @Test
  void logprobsAreOfTheTemperedDistribution() {
    Sampler sampler = new Sampler(new SamplingOptions(0.5, 1, 1, 3), 2);
    Token token = sampler.draw(logprobs(), new double[5]);
    double[] squares = normalised(Arrays.stream(PROBABILITIES).map(p -> p * p).toArray());
    assertThat(token.id()).isEqualTo(1);
    assertThat((double) token.logprob()).isCloseTo(Math.log(squares[1]), within(1e-6));
    assertThat(token.topIds()).containsExactly(1, 3);
    assertThat((double) token.topLogprobs()[1]).isCloseTo(Math.log(0.25), within(1e-6));
  }

  @Test
  void greedyTakesTheFirstOfEquals() {
    Sampler sampler = new Sampler(SamplingOptions.GREEDY, 3);
    Token token = sampler.draw(new float[] {-2, -1, -3, -1, -1}, new double[5]);
    assertThat(token.id()).isEqualTo(1);
    assertThat(token.topIds()).containsExactly(1, 3, 4);
  }

  @Test
  void brokenWeightsAreAnError() {
    float[] broken = new float[5];
    Arrays.fill(broken, Float.NaN);
    Sampler sampler = new Sampler(SamplingOptions.GREEDY, 0);
    assertThatThrownBy(() -> sampler.draw(broken, new double[5]))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("NaN");
  }

  private static void assertShares(SamplingOptions options, double... expected) {
    Sampler sampler = new Sampler(options, 0);
    Sampler again = new Sampler(options, 0);
    int[] counts = new int[expected.length];
    double[] scratch = new double[expected.length];
    for (int i = 0; i < DRAWS; i++) {
      int id = sampler.draw(logprobs(), scratch).id();
      counts[id]++;
      assertThat(again.draw(logprobs(), scratch).id()).isEqualTo(id);
    }
    for (int i = 0; i < expected.length; i++) {
      // Four standard errors of the widest share.
      assertThat(counts[i] / (double) DRAWS).isCloseTo(expected[i], within(0.01));
      if (expected[i] == 0) {
        assertThat(counts[i]).isZero();
      }
    }
  }

  private static float[] logprobs() {
    float[] logprobs = new float[PROBABILITIES.length];
    IntStream.range(0, logprobs.length)
        .forEach(i -> logprobs[i] = (float) Math.log(PROBABILITIES[i]));
    return logprobs;
  }

  private static double[] normalised(double... values) {
    double sum = Arrays.stream(values).sum();
    return Arrays.stream(values).map(value -> value / sum).toArray();
  }
}
