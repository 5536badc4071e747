package io.reflux.trainer.nn;

/**
 * Schedule-free AdamW (arXiv 2405.15682): three sequences instead of a learning rate that must know
 * when it ends. With u the gradient at y over the root of its bias-corrected second moment, decayed
 * weights added:
 *
 * <pre>
 * y = (1 − beta)·z + beta·x       where gradients are taken
 * z ← z − rate·u
 * x ← (1 − c)·x + c·z             what is evaluated and exported
 * c = w / Σw,  w = (largest rate so far)²
 * </pre>
 *
 * <p>The weights w, as in the paper's own code, keep a warm-up's small steps out of the average.
 *
 * @param beta share of the average in y, above 0
 * @param beta2 decay of the second moment
 * @param epsilon added to the root of the second moment
 * @param weightDecay a unit of learning rate, at y, of matrices alone
 * @param maxGradientNorm longer gradients are scaled down to it
 * @param longestAverage c is never below the inverse of it, so that on a stream without end what
 *     was learnt so many updates ago fades; infinity for the paper's plain average
 */
public record ScheduleFreeAdamW(
    double beta,
    double beta2,
    double epsilon,
    double weightDecay,
    double maxGradientNorm,
    double longestAverage)
    implements Optimizer {
  /** The paper's, with what else language models are commonly trained with. */
  public static final ScheduleFreeAdamW DEFAULT =
      new ScheduleFreeAdamW(0.9, 0.95, 1e-8, 0.01, 1, Double.POSITIVE_INFINITY);

  static final String NAME = "schedule-free";

  public ScheduleFreeAdamW {
    if (!(beta > 0 && beta < 1 && beta2 >= 0 && beta2 < 1)) {
      throw new IllegalArgumentException(
          "betas: %s, %s (expected: 0 to below 1, the first above 0)".formatted(beta, beta2));
    }
    if (!(epsilon > 0 && weightDecay >= 0 && maxGradientNorm > 0)) {
      throw new IllegalArgumentException(
          "epsilon, weightDecay, maxGradientNorm: %s, %s, %s (expected: positive, decay 0 or more)"
              .formatted(epsilon, weightDecay, maxGradientNorm));
    }
    if (!(longestAverage >= 1)) {
      throw new IllegalArgumentException(
          "longestAverage: " + longestAverage + " (expected: 1 or more)");
    }
  }

  /** The same with another memory. */
  public ScheduleFreeAdamW withLongestAverage(double updates) {
    return new ScheduleFreeAdamW(beta, beta2, epsilon, weightDecay, maxGradientNorm, updates);
  }

  @Override
  public String name() {
    return NAME;
  }

  ScheduleFreeAdamW with(double decay, double norm) {
    return new ScheduleFreeAdamW(beta, beta2, epsilon, decay, norm, longestAverage);
  }
}
