package io.reflux.trainer;

import java.time.Instant;
import java.util.Optional;

/**
 * When requests were received that were trained on.
 *
 * @param from the earliest
 * @param to the latest
 */
record TimeRange(Instant from, Instant to) {
  static TimeRange of(Instant time) {
    return new TimeRange(time, time);
  }

  TimeRange and(TimeRange other) {
    return new TimeRange(
        other.from.isBefore(from) ? other.from : from, other.to.isAfter(to) ? other.to : to);
  }

  static Optional<TimeRange> and(Optional<TimeRange> one, Optional<TimeRange> other) {
    return one.map(range -> other.map(range::and).orElse(range)).or(() -> other);
  }
}
