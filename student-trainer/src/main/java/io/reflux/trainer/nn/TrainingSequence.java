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
   * Named ids and tail of the teacher's distribution, or the shares of its draws.
   *
   * @param k ids a row
   * @param ids [rows, k], likeliest first; distinct within a row, but for repetitions of the first,
   *     which fill up a row that has fewer and take no part
   * @param logprobs [rows, k], natural logs of true probabilities, not renormalised over k
   * @param tailLogMass [rows], log of the mass outside the ids; below -30, or not a number because
   *     it is unknown, there is no tail. A teacher on another machine cannot tell a tail that is
   *     smaller than its rounding, below 1e-5: leaving such a one out changes a row's loss by less
   *     than 1e-5 times the logs it would meet, and its gradient by less than 1e-5
   * @param klOffsets [rows], added to the KL of the ids and the tail to have the one that is
   *     reported, nats; no gradient. Null for none
   */
  public record TeacherTargets(
      int k, int[] ids, float[] logprobs, float[] tailLogMass, float[] klOffsets) {
    /** Nothing is added to the KL. */
    public TeacherTargets(int k, int[] ids, float[] logprobs, float[] tailLogMass) {
      this(k, ids, logprobs, tailLogMass, null);
    }
  }

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
            || targets.tailLogMass.length != rows
            || (targets.klOffsets != null && targets.klOffsets.length != rows))) {
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
