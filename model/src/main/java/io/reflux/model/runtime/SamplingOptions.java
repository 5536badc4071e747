package io.reflux.model.runtime;

import io.reflux.model.ModelException;

/**
 * How the next token is chosen.
 *
 * @param temperature 0 takes the likeliest token
 * @param topP nucleus mass in (0, 1]; 1 keeps all
 * @param topK likeliest tokens kept; 0 keeps all
 * @param seed of this request alone: the same seed gives the same tokens whatever else is batched
 */
public record SamplingOptions(double temperature, double topP, int topK, long seed) {
  /** The likeliest token, always. */
  public static final SamplingOptions GREEDY = new SamplingOptions(0, 1, 0, 0);

  public SamplingOptions {
    if (!(temperature >= 0 && temperature <= 100)) {
      throw new ModelException("temperature: " + temperature + " (expected: 0 to 100)");
    }
    if (!(topP > 0 && topP <= 1)) {
      throw new ModelException("top_p: " + topP + " (expected: above 0, to 1)");
    }
    if (topK < 0) {
      throw new ModelException("top_k: " + topK + " (expected: 0 or more)");
    }
  }
}
