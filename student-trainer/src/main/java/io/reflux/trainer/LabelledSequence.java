package io.reflux.trainer;

import io.reflux.model.divergence.Draws;
import io.reflux.model.divergence.NamedIds;
import io.reflux.model.divergence.TeacherLabels;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.nn.Behaviour;
import io.reflux.trainer.nn.NamedTargets;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Targets;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.Arrays;
import java.util.Optional;

/**
 * A sequence with the teacher's distributions, kept encoded: a tenth of the memory, and checkpoints
 * hold the very bytes that came.
 *
 * @param requestId the request it derives from
 * @param segment of the request
 * @param eventMillis when the request was received, milliseconds since 1970
 * @param weight of each row, the inverse of the request's sampling probability
 * @param tokenIds prompt and response
 * @param promptLength of tokenIds
 * @param vocabularySize of the distributions
 * @param labelTemperature of the distributions; 1 is the teacher's own
 * @param lossMask a bit a row, lowest first; empty counts every row
 * @param labels as {@link SoftLabelCodec} writes them
 * @param supportIds [rows, k], the ids that labels of a support belong to, as the rollout named
 *     them; empty for all others
 * @param written how a student wrote the response; empty if none did
 */
public record LabelledSequence(
    String requestId,
    String segment,
    long eventMillis,
    float weight,
    int[] tokenIds,
    int promptLength,
    int vocabularySize,
    double labelTemperature,
    byte[] lossMask,
    byte[] labels,
    int[] supportIds,
    Optional<Written> written) {

  /** Of objects, their headers and the names. */
  private static final int OVERHEAD_BYTES = 320;

  /**
   * How a student wrote a response.
   *
   * @param studentStep its training step
   * @param temperature that it sampled at
   * @param logprobs [rows], natural logs of the tokens' probabilities when they were sampled, at
   *     that temperature; empty if unknown
   */
  public record Written(long studentStep, double temperature, float[] logprobs) {}

  /** Predictions wanted. */
  public int rows() {
    return tokenIds.length - promptLength;
  }

  /** Whether a student wrote the response. */
  public boolean isRollout() {
    return written.isPresent();
  }

  /** Whether a row counts in the loss and in figures. */
  boolean counts(int row) {
    return lossMask.length == 0 || (lossMask[row / 8] >> row % 8 & 1) == 1;
  }

  /** Memory that it takes, about. */
  long bytes() {
    long logprobs = written.map(how -> how.logprobs().length).orElse(0);
    long numbers = tokenIds.length + supportIds.length + logprobs;
    return OVERHEAD_BYTES + Integer.BYTES * numbers + lossMask.length + labels.length;
  }

  /** The distributions. The bytes were decoded once before the sequence was taken in. */
  TeacherLabels teacher() {
    return teacher(block());
  }

  private TeacherLabels teacher(LabelBlock block) {
    if (block instanceof TopKBlock top) {
      return new NamedIds(top.rows(), top.k(), top.ids(), top.logprobs(), top.tailLogMass());
    }
    if (block instanceof SampledBlock s) {
      return new Draws(s.rows(), s.draws(), s.starts(), s.ids(), s.counts(), s.entropy());
    }
    return likeliestFirst((SupportBlock) block);
  }

  /** As a batch takes it, under no origin. */
  TrainingSequence toTraining(Objective objective) {
    return toTraining(objective, null, "");
  }

  /**
   * As a batch takes it. Of draws the target of an id is its share of them, an unbiased estimate of
   * its probability (arXiv 2503.16870), and there is no tail: the ids that were not drawn are part
   * of the estimate as they are, with nothing.
   *
   * @param behaviour importance weights to train with; null for none
   * @param origin what its figures are reported under
   */
  TrainingSequence toTraining(Objective objective, Behaviour behaviour, String origin) {
    float[] weights = new float[rows()];
    for (int row = 0; row < weights.length; row++) {
      weights[row] = counts(row) ? weight : 0;
    }
    return new TrainingSequence(
        tokenIds, promptLength, targets(), weights, objective, behaviour, origin);
  }

  private Targets targets() {
    LabelBlock block = block();
    TeacherLabels teacher = teacher(block);
    float[] tokens = block.tokenLogprobs();
    if (teacher instanceof NamedIds named) {
      return new NamedTargets(
          named.k(),
          named.ids(),
          named.logprobs(),
          named.tailLogMass(),
          null,
          labelTemperature,
          tokens,
          0);
    }
    Draws draws = (Draws) teacher;
    float[] noTail = new float[draws.rows()];
    Arrays.fill(noTail, Float.NEGATIVE_INFINITY);
    return new NamedTargets(
        draws.supportSize(),
        draws.supportIds(),
        draws.logShares(),
        noTail,
        draws.klOffsets(),
        labelTemperature,
        tokens,
        draws.draws());
  }

  private LabelBlock block() {
    try {
      LabelBlock block = SoftLabelCodec.decode(labels, vocabularySize);
      if (block instanceof SupportBlock support) {
        support.requireSupport(supportIds);
      }
      return block;
    } catch (SoftLabelFormatException e) {
      throw new IllegalStateException("labels of " + requestId + " were readable before", e);
    }
  }

  /** A support is in the student's order; figures take a row's first id for the teacher's best. */
  private NamedIds likeliestFirst(SupportBlock support) {
    int k = support.k();
    int[] ids = supportIds.clone();
    float[] logprobs = support.logprobs().clone();
    for (int row = 0; row < support.rows(); row++) {
      for (int i = row * k + 1; i < (row + 1) * k; i++) {
        int id = ids[i];
        float logprob = logprobs[i];
        int place = i;
        for (; place > row * k && logprobs[place - 1] < logprob; place--) {
          ids[place] = ids[place - 1];
          logprobs[place] = logprobs[place - 1];
        }
        ids[place] = id;
        logprobs[place] = logprob;
      }
    }
    return new NamedIds(support.rows(), k, ids, logprobs, support.tailLogMass());
  }
}
