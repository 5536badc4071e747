package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class AvailabilityTest {
  private static final long SECOND = 1_000_000_000;

  @Test
  void afterAFailureNothingIsAskedForAWhileThenOneThingAtATime() {
    Availability availability = new Availability(new Backoff(new SplittableRandom(1)));
    assertThat(availability.limit(8, 0)).isEqualTo(8);

    availability.failed("gone", 0);
    assertThat(availability.problem()).hasValue("gone");
    assertThat(availability.limit(8, SECOND / 100)).isZero();
    assertThat(availability.limit(8, SECOND)).isEqualTo(1);

    availability.succeeded();
    assertThat(availability.limit(8, SECOND)).isEqualTo(8);
    assertThat(availability.problem()).isEmpty();
  }

  @Test
  void whatFailsTogetherIsOneFailure() {
    Availability availability = new Availability(new Backoff(new SplittableRandom(1)));
    for (int i = 0; i < 10; i++) {
      availability.failed("gone", i);
    }
    assertThat(availability.limit(8, SECOND / 4)).isEqualTo(1);
  }

  @Test
  void waitsGrowToFiveSecondsWithJitterAndStartAnew() {
    Backoff backoff = new Backoff(new SplittableRandom(1));
    Duration first = backoff.next();
    assertThat(first).isBetween(Duration.ofMillis(100), Duration.ofMillis(200));
    for (int i = 0; i < 10; i++) {
      backoff.next();
    }
    assertThat(backoff.next()).isBetween(Duration.ofMillis(2500), Duration.ofSeconds(5));
    backoff.reset();
    assertThat(backoff.next()).isLessThanOrEqualTo(Duration.ofMillis(200));
  }
}
