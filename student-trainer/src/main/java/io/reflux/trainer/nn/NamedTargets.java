package io.reflux.trainer.nn;

import java.util.Arrays;

/**
 * Named ids and the mass of all others: a teacher's likeliest ids, the ids that a student gave most
 * to, or ids that were drawn from the teacher and their shares of the draws. A divergence is taken
 * over k + 1 buckets, the named ids and the tail: exact between the coarsened distributions, and a
 * lower bound of the full one. The student's tail is summed over the unnamed logits, never taken as
 * 1 − Σq.
 *
 * <p>What is told decides what can be compared:
 *
 * <ul>
 *   <li><b>Forward KL</b> sums over what the teacher named. A tail below e^-30, none, or unknown
 *       takes no part. Of draws the shares count/N stand for the probabilities, without bias (arXiv
 *       2503.16870), and there is no tail: ids that were not drawn are part of the estimate as they
 *       are, with nothing.
 *   <li><b>Every other divergence</b> asks what the teacher thinks of the student's mass outside
 *       the ids, and there has to be an answer. No bucket of the teacher counts as less likely than
 *       e^-30, so that a student's mass where the teacher has none costs at most 30 nats for each
 *       unit. An unknown tail counts as 1e-5, the largest that a teacher on another machine cannot
 *       tell from none. Of draws the tail has the mass that Good and Turing estimate, n₁/(N+1) with
 *       n₁ ids drawn once, at least ½/(N+1), and the shares are scaled to leave room for it. Such
 *       an estimate is biased, since these divergences are not linear in p: prefer top-k or the
 *       student's own ids for them.
 *   <li>A student whose every id is named has no tail, whatever the teacher tells of it.
 * </ul>
 *
 * @param k ids a row, from 0; with 0 only the standing token can be compared
 * @param ids [rows, k], the teacher's likeliest first; distinct within a row, but for repetitions
 *     of the first, which fill up a row that has fewer and take no part
 * @param logprobs [rows, k], natural logs of true probabilities, not renormalised over k
 * @param tailLogMass [rows], log of the mass outside the ids; below -30, or not a number because it
 *     is unknown, there is no tail. A teacher on another machine cannot tell a tail that is smaller
 *     than its rounding, below 1e-5: leaving such a one out changes a row's forward KL by less than
 *     1e-5 times the logs it would meet, and its gradient by less than 1e-5
 * @param klOffsets [rows], added to the forward KL of the ids and the tail to have the one that is
 *     reported, nats; no gradient. Null for none
 * @param temperature T of all log-probs here
 * @param tokenLogprobs [rows], of the standing tokens, nats; null where they are not known
 * @param draws N, where ids and log-probs are the shares of N draws; 0 where they are not
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and handed to the kernels as it is
public record NamedTargets(
    int k,
    int[] ids,
    float[] logprobs,
    float[] tailLogMass,
    float[] klOffsets,
    double temperature,
    float[] tokenLogprobs,
    int draws)
    implements Targets {

  public NamedTargets {
    int rows = tailLogMass.length;
    if (k < 0
        || ids.length != rows * k
        || logprobs.length != rows * k
        || (klOffsets != null && klOffsets.length != rows)
        || (tokenLogprobs != null && tokenLogprobs.length != rows)) {
      throw new IllegalArgumentException(
          "targets: %d ids, %d logprobs (expected: %d rows of %d)"
              .formatted(ids.length, logprobs.length, rows, k));
    }
    if (!(temperature > 0 && temperature < Double.POSITIVE_INFINITY)) {
      throw new IllegalArgumentException("temperature: " + temperature + " (expected: above 0)");
    }
    if (draws < 0) {
      throw new IllegalArgumentException("draws: " + draws + " (expected: 0 or more)");
    }
  }

  /** At temperature 1, not of draws, without the log-probs of the standing tokens. */
  public NamedTargets(int k, int[] ids, float[] logprobs, float[] tailLogMass) {
    this(k, ids, logprobs, tailLogMass, null, 1, null, 0);
  }

  /**
   * The log-probs of the standing tokens alone, which {@link Objective.SampledReverseKl} needs.
   *
   * @param tokenLogprobs [rows], nats
   */
  public static NamedTargets ofTokens(float[] tokenLogprobs, double temperature) {
    // All mass is outside of no ids.
    float[] all = new float[tokenLogprobs.length];
    return new NamedTargets(0, new int[0], new float[0], all, null, temperature, tokenLogprobs, 0);
  }

  @Override
  public int rows() {
    return tailLogMass.length;
  }

  @Override
  public void require(int expectedRows, int vocabularySize) {
    if (rows() != expectedRows) {
      throw new IllegalArgumentException(
          "targets: %d rows (expected: %d)".formatted(rows(), expectedRows));
    }
    Arrays.stream(ids).forEach(id -> Batch.requireInVocabulary(id, vocabularySize));
  }
}
