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
    steps = registry.counter("train_steps");
    skippedSteps = registry.counter("train_steps_skipped");
    tokens = registry.counter("train_tokens");
    softLabels = registry.counter("soft_labels_consumed");
    rolloutLabels = registry.counter("rollout_labels_consumed");
    staleRollouts = registry.counter("rollouts_stale");
    rolloutsSent = registry.counter("rollouts_sent");
    rolloutFailures = registry.counter("rollout_failures");
    rolloutPromptsForgotten = registry.counter("rollout_prompts_forgotten");
    snapshotsPublished = registry.counter("snapshots_published");
    snapshotsHeldBack = registry.counter("snapshots_held_back");
    snapshotFailures = registry.counter("snapshot_failures");
    checkpoints = registry.counter("checkpoints");
    checkpointFailures = registry.counter("checkpoint_failures");
    loss = gauge("train_loss", Double.NaN);
    agreement = gauge("held_out_agreement", Double.NaN);
    kl = gauge("held_out_kl", Double.NaN);
    lag = gauge("labels_lag", 0);
    replaySize = gauge("replay_size", 0);
    heldOutSize = gauge("held_out_size", 0);
    step = gauge("train_step", 0);
    version = gauge("snapshot_version", 0);
  }

  private AtomicLong gauge(String name, double start) {
    AtomicLong bits = new AtomicLong(Double.doubleToRawLongBits(start));
    Gauge.builder(name, bits, value -> Double.longBitsToDouble(value.get())).register(registry);
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
    registry.counter("labels_refused", "reason", reason).increment();
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
