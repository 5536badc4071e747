package io.reflux.trainer.nn;

/**
 * One sequence to learn from. Row i is the prediction of {@code tokenIds[firstPosition + i]}.
 *
 * @param tokenIds whole sequence
 * @param firstPosition index of the first token that is predicted, at least 1
 * @param targets the teacher's distributions, one a row; null to learn from the tokens alone, by
 *     cross-entropy whatever the objective is
 * @param rowWeights weight of each row in the loss, finite, 0 leaves it out; null counts every row
 *     once
 * @param objective what is minimised
 * @param behaviour how the standing tokens were drawn, for importance weights; null for none
 * @param origin what its figures are reported under, such as data or rollouts
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and handed to the kernels as it is
public record TrainingSequence(
    int[] tokenIds,
    int firstPosition,
    Targets targets,
    float[] rowWeights,
    Objective objective,
    Behaviour behaviour,
    String origin) {

  public TrainingSequence {
    int rows = tokenIds.length - firstPosition;
    if (firstPosition < 1 || rows < 0) {
      throw new IllegalArgumentException(
          "firstPosition: %d of %d tokens (expected: 1 to the length)"
              .formatted(firstPosition, tokenIds.length));
    }
    requireRows("rowWeights", rowWeights, rows);
    requireRows("behaviour", behaviour == null ? null : behaviour.logprobs(), rows);
    if (rowWeights != null) {
      for (float weight : rowWeights) {
        if (!(weight >= 0 && weight < Float.POSITIVE_INFINITY)) {
          throw new IllegalArgumentException("weight: " + weight + " (expected: 0 or more)");
        }
      }
    }
    if (targets != null && targets.rows() != rows) {
      throw new IllegalArgumentException(
          "targets: %d rows (expected: %d)".formatted(targets.rows(), rows));
    }
    if (targets != null && objective.needsTokenLogprobs() && targets.tokenLogprobs() == null) {
      throw new IllegalArgumentException(
          "targets: no log-probs of standing tokens (expected: some, for " + objective + ")");
    }
    if (targets instanceof NamedTargets named && named.k() == 0 && objective.needsDistributions()) {
      throw new IllegalArgumentException("targets: no ids (expected: some, for " + objective + ")");
    }
  }

  /** Reported under no origin. */
  public TrainingSequence(
      int[] tokenIds,
      int firstPosition,
      Targets targets,
      float[] rowWeights,
      Objective objective,
      Behaviour behaviour) {
    this(tokenIds, firstPosition, targets, rowWeights, objective, behaviour, "");
  }

  /** Every token after the first is predicted. */
  public static TrainingSequence of(int[] tokenIds) {
    return new TrainingSequence(tokenIds, 1, null, null, Objective.CROSS_ENTROPY, null);
  }

  /** Predictions wanted. */
  public int rows() {
    return tokenIds.length - firstPosition;
  }

  /** Weight of a row. */
  float weight(int row) {
    return rowWeights == null ? 1 : rowWeights[row];
  }

  /** Share of cross-entropy in what is minimised. */
  double crossEntropyShare() {
    return targets == null ? 1 : objective.crossEntropyShare();
  }

  /** What its figures are reported under. */
  Losses.Part part() {
    Objective minimised = targets == null ? Objective.CROSS_ENTROPY : objective;
    return new Losses.Part(origin, minimised.toString());
  }

  private static void requireRows(String name, float[] values, int rows) {
    if (values != null && values.length != rows) {
      throw new IllegalArgumentException(name + ": " + values.length + " (expected: " + rows + ")");
    }
  }
}
