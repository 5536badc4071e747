package io.reflux.scorer.remote;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.runtime.SamplingOptions;
import io.reflux.scorer.remote.ServerApi.AnswerAsk;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What numbers from elsewhere may be, at the edges. */
class MassesTest {
  private static final AnswerAsk ASK =
      new AnswerAsk(new int[] {1}, 4, SamplingOptions.GREEDY, Set.of(7, 8));

  @ParameterizedTest
  @ValueSource(doubles = {0.001, 0.5, 0.99, 0.9999, 0.99998})
  void aTailThatCanBeToldIsToldToATenth(double sum) {
    // Float32 log-probs of twenty ids, each off by as much as rounding may make it.
    double rounded = 0;
    for (int i = 0; i < 20; i++) {
      rounded += Math.exp((float) Math.log(sum / 20));
    }
    assertThat((double) Masses.tail(rounded, false, 1)).isCloseTo(Math.log1p(-sum), within(0.1));
  }

  @Test
  void aTailThatRoundingHidesIsUnknown() {
    assertThat(Masses.tail(0.999995, false, 1)).isNaN();
    assertThat(Masses.tail(1, false, 1)).isNaN();
    assertThat(Masses.tail(1.0005, false, 1)).isNaN();
    assertThat(Masses.tail(0.9999999, true, 1)).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThatThrownBy(() -> Masses.tail(1.002, false, 9))
        .isInstanceOf(ServerFault.class)
        .hasMessage("position 9: probabilities that sum to 1.002 (expected: at most 1)");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.001, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY})
  void whatIsNoLogprobIsRefused(double value) {
    assertThatThrownBy(() -> Masses.logprob(value, 9))
        .isInstanceOf(ServerFault.class)
        .hasMessageStartingWith("position 9: log-prob: ");
  }

  @Test
  void aProbabilityThatRoundsAboveOneIsOne() {
    assertThat(Masses.logprob(1e-7, 1)).isZero();
    assertThat(Masses.logprob(-9999, 1)).isEqualTo(-9999);
  }

  @Test
  void anAnswerEndsWithItsFirstStopToken() {
    assertThat(ASK.ended(new int[] {3, 7, 4}, -1, 10)).containsExactly(3, 7);
    assertThat(ASK.ended(new int[] {3, 4}, 8, 10)).containsExactly(3, 4, 8);
    assertThat(ASK.ended(new int[] {3, 4}, 9, 10)).containsExactly(3, 4);
    assertThat(ASK.ended(new int[] {}, -1, 10)).isEmpty();
  }

  @Test
  void anAnswerThatWasNotAskedForIsRefused() {
    assertThatThrownBy(() -> ASK.ended(new int[] {1, 2, 3, 4, 5}, -1, 10))
        .hasMessage("an answer of 5 tokens (expected: at most 4)");
    assertThatThrownBy(() -> ASK.ended(new int[] {1, 10}, -1, 10))
        .hasMessage("answer: id 10 (expected: below 10)");
  }
}
