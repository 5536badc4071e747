package io.reflux.model.runtime;

/**
 * A sequence to score.
 *
 * @param tokenIds whole sequence
 * @param firstPosition index of the first token whose prediction is wanted, at least 1; row i of
 *     the answer predicts {@code tokenIds[firstPosition + i]}
 * @param supportIds ids whose log-probs are wanted, [rows, supportSize] row-major; empty for none
 * @param supportSize ids a row; 0 for none
 * @param seed of the draws: equal seeds give equal draws, whatever else is in the batch
 */
public record ScoreRequest(
    int[] tokenIds, int firstPosition, int[] supportIds, int supportSize, long seed) {
  /** With seed 0. */
  public ScoreRequest(int[] tokenIds, int firstPosition, int[] supportIds, int supportSize) {
    this(tokenIds, firstPosition, supportIds, supportSize, 0);
  }

  /** Without support ids, and with seed 0. */
  public static ScoreRequest of(int[] tokenIds, int firstPosition) {
    return new ScoreRequest(tokenIds, firstPosition, new int[0], 0);
  }

  /** Predictions wanted. */
  public int rows() {
    return tokenIds.length - firstPosition;
  }
}
