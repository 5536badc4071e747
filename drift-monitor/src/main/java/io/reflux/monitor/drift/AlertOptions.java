package io.reflux.monitor.drift;

import io.reflux.schemas.service.RefluxException;

/**
 * When an alert is raised and cleared.
 *
 * @param raiseThreshold mean KL a position, in nats, above which a window counts as bad
 * @param clearThreshold mean KL a position, in nats, below which a window counts as good; between
 *     the two it is neither, which ends both streaks
 * @param raiseWindows bad windows in a row that raise
 * @param clearWindows good windows in a row that clear
 * @param armWindows good windows in a row before a segment may raise for the first time
 * @param minRequests windows with fewer requests are reported but decide nothing
 */
public record AlertOptions(
    double raiseThreshold,
    double clearThreshold,
    int raiseWindows,
    int clearWindows,
    int armWindows,
    int minRequests) {
  public AlertOptions {
    if (!(raiseThreshold > 0) || Double.isInfinite(raiseThreshold)) {
      throw new RefluxException(
          "reflux.monitor.alert.raise-threshold: " + raiseThreshold + " (expected: above 0)");
    }
    if (!(clearThreshold > 0 && clearThreshold <= raiseThreshold)) {
      throw new RefluxException(
          "reflux.monitor.alert.clear-threshold: "
              + clearThreshold
              + " (expected: above 0, to raise-threshold "
              + raiseThreshold
              + ")");
    }
    atLeastOne("raise-windows", raiseWindows);
    atLeastOne("clear-windows", clearWindows);
    atLeastOne("arm-windows", armWindows);
    atLeastOne("min-requests", minRequests);
  }

  private static void atLeastOne(String key, int value) {
    if (value < 1) {
      throw new RefluxException(
          "reflux.monitor.alert." + key + ": " + value + " (expected: 1 or more)");
    }
  }
}
