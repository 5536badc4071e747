package io.reflux.trainer;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.compress.PruningSchedule;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Optimizer;
import java.time.Duration;

/** What a configuration must be like, in one place. */
final class TrainerChecks {
  /** Tokens; more are never held. */
  private static final long MOST_HALF_LIFE = 1_000_000_000;

  private TrainerChecks() {}

  /**
   * Checks all of it.
   *
   * @throws RefluxException one line that names the first key that cannot be, and what it may be
   */
  static void requireSane(TrainerConfig config) {
    optimisation(config);
    objectives(config);
    measuring(config);
    buffers(config);
    rollouts(config);
    publishing(config);
    quantisation(config);
    pruning(config);
  }

  private static void optimisation(TrainerConfig config) {
    double rate = config.learningRate();
    require(rate > 0 && rate < 1, "learning-rate", rate, "above 0, below 1");
    notNegative("warm-up-steps", config.warmUpSteps());
    notNegative("settle-steps", config.settleSteps());
    double settled = config.settledShare();
    require(settled > 0 && settled <= 1, "settled-share", settled, "above 0, to 1");
    notNegative("drift-threshold", config.driftThreshold());
    notNegative("spike-threshold", config.spikeThreshold());
    notNegative("rewind-after", config.rewindAfter());
    notNegative("weight-decay", config.weightDecay());
    above0("max-gradient-norm", config.maxGradientNorm());
    require(config.longestAverage() >= 1, "longest-average", config.longestAverage(), "1 or more");
    parsed(
        "optimizer",
        config.optimizer(),
        () -> Optimizer.parse(config.optimizer(), config.weightDecay(), config.maxGradientNorm()));
    positive("batch-tokens", config.batchTokens());
    positive("micro-batch-tokens", config.microBatchTokens());
    positive("threads", config.threads());
    notNegative("checkpoint-every", config.checkpointEvery());
    try {
      StudentModel.options(config);
    } catch (ModelException e) {
      throw new RefluxException("reflux.train: " + e.getMessage(), e);
    }
  }

  private static void objectives(TrainerConfig config) {
    share("cross-entropy-share", config.crossEntropyShare());
    parsed(
        "objective",
        config.objective(),
        () -> Objective.parse(config.objective(), config.crossEntropyShare()));
    parsed(
        "rollout-objective",
        config.rolloutObjective(),
        () -> Objective.parse(config.rolloutObjective(), 0));
    require(
        !config.rolloutObjective().strip().equals("cross-entropy"),
        "rollout-objective",
        config.rolloutObjective(),
        "a divergence: the tokens of rollouts are the student's own");
    require(
        !config.objective().contains("sampled-reverse-kl"),
        "objective",
        config.objective(),
        "sampled-reverse-kl for rollout-objective alone, of whose tokens it is an estimate");
  }

  private static void measuring(TrainerConfig config) {
    share("held-out-fraction", config.heldOutFraction());
    positive("held-out-size", config.heldOutSize());
    positive("validation-steps", config.validationSteps());
    positive("intake-sequences", config.intakeSequences());
    require(
        !config.gate() || config.heldOutFraction() > 0,
        "gate",
        true,
        "false, or a held-out-fraction above 0 to measure on");
  }

  private static void buffers(TrainerConfig config) {
    positive("minimum-labels", config.minimumLabels());
    above0("max-reuse", config.maxReuse());
    positive("replay-size", config.replaySize());
    positive("recent-size", config.recentSize());
    share("recent-share", config.recentShare());
    time("replay-half-life", config.replayHalfLife());
    // A part of it must hold a few long sequences at the least.
    require(
        config.bufferBytes() >= 1 << 20, "buffer-bytes", config.bufferBytes(), "1048576 or more");
  }

  private static void rollouts(TrainerConfig config) {
    double lambda = config.lambda();
    require(
        lambda >= 0 && lambda < 1,
        "lambda",
        lambda,
        "0 to below 1: something must bring new prompts");
    notNegative("lambda-ramp-steps", config.lambdaRampSteps());
    notNegative("plateau-validations", config.plateauValidations());
    positive("rollout-size", config.rolloutSize());
    positive("rollout-slots", config.rolloutSlots());
    positive("rollout-max-tokens", config.rolloutMaxTokens());
    positive("rollout-refresh-steps", config.rolloutRefreshSteps());
    above0("rollout-temperature", config.rolloutTemperature());
    positive("rollout-support", config.rolloutSupport());
    positive("rollouts-in-flight", config.rolloutsInFlight());
    notNegative("max-staleness", config.maxStaleness());
    above0("importance-clip", config.importanceClip());
  }

  private static void publishing(TrainerConfig config) {
    time("snapshot-interval", config.snapshotInterval());
    time("checkpoint-interval", config.checkpointInterval());
    positive("checkpoint-steps", config.checkpointSteps().orElse(1L));
    positive("checkpoint-retention", config.checkpointRetention());
    positive("stop-at-step", config.stopAtStep().orElse(1));
    int golden = config.goldenPrompts();
    require(golden >= 0 && golden <= 64, "golden-prompts", golden, "0 to 64");
    notNegative("gate-tolerance", config.gateTolerance());
    above0("snapshot-format-divergence", config.snapshotFormatDivergence());
    int least = config.gateSegmentMinimum();
    require(least >= 2, "gate-segment-minimum", least, "2 or more");
    config.gateMinimumAgreement().ifPresent(share -> share("gate-minimum-agreement", share));
  }

  private static void quantisation(TrainerConfig config) {
    long halfLife = config.calibrationHalfLife();
    require(
        halfLife >= 1 && halfLife <= MOST_HALF_LIFE,
        "calibration-half-life",
        halfLife,
        "1 to " + MOST_HALF_LIFE);
    require(
        config.quantisationMethod() == QuantisationMethod.RTN
            || config.snapshotFormat() != WeightFormat.NONE,
        "quantisation-method",
        config.quantisationMethod(),
        "rtn with snapshot-format none, which rounds nothing");
  }

  private static void pruning(TrainerConfig config) {
    parsed("prune", config.prune(), () -> PruningSchedule.parse(config.prune()));
    boolean all = config.frozenLayers() == 0 && config.lora().rank() == 0;
    require(
        all || PruningSchedule.parse(config.prune()).isEmpty(),
        "prune",
        config.prune(),
        "none with frozen-layers or lora: what is not trained cannot make up for a cut");
  }

  private static void positive(String key, long value) {
    require(value > 0, key, value, "1 or more");
  }

  private static void notNegative(String key, double value) {
    require(value >= 0 && Double.isFinite(value), key, plain(value), "0 or more");
  }

  private static void above0(String key, double value) {
    require(value > 0 && Double.isFinite(value), key, plain(value), "above 0");
  }

  private static void share(String key, double value) {
    require(value >= 0 && value <= 1, key, value, "0 to 1");
  }

  private static void time(String key, Duration value) {
    require(!value.isNegative() && !value.isZero(), key, value, "a positive time");
  }

  private static void parsed(String key, String value, Runnable parse) {
    try {
      parse.run();
    } catch (ModelException e) {
      throw new RefluxException("reflux.train.%s: %s: %s".formatted(key, value, e.getMessage()), e);
    }
  }

  /** Whole numbers as they were written. */
  private static Object plain(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1L << 53 ? (Object) (long) value : value;
  }

  private static void require(boolean holds, String key, Object value, String expected) {
    if (!holds) {
      throw new RefluxException(
          "reflux.train.%s: %s (expected: %s)".formatted(key, value, expected));
    }
  }
}
