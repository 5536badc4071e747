package io.reflux.trainer;

import io.reflux.model.divergence.Draws;
import io.reflux.model.divergence.NamedIds;
import io.reflux.model.divergence.TeacherLabels;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.nn.TrainingSequence.TeacherTargets;
import java.util.Arrays;

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

  /** Whether a row counts in the loss and in figures. */
  boolean counts(int row) {
    return lossMask.length == 0 || (lossMask[row / 8] >> row % 8 & 1) == 1;
  }

  /** The distributions. The bytes were decoded once before the sequence was taken in. */
  TeacherLabels teacher() {
    try {
      LabelBlock block = SoftLabelCodec.decode(labels, vocabularySize);
      if (block instanceof TopKBlock top) {
        return new NamedIds(top.rows(), top.k(), top.ids(), top.logprobs(), top.tailLogMass());
      }
      if (block instanceof SampledBlock s) {
        return new Draws(s.rows(), s.draws(), s.starts(), s.ids(), s.counts(), s.entropy());
      }
      throw new IllegalStateException("labels of " + requestId + " were refused: " + block);
    } catch (SoftLabelFormatException e) {
      throw new IllegalStateException("labels of " + requestId + " were readable before", e);
    }
  }

  /**
   * As a batch takes it. Of draws the target of an id is its share of them, an unbiased estimate of
   * its probability (arXiv 2503.16870), and there is no tail: the ids that were not drawn are part
   * of the estimate as they are, with nothing.
   */
  TrainingSequence toTraining() {
    float[] weights = new float[rows()];
    for (int row = 0; row < weights.length; row++) {
      weights[row] = counts(row) ? weight : 0;
    }
    return new TrainingSequence(tokenIds, promptLength, targets(teacher()), weights);
  }

  private static TeacherTargets targets(TeacherLabels teacher) {
    if (teacher instanceof NamedIds named) {
      return new TeacherTargets(named.k(), named.ids(), named.logprobs(), named.tailLogMass());
    }
    Draws draws = (Draws) teacher;
    float[] noTail = new float[draws.rows()];
    Arrays.fill(noTail, Float.NEGATIVE_INFINITY);
    return new TeacherTargets(
        draws.supportSize(), draws.supportIds(), draws.logShares(), noTail, draws.klOffsets());
  }
}
