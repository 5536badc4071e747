package io.reflux.trainer;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.PrunedModel;
import io.reflux.model.compress.PrunedShape;
import io.reflux.model.compress.PruningOptions;
import io.reflux.model.compress.PruningReport.PrunedMatrix;
import io.reflux.model.compress.PruningSchedule;
import io.reflux.model.compress.StructuredPruning;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.trainer.nn.ModelState;
import io.reflux.trainer.nn.StateCut;
import io.reflux.trainer.nn.Trainable;

/**
 * Cuts the student a little at the steps that its schedule names, so that distillation makes up for
 * each cut before the next (arXiv 2502.14305). It is calibrated on what the student is trained on
 * just then. The shape after a step follows from the step alone, so that checkpoints need not say
 * it.
 */
final class GradualPruning {
  /** Tokens that a cut is calibrated on, the newest that there are. */
  private static final int CALIBRATION_TOKENS = 8192;

  private final PruningSchedule schedule;
  private final ModelConfig dense;
  private final RuntimeOptions runtime;

  /**
   * By a schedule that was checked.
   *
   * @param dense the student before any cut
   */
  GradualPruning(TrainerConfig config, ModelConfig dense) {
    this.schedule = PruningSchedule.parse(config.prune());
    this.dense = dense;
    this.runtime = RuntimeOptions.of(config.threads(), "cpu");
  }

  /**
   * A student that was cut.
   *
   * @param state of training, moments cut with the weights
   * @param text one line for people
   */
  record Cut(ModelConfig config, Weights weights, ModelState state, String text) {}

  /** Whether the student is to be cut before the step after so many. */
  boolean isDue(long stepsDone, ModelConfig now) {
    return !schedule.isEmpty() && !schedule.shapeAt(stepsDone, dense).equals(PrunedShape.of(now));
  }

  /** The shape of a student that has done so many steps, and is not yet cut for the next. */
  ModelConfig shapeAfter(long stepsDone) {
    return stepsDone == 0 ? dense : schedule.shapeAt(stepsDone - 1, dense).cut(dense);
  }

  /** Cuts a student before the step after so many; the model itself stays as it is. */
  Cut cut(long stepsDone, Trainable model, ReplayState replay) {
    Weights exported = model.export();
    PrunedModel pruned =
        StructuredPruning.prune(
            model.config(),
            exported,
            schedule.shapeAt(stepsDone, dense),
            PruningOptions.DEFAULT,
            NewestTraffic.of(replay, CALIBRATION_TOKENS),
            runtime);
    ModelState state = StateCut.of(model.config(), model.state(), exported, pruned);
    return new Cut(pruned.config(), pruned.weights(), state, text(pruned));
  }

  private static String text(PrunedModel pruned) {
    PrunedShape shape = PrunedShape.of(pruned.config());
    double worst =
        pruned.report().matrices().stream()
            .mapToDouble(PrunedMatrix::refittedError)
            .max()
            .orElse(0);
    return "cut to %d layers of %d neurons and %d key-value heads, %d of %d weights; the worst matrix errs by %.3g of its outputs' energy"
        .formatted(
            shape.layers(),
            shape.intermediateSize(),
            shape.keyValueHeads(),
            pruned.report().parametersAfter(),
            pruned.report().parametersBefore(),
            worst);
  }
}
