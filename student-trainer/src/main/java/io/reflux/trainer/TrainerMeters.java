package io.reflux.trainer;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.concurrent.atomic.AtomicLong;

/** The trainer's meters; gauges show what the training thread last set. Safe for many threads. */
final class TrainerMeters {
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
  private final Counter snapshotsHeldBack;
  private final Counter snapshotFailures;
  private final Counter checkpoints;
  private final Counter checkpointFailures;
  private final AtomicLong loss;
  private final AtomicLong agreement;
  private final AtomicLong kl;
  private final AtomicLong lag;
  private final AtomicLong replaySize;
  private final AtomicLong heldOutSize;
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
            "rollouts_stale", "Rollouts dropped because their student was too many steps behind.");
    rolloutsSent = counter("rollouts_sent", "Rollouts written.");
    rolloutFailures = counter("rollout_failures", "Rollouts that failed or could not be sent.");
    rolloutPromptsForgotten =
        counter("rollout_prompts_forgotten", "Prompts that no rollout was written for in time.");
    snapshotsPublished = counter("snapshots_published", "Snapshots published.");
    snapshotsHeldBack =
        counter("snapshots_held_back", "Snapshots that were worse than the published one.");
    snapshotFailures =
        counter("snapshot_failures", "Snapshots that could not be made or published.");
    checkpoints = counter("checkpoints", "Checkpoints written.");
    checkpointFailures = counter("checkpoint_failures", "Checkpoints that could not be written.");
    loss = gauge("train_loss", "Mean loss a position of the latest steps, in nats.", Double.NaN);
    agreement =
        gauge(
            "held_out_agreement",
            "Share of held-out positions where student and teacher like the same token best.",
            Double.NaN);
    kl =
        gauge(
            "held_out_kl",
            "Mean divergence from the teacher on held-out positions, in nats.",
            Double.NaN);
    lag = gauge("labels_lag", "Label records that wait in Kafka.", 0);
    replaySize = gauge("replay_size", "Sequences kept to train on again.", 0);
    heldOutSize = gauge("held_out_size", "Sequences kept to measure quality on.", 0);
    step = gauge("train_step", "Number of the latest step.", 0);
    version =
        gauge("snapshot_version", "Version of the latest snapshot published by this process.", 0);
  }

  private Counter counter(String name, String help) {
    return Counter.builder(name).description(help).register(registry);
  }

  private AtomicLong gauge(String name, String help, double start) {
    AtomicLong bits = new AtomicLong(Double.doubleToRawLongBits(start));
    Gauge.builder(name, bits, value -> Double.longBitsToDouble(value.get()))
        .description(help)
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

  void state(StudentTraining training, double meanLoss, long labelsLag) {
    set(loss, meanLoss);
    set(agreement, training.agreement());
    set(kl, training.kl());
    set(lag, (double) labelsLag);
    set(replaySize, training.replaySize());
    set(heldOutSize, training.heldOutSize());
    set(step, (double) training.stepsDone());
  }

  void published(long snapshotVersion) {
    snapshotsPublished.increment();
    set(version, (double) snapshotVersion);
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

  Counter snapshotsHeldBack() {
    return snapshotsHeldBack;
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
}
