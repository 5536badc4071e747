package io.reflux.monitor.probe;

import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.service.RefluxException;

/**
 * How the probe works.
 *
 * @param runtime of the student's scoring
 * @param maxRequestsPerSecond requests beyond it are counted and passed over; 0 sets no bound
 * @param sampling share of requests compared, chosen by their id, in (0, 1]
 * @param batchTokens tokens scored at once, padding included; one longer sequence is a batch alone
 * @param prequential passes over labels that the student may have been trained on already
 */
public record ProbeOptions(
    RuntimeOptions runtime,
    double maxRequestsPerSecond,
    double sampling,
    int batchTokens,
    boolean prequential) {
  public ProbeOptions {
    if (!(maxRequestsPerSecond >= 0)) {
      throw new RefluxException(
          "reflux.monitor.probe.max-requests-per-second: "
              + maxRequestsPerSecond
              + " (expected: 0 or more)");
    }
    if (!(sampling > 0 && sampling <= 1)) {
      throw new RefluxException(
          "reflux.monitor.probe.sampling: " + sampling + " (expected: above 0, to 1)");
    }
    if (batchTokens < 1) {
      throw new RefluxException(
          "reflux.monitor.probe.batch-tokens: " + batchTokens + " (expected: 1 or more)");
    }
  }
}
