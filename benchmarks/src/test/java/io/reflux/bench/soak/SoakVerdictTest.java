package io.reflux.bench.soak;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SoakVerdictTest {
  private static final SoakVerdict.Bounds BOUNDS = new SoakVerdict.Bounds(0.25, 16, 0.03, 100);

  @Test
  void takesNoOffenceAtAWarmUp() {
    SoakVerdict verdict = verdict(minute -> minute < 20 ? 100 + 10 * minute : 300, minute -> 5);
    assertThat(verdict.failures()).isEmpty();
    assertThat(verdict.growth()).isCloseTo(0, within(1e-9));
  }

  @Test
  void findsASlowLeak() {
    SoakVerdict verdict = verdict(minute -> 300 + 0.5 * minute, minute -> 5);
    assertThat(verdict.slope()).isCloseTo(30, within(1e-6));
    assertThat(verdict.failures()).singleElement().asString().contains("memory", "16.0");
  }

  @Test
  void findsLagThatGrows() {
    SoakVerdict verdict = verdict(minute -> 300, minute -> 2.0 * minute);
    assertThat(verdict.failures()).singleElement().asString().contains("lag: 238", "100");
  }

  @Test
  void failsATrainerThatSaidNothing() {
    assertThat(verdict(minute -> 300, minute -> Double.NaN).failures()).hasSize(1);
  }

  private static SoakVerdict verdict(IntToDoubleFunction mib, IntToDoubleFunction lag) {
    List<SoakSample> samples =
        IntStream.range(0, 120)
            .mapToObj(
                minute ->
                    new SoakSample(
                        minute * 60.0,
                        mib.applyAsDouble(minute),
                        500,
                        lag.applyAsDouble(minute),
                        0.1,
                        0.9,
                        minute,
                        1))
            .toList();
    return new SoakVerdict(samples, BOUNDS);
  }
}
