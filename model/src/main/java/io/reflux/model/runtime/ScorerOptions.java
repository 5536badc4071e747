package io.reflux.model.runtime;

import io.reflux.model.ModelException;

/**
 * What a scorer says of each row.
 *
 * @param k likeliest ids, 1 to the vocabulary's size
 * @param draws ids drawn with replacement from the model's distribution; 0 for none
 */
public record ScorerOptions(int k, int draws) {
  /** Above this the draws of a row take more memory than its logits. */
  public static final int MOST_DRAWS = 4096;

  public ScorerOptions {
    if (k < 1) {
      throw new ModelException("k: " + k + " (expected: at least 1)");
    }
    if (draws < 0 || draws > MOST_DRAWS) {
      throw new ModelException("draws: " + draws + " (expected: 0 to " + MOST_DRAWS + ")");
    }
  }

  /** Without draws. */
  public static ScorerOptions topK(int k) {
    return new ScorerOptions(k, 0);
  }
}
