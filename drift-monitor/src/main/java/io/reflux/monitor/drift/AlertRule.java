package io.reflux.monitor.drift;

import io.reflux.schemas.avro.AlertState;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import java.util.Locale;
import java.util.Optional;

/**
 * Decides, report by report, whether a segment's alert is raised or cleared.
 *
 * <p>A student that starts untrained stands far from its teacher without anything having drifted,
 * so a segment is first <em>armed</em>: only after {@code armWindows} good windows in a row may it
 * raise. A segment whose first window with requests enough comes once all traffic is armed is armed
 * by that: traffic that the student has hardly seen is exactly what an alert is for. Once armed,
 * always armed.
 *
 * <p>An armed segment raises after {@code raiseWindows} bad windows in a row and clears after
 * {@code clearWindows} good ones. The two thresholds apart keep an alert from flapping; a window
 * between them, or with fewer than {@code minRequests} requests, never raises or clears: the first
 * kind ends a streak, the second is passed over as if it had not been.
 */
final class AlertRule {
  /** The figure that is watched. */
  static final String METRIC = "kl_mean";

  private final AlertOptions options;

  AlertRule(AlertOptions options) {
    this.options = options;
  }

  /**
   * What one more window changes.
   *
   * @param standing the segment's new standing
   * @param alert present when the alert's state changed
   */
  record Outcome(Standing standing, Optional<DriftAlert> alert) {}

  /**
   * @param standing the segment's standing before this window, {@link Standing#FIRST} if new
   * @param allArmed whether all traffic was armed before this window
   */
  Outcome next(Standing standing, DriftReport report, boolean allArmed) {
    if (report.getRequests() < options.minRequests()) {
      return new Outcome(standing, Optional.empty());
    }
    boolean bad = report.getKlMean() > options.raiseThreshold();
    boolean good = report.getKlMean() < options.clearThreshold();
    int badStreak = bad ? standing.badStreak() + 1 : 0;
    int goodStreak = good ? standing.goodStreak() + 1 : 0;
    boolean armed =
        standing.armed() || goodStreak >= options.armWindows() || (allArmed && !standing.judged());

    if (standing.alertId().isEmpty() && armed && badStreak >= options.raiseWindows()) {
      String id = report.getSegment() + "@" + report.getWindowEnd().toEpochMilli();
      DriftAlert alert =
          alert(id, AlertState.RAISED, report, options.raiseThreshold(), "above", badStreak);
      return new Outcome(new Standing(true, true, goodStreak, badStreak, id), Optional.of(alert));
    }
    if (!standing.alertId().isEmpty() && goodStreak >= options.clearWindows()) {
      DriftAlert alert =
          alert(
              standing.alertId(),
              AlertState.CLEARED,
              report,
              options.clearThreshold(),
              "below",
              goodStreak);
      return new Outcome(new Standing(true, true, goodStreak, badStreak, ""), Optional.of(alert));
    }
    return new Outcome(
        new Standing(true, armed, goodStreak, badStreak, standing.alertId()), Optional.empty());
  }

  private static DriftAlert alert(
      String id, AlertState state, DriftReport report, double threshold, String side, int windows) {
    String segment =
        report.getSegment().equals(DriftWindows.ALL)
            ? "all traffic"
            : "segment " + report.getSegment();
    return DriftAlert.newBuilder()
        .setAlertId(id)
        .setSegment(report.getSegment())
        .setState(state)
        .setMetric(METRIC)
        .setValue(report.getKlMean())
        .setThreshold(threshold)
        .setAt(report.getWindowEnd())
        .setStudentVersion(report.getStudentVersion())
        .setMessage(
            String.format(
                Locale.ROOT,
                "%s: %s %.3f %s %.3f nats for %d %s, student version %d",
                segment,
                METRIC,
                report.getKlMean(),
                side,
                threshold,
                windows,
                windows == 1 ? "window" : "windows",
                report.getStudentVersion()))
        .build();
  }
}
