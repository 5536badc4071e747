package io.reflux.monitor.drift;

import io.reflux.schemas.service.RefluxException;
import java.time.Duration;

/**
 * How drift is measured.
 *
 * @param window length of a window of event time; windows do not overlap
 * @param grace how long after its end a window still takes late requests
 * @param maxSegments segments that are told apart; those that turn up later share {@value
 *     DriftWindows#OTHER}
 */
public record DriftOptions(Duration window, Duration grace, int maxSegments, AlertOptions alert) {
  public DriftOptions {
    if (window.toMillis() < 1) {
      throw new RefluxException(
          "reflux.monitor.window.size: " + window + " (expected: 1 millisecond or more)");
    }
    if (grace.isNegative()) {
      throw new RefluxException("reflux.monitor.window.grace: " + grace + " (expected: 0 or more)");
    }
    if (maxSegments < 1) {
      throw new RefluxException(
          "reflux.monitor.max-segments: " + maxSegments + " (expected: 1 or more)");
    }
  }
}
