package io.reflux.trainer;

import io.reflux.schemas.avro.TrainingProgress;
import io.reflux.trainer.nn.Losses;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;

/** Sums up steps between two reports. */
final class ProgressMeter {
  private final String studentName;
  private Losses losses = Losses.NONE;
  private long sequences;
  private long rollouts;
  private double staleness;
  private long rows;
  private double learningRate;
  private double gradientNorm;
  private double lastLoss;
  private long sinceNanos;

  ProgressMeter(String studentName, long nowNanos) {
    this.studentName = studentName;
    this.sinceNanos = nowNanos;
  }

  void add(StudentTraining.Step step) {
    losses = losses.plus(step.losses());
    rows += step.losses().rows();
    sequences += step.sequences();
    rollouts += step.rollouts();
    staleness += step.staleness() * step.rollouts();
    learningRate = step.learningRate();
    gradientNorm = Double.isFinite(step.gradientNorm()) ? step.gradientNorm() : 0;
    lastLoss = step.losses().meanKl();
  }

  /** Mean KL since the last report, or of the last step before it. */
  double loss() {
    return losses.distilledRows() > 0 ? losses.meanKl() : lastLoss;
  }

  /** Reports, and starts over. */
  TrainingProgress report(StudentTraining training, long nowNanos) {
    double seconds = Math.max(1e-9, (nowNanos - sinceNanos) / 1e9);
    Map<String, Double> metrics = new HashMap<>();
    if (losses.distilledRows() > 0) {
      metrics.put("training_agreement", losses.agreement());
      metrics.put("training_cross_entropy", losses.meanCrossEntropy());
    }
    if (!Double.isNaN(training.agreement())) {
      metrics.put("validation_agreement", training.agreement());
      metrics.put("validation_kl", training.kl());
    }
    metrics.put("replay_size", (double) training.replaySize());
    metrics.put("fresh_size", (double) training.freshSize());
    metrics.put("rollouts_held", (double) training.rolloutsHeld());
    metrics.put("held_out_size", (double) training.heldOutSize());
    metrics.put("staleness_steps", rollouts == 0 ? 0 : staleness / rollouts);
    metrics.put("skipped_steps", (double) training.skippedSteps());
    TrainingProgress progress =
        TrainingProgress.newBuilder()
            .setStudentName(studentName)
            .setAt(Instant.now())
            .setStep(training.stepsDone())
            .setTokens(training.rowsTrained())
            .setStage(training.stage())
            .setLoss(loss())
            .setLearningRate(learningRate)
            .setGradientNorm(gradientNorm)
            .setTokensPerSecond(rows / seconds)
            .setLambda(sequences == 0 ? 0 : (double) rollouts / sequences)
            .setMetrics(metrics)
            .build();
    losses = Losses.NONE;
    sequences = 0;
    rollouts = 0;
    staleness = 0;
    rows = 0;
    sinceNanos = nowNanos;
    return progress;
  }
}
