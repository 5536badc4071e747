package io.reflux.scorer;

import java.time.Duration;
import java.util.random.RandomGenerator;

/** Ever longer waits between tries, each drawn from the upper half so that clients spread out. */
final class Backoff {
  private static final Duration FIRST = Duration.ofMillis(200);
  private static final Duration LONGEST = Duration.ofSeconds(5);

  private final RandomGenerator random;
  private Duration next = FIRST;

  Backoff(RandomGenerator random) {
    this.random = random;
  }

  /** How long to wait now. */
  Duration next() {
    Duration most = next;
    Duration doubled = next.multipliedBy(2);
    next = doubled.compareTo(LONGEST) < 0 ? doubled : LONGEST;
    return Duration.ofNanos((long) (most.toNanos() * (0.5 + random.nextDouble() / 2)));
  }

  /** After a try that went well. */
  void reset() {
    next = FIRST;
  }
}
