package io.reflux.trainer.nn;

/**
 * One sequence to learn from. Row i is the prediction of {@code tokenIds[firstPosition + i]}.
 *
 * @param tokenIds whole sequence
 * @param firstPosition index of the first token that is predicted, at least 1
 * @param targets the teacher's distributions, one a row; null to learn from the tokens alone
 * @param rowWeights weight of each row in the loss, 0 leaves it out; null counts every row once
 */
public record TrainingSequence(
    int[] tokenIds, int firstPosition, TeacherTargets targets, float[] rowWeights) {

  /**
   * Top-k and tail of the teacher's distribution.
   *
   * @param k ids a row
   * @param ids [rows, k], distinct within a row, likeliest first
   * @param logprobs [rows, k], natural logs of true probabilities, not renormalised over k
   * @param tailLogMass [rows], log of the mass outside the ids; below -30 there is no tail
   */
  public record TeacherTargets(int k, int[] ids, float[] logprobs, float[] tailLogMass) {}

  public TrainingSequence {
    int rows = tokenIds.length - firstPosition;
    if (firstPosition < 1 || rows < 0) {
      throw new IllegalArgumentException(
          "firstPosition: %d of %d tokens (expected: 1 to the length)"
              .formatted(firstPosition, tokenIds.length));
    }
    if (rowWeights != null && rowWeights.length != rows) {
      throw new IllegalArgumentException(
          "rowWeights: %d (expected: %d)".formatted(rowWeights.length, rows));
    }
    if (targets != null
        && (targets.ids.length != rows * targets.k
            || targets.logprobs.length != rows * targets.k
            || targets.tailLogMass.length != rows)) {
      throw new IllegalArgumentException(
          "targets: %d ids, %d logprobs, %d tails (expected: %d rows of %d)"
              .formatted(
                  targets.ids.length,
                  targets.logprobs.length,
                  targets.tailLogMass.length,
                  rows,
                  targets.k));
    }
  }

  /** Every token after the first is predicted. */
  public static TrainingSequence of(int[] tokenIds) {
    return new TrainingSequence(tokenIds, 1, null, null);
  }

  /** Predictions wanted. */
  public int rows() {
    return tokenIds.length - firstPosition;
  }

  /** Weight of a row. */
  float weight(int row) {
    return rowWeights == null ? 1 : rowWeights[row];
  }
}
