package io.reflux.trainer;

import io.reflux.schemas.avro.Stage;
import io.reflux.trainer.TrainerConfig.StageChoice;

/**
 * Which stage training is in, and how much of it is on-policy (the two stages of arXiv 2502.14305;
 * λ of arXiv 2306.13649). The second begins when the student agrees with the teacher often enough
 * for its own answers to be worth scoring, or no longer gets better from data alone.
 */
final class Recipe {
  /** Relative, of the best held-out KL: less is noise. */
  private static final double IMPROVEMENT = 0.01;

  private static final double LEAST_IMPROVEMENT = 1e-3;

  private final TrainerConfig config;
  private Stage stage = Stage.WAITING;
  private long since;
  private double bestKl = Double.POSITIVE_INFINITY;
  private int withoutImprovement;
  private boolean enough;

  Recipe(TrainerConfig config) {
    this.config = config;
  }

  Stage stage() {
    return stage;
  }

  /** There are labels enough to begin. */
  void begin() {
    if (stage == Stage.WAITING) {
      stage = Stage.ON_DATA;
    }
  }

  /** Takes note of a measurement on held-out sequences. */
  void validated(double kl, double agreement) {
    if (stage != Stage.ON_DATA) {
      return;
    }
    if (kl < bestKl - Math.max(IMPROVEMENT * Math.abs(bestKl), LEAST_IMPROVEMENT)
        || bestKl == Double.POSITIVE_INFINITY) {
      bestKl = kl;
      withoutImprovement = 0;
    } else {
      withoutImprovement++;
    }
    enough = agreement >= config.onPolicyAgreement() || isPlateau();
  }

  /**
   * Moves to another stage if it is time.
   *
   * @param step that is done
   * @return whether it moved
   */
  boolean moveOn(long step) {
    boolean onPolicy = wantsRollouts(step);
    if (stage == Stage.ON_DATA && onPolicy) {
      stage = Stage.ON_POLICY;
      since = step;
      return true;
    }
    if (stage == Stage.ON_POLICY && config.stage() == StageChoice.DATA) {
      stage = Stage.ON_DATA;
      forget();
      return true;
    }
    return false;
  }

  /** Forgets how good the student was: it is another one now. */
  void forget() {
    bestKl = Double.POSITIVE_INFINITY;
    withoutImprovement = 0;
    enough = false;
  }

  /** Share of a step's sequences that are rollouts, if there are any: it rises once it may. */
  double lambda(long step) {
    if (stage != Stage.ON_POLICY) {
      return 0;
    }
    double ramp = Math.min(1, (step - since + 1.0) / Math.max(1, config.lambdaRampSteps()));
    return config.lambda() * ramp;
  }

  private boolean wantsRollouts(long step) {
    if (config.lambda() == 0) {
      return false;
    }
    return switch (config.stage()) {
      case DATA -> false;
      case ON_POLICY -> true;
      case AUTO -> enough || step >= config.onPolicySteps().orElse(Long.MAX_VALUE);
    };
  }

  private boolean isPlateau() {
    return config.plateauValidations() > 0 && withoutImprovement >= config.plateauValidations();
  }

  StudentState.Staging state() {
    return new StudentState.Staging(stage, since, bestKl, withoutImprovement, enough);
  }

  void restore(StudentState.Staging state) {
    stage = state.stage();
    since = state.since();
    bestKl = state.bestKl();
    withoutImprovement = state.withoutImprovement();
    enough = state.enough();
  }
}
