package io.reflux.producers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.schemas.service.RefluxException;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

class SamplingTest {
  private static final long SECOND = 1_000_000_000L;

  private final AtomicLong clock = new AtomicLong();

  private static SamplingRule rule(
      String segment, Map<String, String> tags, double probability, OptionalDouble perSecond) {
    return new SamplingRule("test", Optional.ofNullable(segment), tags, probability, perSecond);
  }

  private Sampling sampling(SamplingRule... rules) {
    return new Sampling(List.of(rules), clock::get);
  }

  @Test
  void theFirstRuleThatMatchesCounts() {
    Sampling sampling =
        sampling(
            rule("chat/*/v2", Map.of("tenant", "acme*"), 0.25, OptionalDouble.empty()),
            rule("chat*", Map.of(), 0.5, OptionalDouble.empty()),
            rule(null, Map.of(), 1, OptionalDouble.empty()));
    assertThat(probability(sampling, "chat/fr/v2", Map.of("tenant", "acme-eu"))).isEqualTo(0.25);
    assertThat(probability(sampling, "chat/fr/v2", Map.of("tenant", "other"))).isEqualTo(0.5);
    assertThat(probability(sampling, "chat/fr/v2", Map.of())).isEqualTo(0.5);
    assertThat(probability(sampling, "search", Map.of("tenant", "acme"))).isEqualTo(1);
  }

  private static double probability(Sampling sampling, String segment, Map<String, String> tags) {
    return sampling.decide(segment, tags, "c").probability();
  }

  @Test
  void aRateIsKeptByKeepingFewerConversationsWhole() {
    Sampling sampling = sampling(rule(null, Map.of(), 1, OptionalDouble.of(100)));
    seconds(sampling, 3, new HashSet<>(), new HashSet<>());
    Set<String> kept = new HashSet<>();
    Set<String> refused = new HashSet<>();
    double[] sums = seconds(sampling, 5, kept, refused);
    // 1,000 a second came, a tenth of them is wanted.
    assertThat(sums[0] / 5).isCloseTo(100, within(30.0));
    // Weighted by its probability, what was kept stands for all that came.
    assertThat(sums[1] / 5).isCloseTo(1000, within(300.0));
    assertThat(kept).isNotEmpty().doesNotContainAnyElementsOf(refused);
  }

  /** A thousand requests of 200 conversations a second; kept, and kept by inverse probability. */
  private double[] seconds(Sampling sampling, int seconds, Set<String> kept, Set<String> refused) {
    double count = 0;
    double weight = 0;
    for (int i = 0; i < seconds * 1000; i++) {
      clock.addAndGet(SECOND / 1000);
      String thread = "conversation " + i % 200;
      Sampling.Decision decision = sampling.decide("any", Map.of(), thread);
      if (decision.refusal().isEmpty()) {
        count++;
        weight += 1 / decision.probability();
        kept.add(thread);
      } else {
        assertThat(decision.refusal()).contains(DropReason.RATE_LIMITED);
        refused.add(thread);
      }
    }
    return new double[] {count, weight};
  }

  @Test
  void aBurstIsNeverMoreThanTwiceTheRate() {
    Sampling sampling = sampling(rule(null, Map.of(), 1, OptionalDouble.of(10)));
    int kept = 0;
    for (int i = 0; i < 10_000; i++) {
      kept += sampling.decide("any", Map.of(), "c" + i).refusal().isEmpty() ? 1 : 0;
    }
    assertThat(kept).isEqualTo(20);
  }

  @Test
  void theShareComesBackWhenTheTrafficHasGone() {
    Sampling sampling = sampling(rule(null, Map.of(), 1, OptionalDouble.of(100)));
    for (int i = 0; i < 3000; i++) {
      clock.addAndGet(SECOND / 1000);
      sampling.decide("any", Map.of(), "conversation " + i % 200);
    }
    assertThat(sampling.decide("any", Map.of(), "conversation").probability()).isLessThan(0.2);
    for (int i = 0; i < 20; i++) {
      clock.addAndGet(SECOND);
      sampling.decide("any", Map.of(), "conversation " + i);
    }
    assertThat(sampling.decide("any", Map.of(), "conversation").probability()).isEqualTo(1);
  }

  @Test
  void badSettingsAreNamed() {
    assertThatThrownBy(() -> rule(null, Map.of(), 0, OptionalDouble.empty()))
        .isInstanceOf(RefluxException.class)
        .hasMessage("test: 0.0 (expected: above 0, to 1)");
    assertThatThrownBy(() -> rule(null, Map.of(), 1, OptionalDouble.of(0)))
        .hasMessage("test: 0.0 a second (expected: above 0)");
  }
}
