package io.reflux.trainer.nn;

/**
 * AdamW (arXiv 1711.05101) with clipping of the global gradient norm. Decay acts on matrices, not
 * on norms and biases.
 *
 * @param beta1 decay of the first moment
 * @param beta2 decay of the second moment
 * @param epsilon added to the root of the second moment
 * @param weightDecay a unit of learning rate
 * @param maxGradientNorm longer gradients are scaled down to it
 */
public record AdamW(
    double beta1, double beta2, double epsilon, double weightDecay, double maxGradientNorm)
    implements Optimizer {
  /** What language models are commonly trained with. */
  public static final AdamW DEFAULT = new AdamW(0.9, 0.95, 1e-8, 0.01, 1);

  static final String NAME = "adamw";

  public AdamW {
    if (!(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1)) {
      throw new IllegalArgumentException(
          "betas: %s, %s (expected: 0 to below 1)".formatted(beta1, beta2));
    }
    if (!(epsilon > 0 && weightDecay >= 0 && maxGradientNorm > 0)) {
      throw new IllegalArgumentException(
          "epsilon, weightDecay, maxGradientNorm: %s, %s, %s (expected: positive, decay 0 or more)"
              .formatted(epsilon, weightDecay, maxGradientNorm));
    }
  }

  @Override
  public String name() {
    return NAME;
  }

  AdamW with(double decay, double norm) {
    return new AdamW(beta1, beta2, epsilon, decay, norm);
  }
}
