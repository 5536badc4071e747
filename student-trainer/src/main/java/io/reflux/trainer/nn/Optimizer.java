package io.reflux.trainer.nn;

import io.reflux.model.ModelException;

/** How gradients move weights. Every kind clips the gradient's global norm. */
public sealed interface Optimizer permits AdamW, ScheduleFreeAdamW {
  /**
   * The kind of a name, with what language models are commonly trained with.
   *
   * @param name {@code adamw} or {@code schedule-free}
   * @param weightDecay of matrices, a unit of learning rate
   * @param maxGradientNorm longer gradients are scaled down to it
   * @throws ModelException if there is no such kind
   */
  static Optimizer parse(String name, double weightDecay, double maxGradientNorm) {
    return switch (name) {
      case AdamW.NAME -> AdamW.DEFAULT.with(weightDecay, maxGradientNorm);
      case ScheduleFreeAdamW.NAME -> ScheduleFreeAdamW.DEFAULT.with(weightDecay, maxGradientNorm);
      default ->
          throw new ModelException(
              "optimizer: %s (expected: %s or %s)"
                  .formatted(name, AdamW.NAME, ScheduleFreeAdamW.NAME));
    };
  }

  /** What configuration and checkpoints call it. */
  String name();

  /** A unit of learning rate; acts on matrices, not on norms and biases. */
  double weightDecay();

  /** Longer gradients are scaled down to it. */
  double maxGradientNorm();
}
