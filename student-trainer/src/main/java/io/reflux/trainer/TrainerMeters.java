package io.reflux.trainer;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.trainer.gate.GateVerdict.Reason;
import io.reflux.trainer.watch.Figure;
import io.reflux.trainer.watch.Report;
import io.reflux.trainer.watch.Report.Slice;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/** The trainer's meters; gauges show what the training thread last set. Safe for many threads. */
final class TrainerMeters {
  /** Counted here, or by the process's own meters; or only known of parts. */
  private static final Set<Figure> ELSEWHERE =
      EnumSet.of(Figure.SKIPPED_STEPS, Figure.RESIDENT_BYTES, Figure.SHARE);

  /** A segment is a word of whoever sends traffic: some must not fill the memory. */
  private static final int MOST_SLICE_GAUGES = 256;

  private final MeterRegistry registry;
  private final Counter steps;
  private final Counter skippedSteps;
  private final Counter tokens;
  private final Counter softLabels;
  private final Counter rolloutLabels;
  private final Counter staleRollouts;
  private final Counter rolloutsSent;
  private final Counter rolloutFailures;
  private final Counter rolloutPromptsForgotten;
  private final Counter snapshotsPublished;
  private final Map<Reason, Counter> snapshotsHeldBack = new EnumMap<>(Reason.class);
  private final Counter snapshotFailures;
  private final Counter checkpoints;
  private final Counter checkpointFailures;
  private final Counter checkpointsTorn;
  private final Counter stepsRedone;
  private final Map<Figure, AtomicLong> figures = new EnumMap<>(Figure.class);
  private final Map<String, AtomicLong> slices = new ConcurrentHashMap<>();
  private final AtomicLong step;
  private final AtomicLong version;

  TrainerMeters(MeterRegistry registry) {
    this.registry = registry;
    steps = counter("train_steps", "Training steps done.");
    skippedSteps =
        counter(
            "train_steps_skipped",
            "Steps whose gradient was not finite, and that changed nothing.");
    tokens = counter("train_tokens", "Labelled positions trained on, repeats included.");
    softLabels = counter("soft_labels_consumed", "Label records of requests that were read.");
    rolloutLabels = counter("rollout_labels_consumed", "Label records of rollouts that were read.");
    staleRollouts =
        counter(
            "rollouts_stale",
            "Rollouts dropped because their student was too many versions behind.");
    rolloutsSent = counter("rollouts_sent", "Rollouts written.");
    rolloutFailures = counter("rollout_failures", "Rollouts that failed or could not be sent.");
    rolloutPromptsForgotten =
        counter("rollout_prompts_forgotten", "Prompts that no rollout was written for in time.");
    snapshotsPublished = counter("snapshots_published", "Snapshots published.");
    for (Reason reason : Reason.values()) {
      snapshotsHeldBack.put(
          reason,
          Counter.builder("snapshots_held_back")
              .description("Snapshots that did not pass the gate, by the first reason.")
              .tag("reason", reason.name().toLowerCase(Locale.ROOT))
              .register(registry));
    }
    snapshotFailures =
        counter("snapshot_failures", "Snapshots that could not be made or published.");
    checkpoints = counter("checkpoints", "Checkpoints written.");
    checkpointFailures = counter("checkpoint_failures", "Checkpoints that could not be written.");
    checkpointsTorn =
        counter("checkpoints_torn", "Checkpoints that were found torn or damaged at the start.");
    stepsRedone = counter("train_steps_redone", "Steps done again after a restart, as they were.");
    for (Figure figure : Figure.values()) {
      if (!ELSEWHERE.contains(figure)) {
        figures.put(figure, gauge(name(figure), help(figure)));
      }
    }
    step = gauge("train_step", "Number of the latest step.");
    version =
        gauge("snapshot_version", "Version of the latest snapshot published by this process.");
  }

  /** Figures that have been known by another name. */
  private static String name(Figure figure) {
    return switch (figure) {
      case LOSS -> "train_loss";
      case VALIDATION_AGREEMENT -> "held_out_agreement";
      case VALIDATION_KL -> "held_out_kl";
      case MFU -> "mfu_ratio";
      default -> figure.key();
    };
  }

  private static String help(Figure figure) {
    return figure.help() + (figure.unit() == Figure.Unit.NATS ? ", nats." : ".");
  }

  private Counter counter(String name, String help) {
    return Counter.builder(name).description(help).register(registry);
  }

  /** Not known until it is set. */
  private AtomicLong gauge(String name, String help, String... tags) {
    AtomicLong bits = new AtomicLong(Double.doubleToRawLongBits(Double.NaN));
    Gauge.builder(name, bits, value -> Double.longBitsToDouble(value.get()))
        .description(help)
        .tags(tags)
        .register(registry);
    return bits;
  }

  private static void set(AtomicLong gauge, double value) {
    gauge.set(Double.doubleToRawLongBits(value));
  }

  void stepped(long rows, boolean skipped) {
    steps.increment();
    tokens.increment((double) rows);
    if (skipped) {
      skippedSteps.increment();
    }
  }

  void refused(String reason) {
    Counter.builder("labels_refused")
        .description("Label records that were refused, by reason.")
        .tag("reason", reason)
        .register(registry)
        .increment();
  }

  /** Shows how training goes. */
  void show(Report report) {
    set(step, (double) report.step());
    figures.forEach((figure, gauge) -> set(gauge, report.figure(figure).orElse(Double.NaN)));
    report.slices().forEach(this::show);
  }

  private void show(Slice slice, Map<Figure, Double> known) {
    known.forEach(
        (figure, value) -> {
          String name = slice.by() + "_" + figure.key();
          String key = name + '/' + slice.name();
          if (slices.containsKey(key) || slices.size() < MOST_SLICE_GAUGES) {
            set(
                slices.computeIfAbsent(
                    key, k -> gauge(name, help(figure), slice.by(), slice.name())),
                value);
          }
        });
  }

  /** Known from the first read on, before any report. */
  void labelsLag(long records) {
    set(figures.get(Figure.LABELS_LAG), (double) records);
  }

  void published(long snapshotVersion) {
    snapshotsPublished.increment();
    set(version, (double) snapshotVersion);
  }

  void heldBack(Reason reason) {
    snapshotsHeldBack.get(reason).increment();
  }

  Counter softLabels() {
    return softLabels;
  }

  Counter rolloutLabels() {
    return rolloutLabels;
  }

  Counter staleRollouts() {
    return staleRollouts;
  }

  Counter rolloutsSent() {
    return rolloutsSent;
  }

  Counter rolloutFailures() {
    return rolloutFailures;
  }

  Counter rolloutPromptsForgotten() {
    return rolloutPromptsForgotten;
  }

  Counter snapshotFailures() {
    return snapshotFailures;
  }

  Counter checkpoints() {
    return checkpoints;
  }

  Counter checkpointFailures() {
    return checkpointFailures;
  }

  Counter checkpointsTorn() {
    return checkpointsTorn;
  }

  Counter stepsRedone() {
    return stepsRedone;
  }
}
