package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * A teacher's distributions over next tokens, cut to their likeliest ids and not renormalised.
 *
 * @param rows positions
 * @param k ids a row
 * @param ids [rows, k], likeliest first within a row
 * @param logprobs [rows, k], natural logs of probabilities over the whole vocabulary
 * @param tailLogMass [rows], natural log of the probability outside the k ids; negative infinity
 *     when there is none, NaN where unknown
 * @param tokenLogprobs [rows], natural log of the probability of the token that stands in the
 *     sequence
 * @param entropy [rows], of the whole distribution, in nats; NaN where unknown
 */
@SuppressWarnings("ArrayRecordComponent") // equality by content is below
public record TopKBlock(
    int rows,
    int k,
    int[] ids,
    float[] logprobs,
    float[] tailLogMass,
    float[] tokenLogprobs,
    float[] entropy)
    implements LabelBlock {

  public TopKBlock {
    Shapes.requireNotNegative("rows", rows);
    Shapes.requireNotNegative("k", k);
    long entries = (long) rows * k;
    Shapes.requireLength("ids", ids.length, entries);
    Shapes.requireLength("logprobs", logprobs.length, entries);
    Shapes.requireLength("tailLogMass", tailLogMass.length, rows);
    Shapes.requireLength("tokenLogprobs", tokenLogprobs.length, rows);
    Shapes.requireLength("entropy", entropy.length, rows);
  }

  /** The likeliest id of a row. */
  public int topId(int row) {
    return ids[row * k];
  }

  @Override
  public LabelEncoding encoding() {
    return LabelEncoding.TOPK;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof TopKBlock that
        && rows == that.rows
        && k == that.k
        && Arrays.equals(ids, that.ids)
        && Arrays.equals(logprobs, that.logprobs)
        && Arrays.equals(tailLogMass, that.tailLogMass)
        && Arrays.equals(tokenLogprobs, that.tokenLogprobs)
        && Arrays.equals(entropy, that.entropy);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(ids) + Arrays.hashCode(logprobs);
  }

  @Override
  public String toString() {
    return "TopKBlock[rows=" + rows + ", k=" + k + "]";
  }
}
