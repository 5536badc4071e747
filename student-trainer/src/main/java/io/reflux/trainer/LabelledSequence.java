package io.reflux.trainer;

import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.nn.TrainingSequence.TeacherTargets;

/**
 * A sequence with the teacher's distributions, kept encoded: a tenth of the memory, and checkpoints
 * hold the very bytes that came.
 *
 * @param requestId the request it derives from
 * @param segment of the request
 * @param studentStep training step of the student that wrote the response; -1 if none did
 * @param weight of each row, the inverse of the request's sampling probability
 * @param tokenIds prompt and response
 * @param promptLength of tokenIds
 * @param vocabularySize of the distributions
 * @param lossMask a bit a row, lowest first; empty counts every row
 * @param labels as {@link SoftLabelCodec} writes them
 */
record LabelledSequence(
    String requestId,
    String segment,
    long studentStep,
    float weight,
    int[] tokenIds,
    int promptLength,
    int vocabularySize,
    byte[] lossMask,
    byte[] labels) {

  static final long NO_STUDENT = -1;

  int rows() {
    return tokenIds.length - promptLength;
  }

  boolean isRollout() {
    return studentStep != NO_STUDENT;
  }

  /** The distributions. The bytes were decoded once before the sequence was taken in. */
  TopKBlock block() {
    try {
      return SoftLabelCodec.decodeTopK(labels, vocabularySize);
    } catch (SoftLabelFormatException e) {
      throw new IllegalStateException("labels of " + requestId + " were readable before", e);
    }
  }

  TrainingSequence toTraining() {
    TopKBlock block = block();
    float[] weights = new float[rows()];
    for (int row = 0; row < weights.length; row++) {
      boolean counts = lossMask.length == 0 || (lossMask[row / 8] >> row % 8 & 1) == 1;
      weights[row] = counts ? weight : 0;
    }
    return new TrainingSequence(
        tokenIds,
        promptLength,
        new TeacherTargets(block.k(), block.ids(), block.logprobs(), block.tailLogMass()),
        weights);
  }
}
