package io.reflux.trainer.nn;

/** A teacher's distributions, one a row of a {@link TrainingSequence}. */
public sealed interface Targets permits NamedTargets, DenseTargets {
  /** Rows. */
  int rows();

  /**
   * Temperature T that all of the log-probs are at: those of softmax(z/T). The student's
   * distribution is taken at the same.
   */
  double temperature();

  /**
   * Natural logs of the probabilities of the tokens that stand in the sequence.
   *
   * @return [rows], or null where they are not known
   */
  float[] tokenLogprobs();

  /** Fails if the targets are not those of so many rows, or not of this vocabulary. */
  void require(int expectedRows, int vocabularySize);
}
