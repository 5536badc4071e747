package io.reflux.run;

import static io.reflux.cli.LiveDisplay.BOLD;
import static io.reflux.cli.LiveDisplay.GOOD;
import static io.reflux.cli.LiveDisplay.WARN;
import static io.reflux.cli.LiveDisplay.dim;
import static io.reflux.cli.LiveDisplay.row;

import io.reflux.cli.LiveDisplay;
import io.reflux.monitor.view.LoopState;
import io.reflux.monitor.view.LoopState.SegmentDrift;
import io.reflux.monitor.view.LoopState.TrainingState;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.SnapshotManifest;
import java.io.IOException;
import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.ToDoubleFunction;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStringBuilder;

/**
 * The loop on the terminal: redrawn in place where that works, one line every few seconds where
 * output goes to a file or a pipe.
 */
final class TerminalView implements AutoCloseable {
  private final LiveDisplay display;

  private TerminalView(LiveDisplay display) {
    this.display = display;
  }

  /** Redraws in place if standard output is a terminal that can. */
  static TerminalView open(PrintStream out) {
    return new TerminalView(LiveDisplay.open(out));
  }

  /** Prints a line that stays. */
  void say(String line) {
    display.say(line);
  }

  void show(LoopState loop, RunState run) {
    display.show(run.elapsed(), () -> lines(loop, run), () -> oneLine(loop, run));
  }

  private static String oneLine(LoopState loop, RunState run) {
    StringBuilder line = new StringBuilder();
    line.append(clock(run.elapsed()));
    line.append("  mirrored ").append(whole(loop.metric("mirror", "delivered_total")));
    line.append("  labels ").append(whole(loop.metric("scorer", "labels_total")));
    loop.training()
        .ifPresent(
            t ->
                line.append(
                    String.format(
                        Locale.ROOT,
                        "  %s step %d loss %s",
                        t.stage().name().toLowerCase(Locale.ROOT).replace('_', '-'),
                        t.step(),
                        known("%.3f", t.loss()))));
    line.append("  serving ").append(version(loop.servedVersion()));
    if (!run.agreements().isEmpty()) {
      line.append(String.format(Locale.ROOT, "  agreement %.3f", last(run).agreement()));
    }
    loop.latestDrift()
        .ifPresent(d -> line.append(String.format(Locale.ROOT, "  kl %.3f", d.getKlMean())));
    line.append("  failed ").append(run.failed());
    for (DriftAlert alert : loop.activeAlerts()) {
      line.append("  ALERT ").append(alert.getSegment());
    }
    return line.append("  | ").append(run.phase()).toString();
  }

  private static List<AttributedString> lines(LoopState loop, RunState run) {
    List<AttributedString> lines = new ArrayList<>();
    AttributedStringBuilder title = new AttributedStringBuilder();
    title.styled(BOLD, "Reflux").append("  ").append(clock(run.elapsed()));
    if (run.duration() != null) {
      title.append(" of ").append(clock(run.duration()));
    }
    title.append("  ").styled(GOOD, run.phase());
    lines.add(title.toAttributedString());
    lines.add(
        dim(
            "page "
                + run.pageUrl()
                + "   mirror "
                + run.mirrorUrl()
                + "   server "
                + run.serverUrl()));
    lines.add(AttributedString.EMPTY);
    lines.add(
        row(
            "mirror",
            String.format(
                "%s requests/s   %s requests   %s dropped",
                rate(loop.rate("mirror", "delivered_total")),
                whole(loop.metric("mirror", "delivered_total")),
                whole(loop.metric("mirror", "dropped_total")))));
    lines.add(
        row(
            "teacher",
            String.format(
                "%s labels/s   %s labels   %s rollouts scored   lag %s   %s",
                rate(loop.rate("scorer", "labels_total")),
                whole(loop.metric("scorer", "labels_total")),
                whole(loop.metric("scorer", "rollouts_scored_total")),
                whole(loop.lag("requests")),
                bytes(loop.metric("scorer", "label_bytes_total")))));
    lines.add(
        row(
            "trainer",
            loop.training().map(TerminalView::training).orElse("waiting for the first labels")));
    lines.add(row("snapshots", snapshots(loop)));
    lines.add(
        row(
            "serving",
            String.format(
                "%s   %d answered   %d failed",
                version(loop.servedVersion()), run.answered(), run.failed())));
    lines.add(AttributedString.EMPTY);
    lines.add(row("agreement", agreement(run)));
    lines.add(
        row("loss", loop.training().map(t -> spark(t.points(), p -> p.loss(), 48)).orElse("")));
    SegmentDrift all = loop.drift().get(LoopState.ALL);
    lines.add(
        row(
            "drift",
            all == null
                ? "waiting for the first window"
                : spark(all.points(), DriftReport::getKlMean, 48)
                    + String.format(
                        Locale.ROOT,
                        "  kl %.3f nats, same top token %.1f %%",
                        all.latest().getKlMean(),
                        100 * all.latest().getAgreement())));
    for (DriftAlert alert : loop.activeAlerts()) {
      lines.add(
          new AttributedStringBuilder()
              .styled(WARN, "  ALERT      " + alert.getMessage())
              .toAttributedString());
    }
    if (loop.activeAlerts().isEmpty() && loop.alertsRaised() > 0) {
      lines.add(
          row("alerts", loop.alertsRaised() + " raised, " + loop.alertsCleared() + " cleared"));
    }
    lines.add(AttributedString.EMPTY);
    lines.add(dim("Ctrl-C drains and stops."));
    return lines;
  }

  private static String training(TrainingState t) {
    return String.format(
        Locale.ROOT,
        "%s   step %,d   loss %s   %s tokens/s   λ %s   lr %s%s",
        t.stage().name().toLowerCase(Locale.ROOT).replace('_', '-'),
        t.step(),
        known("%.3f", t.loss()),
        known("%,.0f", t.tokensPerSecond()),
        known("%.2f", t.lambda()),
        known("%.1e", t.learningRate()),
        t.validationAgreement().isPresent()
            ? String.format(
                Locale.ROOT, "   held-out agreement %.3f", t.validationAgreement().getAsDouble())
            : "");
  }

  private static String known(String format, double value) {
    return Double.isFinite(value) ? String.format(Locale.ROOT, format, value) : "–";
  }

  private static String snapshots(LoopState loop) {
    if (loop.snapshots().isEmpty()) {
      return "none yet";
    }
    SnapshotManifest newest = loop.snapshots().get(loop.snapshots().size() - 1);
    long size = newest.getFiles().stream().mapToLong(f -> f.getSizeBytes()).sum();
    return String.format(
        Locale.ROOT,
        "%d published   newest v%d   %s   %s",
        newest.getVersion(),
        newest.getVersion(),
        newest.getQuantisation(),
        bytes(OptionalDouble.of((double) size)));
  }

  private static String agreement(RunState run) {
    if (run.agreements().isEmpty()) {
      return "not measured yet";
    }
    return spark(run.agreements(), RunState.Agreement::agreement, 48)
        + String.format(
            Locale.ROOT,
            "  %.3f → %.3f  (served student and teacher, held-out prompts)",
            run.agreements().get(0).agreement(),
            last(run).agreement());
  }

  private static RunState.Agreement last(RunState run) {
    return run.agreements().get(run.agreements().size() - 1);
  }

  /** The last values as bars from their smallest to their largest. */
  private static <T> String spark(List<T> points, ToDoubleFunction<T> value, int width) {
    double[] values =
        points.stream().skip(Math.max(0, points.size() - width)).mapToDouble(value).toArray();
    return LiveDisplay.spark(values);
  }

  static String clock(Duration d) {
    return String.format("%02d:%02d", d.toMinutes(), d.toSecondsPart());
  }

  private static String version(OptionalLong version) {
    return version.isPresent() ? "v" + version.getAsLong() : "nothing yet";
  }

  private static String rate(OptionalDouble value) {
    return value.isPresent() ? String.format(Locale.ROOT, "%.1f", value.getAsDouble()) : "–";
  }

  private static String whole(OptionalDouble value) {
    return value.isPresent() ? String.format(Locale.ROOT, "%,.0f", value.getAsDouble()) : "–";
  }

  private static String whole(OptionalLong value) {
    return value.isPresent() ? String.format(Locale.ROOT, "%,d", value.getAsLong()) : "–";
  }

  private static String bytes(OptionalDouble value) {
    if (value.isEmpty()) {
      return "–";
    }
    double bytes = value.getAsDouble();
    return bytes < 1e6
        ? String.format(Locale.ROOT, "%.1f kB", bytes / 1e3)
        : String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
  }

  @Override
  public void close() throws IOException {
    display.close();
  }
}
