package io.reflux.model.runtime;

/**
 * A sequence to score.
 *
 * @param tokenIds whole sequence
 * @param firstPosition index of the first token whose prediction is wanted, at least 1; row i of
 *     the answer predicts {@code tokenIds[firstPosition + i]}
 * @param supportIds ids whose log-probs are wanted, [rows, supportSize] row-major; empty for none
 * @param supportSize ids a row; 0 for none
 */
public record ScoreRequest(int[] tokenIds, int firstPosition, int[] supportIds, int supportSize) {
  /** Without support ids. */
  public static ScoreRequest of(int[] tokenIds, int firstPosition) {
    return new ScoreRequest(tokenIds, firstPosition, new int[0], 0);
  }

  /** Predictions wanted. */
  public int rows() {
    return tokenIds.length - firstPosition;
  }
}
