package io.reflux.model.runtime;

import io.reflux.model.ModelException;

/**
 * A sequence to score.
 *
 * @param tokenIds whole sequence
 * @param firstPosition index of the first token whose prediction is wanted, at least 1; row i of
 *     the answer predicts {@code tokenIds[firstPosition + i]}
 * @param supportIds ids whose log-probs are wanted, [rows, supportSize] row-major; empty for none
 * @param supportSize ids a row; 0 for none
 * @param seed of the draws: equal seeds give equal draws, whatever else is in the batch
 * @param temperature T: everything in the answer is of softmax(logits / T); 1 is the model's own
 *     distribution
 */
public record ScoreRequest(
    int[] tokenIds,
    int firstPosition,
    int[] supportIds,
    int supportSize,
    long seed,
    double temperature) {
  /** Beyond it, and below its inverse, a distribution is flat or a single id in float32. */
  public static final double MOST_TEMPERATURE = 100;

  public ScoreRequest {
    if (!isTemperature(temperature)) {
      throw new ModelException(
          "temperature: %s (expected: %s to %s)"
              .formatted(temperature, 1 / MOST_TEMPERATURE, MOST_TEMPERATURE));
    }
  }

  /** At temperature 1. */
  public ScoreRequest(
      int[] tokenIds, int firstPosition, int[] supportIds, int supportSize, long seed) {
    this(tokenIds, firstPosition, supportIds, supportSize, seed, 1);
  }

  /** With seed 0, at temperature 1. */
  public ScoreRequest(int[] tokenIds, int firstPosition, int[] supportIds, int supportSize) {
    this(tokenIds, firstPosition, supportIds, supportSize, 0);
  }

  /** Without support ids, with seed 0, at temperature 1. */
  public static ScoreRequest of(int[] tokenIds, int firstPosition) {
    return new ScoreRequest(tokenIds, firstPosition, new int[0], 0);
  }

  /** Whether scores at this temperature can be asked for. */
  public static boolean isTemperature(double temperature) {
    // A label record carries a float, whose 0.01 is a little less than the double's.
    float rounded = (float) temperature;
    return rounded >= (float) (1 / MOST_TEMPERATURE) && rounded <= (float) MOST_TEMPERATURE;
  }

  /** The same at another temperature. */
  public ScoreRequest atTemperature(double other) {
    return new ScoreRequest(tokenIds, firstPosition, supportIds, supportSize, seed, other);
  }

  /** Predictions wanted. */
  public int rows() {
    return tokenIds.length - firstPosition;
  }
}
