package io.reflux.cli;

import io.reflux.trainer.watch.Figure;
import io.reflux.trainer.watch.Happening;
import io.reflux.trainer.watch.Report;
import io.reflux.trainer.watch.RunView;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jline.utils.AttributedString;
import org.jline.utils.AttributedStringBuilder;

/** A training run on the terminal, from a thread of its own. What is not known is a dash. */
final class TrainView implements AutoCloseable {
  private static final int SPARK = 40;

  private final LiveDisplay display;
  private final Supplier<RunView> runs;
  private final String page;
  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread made = new Thread(task, "train-view");
            made.setDaemon(true);
            return made;
          });

  /**
   * @param page where the same is on a page; empty if nowhere
   */
  TrainView(LiveDisplay display, Supplier<RunView> runs, String page) {
    this.display = display;
    this.runs = runs;
    this.page = page;
  }

  /** Shows it from now on. */
  TrainView start() {
    var unused = thread.scheduleWithFixedDelay(this::show, 1, 1, TimeUnit.SECONDS);
    return this;
  }

  @Override
  public void close() {
    thread.shutdown();
    try {
      if (thread.awaitTermination(2, TimeUnit.SECONDS)) {
        display.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void show() {
    RunView run = runs.get();
    Duration elapsed = Duration.between(run.startedAt(), Instant.now());
    display.show(elapsed, () -> lines(run, elapsed, page), () -> oneLine(run));
  }

  static String oneLine(RunView run) {
    if (run.latest().isEmpty()) {
      return "waiting for the first labels";
    }
    Report now = run.latest().get();
    List<String> parts = new ArrayList<>();
    parts.add(String.format(Locale.ROOT, "step %,d", now.step()));
    parts.add(stage(now));
    add(parts, "loss %.3f", now, Figure.LOSS, 1);
    add(parts, "agreement %.1f %%", now, Figure.VALIDATION_AGREEMENT, 100);
    add(parts, "λ %.2f", now, Figure.LAMBDA, 1);
    add(parts, "lr %.1e", now, Figure.LEARNING_RATE, 1);
    add(parts, "%,.0f tokens/s", now, Figure.TOKENS_PER_SECOND, 1);
    add(parts, "MFU %.1f %%", now, Figure.MFU, 100);
    add(parts, "staleness %.1f versions", now, Figure.STALENESS_VERSIONS, 1);
    if (!now.bottleneck().isEmpty()) {
      parts.add("held back by " + now.bottleneck());
    }
    if (!run.gate().isEmpty()) {
      Happening last = run.gate().get(run.gate().size() - 1);
      parts.add(last.kind().key().replace('_', ' ') + " at step " + last.step());
    }
    return String.join("  ", parts);
  }

  static List<AttributedString> lines(RunView run, Duration elapsed, String page) {
    List<AttributedString> lines = new ArrayList<>();
    AttributedStringBuilder title = new AttributedStringBuilder();
    title
        .styled(LiveDisplay.BOLD, "Reflux trainer")
        .append("  ")
        .append(run.student())
        .append("  ")
        .append(
            String.format(
                "%d:%02d:%02d",
                elapsed.toHours(), elapsed.toMinutesPart(), elapsed.toSecondsPart()));
    if (run.latest().isEmpty()) {
      lines.add(title.toAttributedString());
      lines.add(LiveDisplay.row("", "waiting for the first labels"));
    } else {
      Report now = run.latest().get();
      lines.add(title.append("  ").styled(LiveDisplay.GOOD, stage(now)).toAttributedString());
      figures(lines, run, now);
    }
    if (!run.gate().isEmpty()) {
      lines.add(happening("gate", run.gate().get(run.gate().size() - 1)));
    }
    if (!run.happenings().isEmpty()) {
      lines.add(happening("last", run.happenings().get(run.happenings().size() - 1)));
    }
    lines.add(
        LiveDisplay.dim(
            (page.isEmpty() ? "" : "page " + page + "   ") + "Ctrl-C drains and stops."));
    return lines;
  }

  private static void figures(List<AttributedString> lines, RunView run, Report now) {
    lines.add(
        LiveDisplay.row(
            "step",
            String.format(
                Locale.ROOT,
                "%,d   %,d tokens   %s tokens/s   MFU %s   memory %s",
                now.step(),
                now.tokens(),
                text("%,.0f", now, Figure.TOKENS_PER_SECOND, 1),
                text("%.1f %%", now, Figure.MFU, 100),
                text("%,.0f MB", now, Figure.RESIDENT_BYTES, 1e-6))));
    lines.add(
        LiveDisplay.row(
            "loss",
            String.format(
                "%s  %s   gradient norm %s   lr %s   skipped %s",
                spark(run, Figure.LOSS),
                text("%.3f", now, Figure.LOSS, 1),
                text("%.2f", now, Figure.GRADIENT_NORM, 1),
                text("%.1e", now, Figure.LEARNING_RATE, 1),
                text("%,.0f", now, Figure.SKIPPED_STEPS, 1))));
    lines.add(
        LiveDisplay.row(
            "held out",
            String.format(
                "%s  agreement %s   KL %s",
                spark(run, Figure.VALIDATION_AGREEMENT),
                text("%.1f %%", now, Figure.VALIDATION_AGREEMENT, 100),
                text("%.3f", now, Figure.VALIDATION_KL, 1))));
    lines.add(
        LiveDisplay.row(
            "mix",
            String.format(
                "λ %s of %s   staleness %s versions   replay %s   rollouts %s",
                text("%.2f", now, Figure.LAMBDA, 1),
                text("%.2f", now, Figure.LAMBDA_TARGET, 1),
                text("%.1f", now, Figure.STALENESS_VERSIONS, 1),
                text("%,.0f", now, Figure.REPLAY_SIZE, 1),
                text("%,.0f", now, Figure.ROLLOUTS_HELD, 1))));
    lines.add(
        LiveDisplay.row(
            "pipeline",
            String.format(
                "labels %s/s, %s wait   rollouts %s/s written, %s/s scored   %s",
                text("%.1f", now, Figure.LABELS_PER_SECOND, 1),
                text("%,.0f", now, Figure.LABELS_LAG, 1),
                text("%.1f", now, Figure.ROLLOUTS_PER_SECOND, 1),
                text("%.1f", now, Figure.ROLLOUT_LABELS_PER_SECOND, 1),
                now.bottleneck().isEmpty() ? "" : "held back by " + now.bottleneck())));
  }

  private static AttributedString happening(String name, Happening happening) {
    return LiveDisplay.row(
        name,
        String.format(
            Locale.ROOT,
            "%s at step %,d: %s",
            happening.kind().key().replace('_', ' '),
            happening.step(),
            happening.text()));
  }

  private static String stage(Report report) {
    return report.stage().replace('_', '-');
  }

  private static void add(
      List<String> parts, String format, Report report, Figure figure, double scale) {
    report
        .figure(figure)
        .ifPresent(value -> parts.add(String.format(Locale.ROOT, format, scale * value)));
  }

  private static String text(String format, Report report, Figure figure, double scale) {
    return report.figure(figure).isPresent()
        ? String.format(Locale.ROOT, format, scale * report.figure(figure).getAsDouble())
        : "–";
  }

  private static String spark(RunView run, Figure figure) {
    List<Report> points = run.points();
    return LiveDisplay.spark(
        points.stream()
            .skip(Math.max(0, points.size() - SPARK))
            .mapToDouble(point -> point.figure(figure).orElse(Double.NaN))
            .toArray());
  }
}
