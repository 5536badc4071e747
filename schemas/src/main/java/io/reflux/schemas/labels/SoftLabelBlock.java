package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * A teacher's distributions over next tokens at consecutive positions of one sequence. Row i is the
 * distribution of {@code token_ids[prompt_length + i]}.
 *
 * <p>The arrays are not copied; equality is by content.
 *
 * @param rows positions
 * @param k ids a row
 * @param ids [rows, k], likeliest first within a row
 * @param logprobs [rows, k], natural logs of probabilities over the whole vocabulary
 * @param tailLogMass [rows], natural log of the probability outside the k ids; negative infinity
 *     when there is none
 * @param tokenLogprobs [rows], natural log of the probability of the token that stands in the
 *     sequence
 * @param entropy [rows], of the whole distribution, in nats
 */
@SuppressWarnings("ArrayRecordComponent") // equality by content is below
public record SoftLabelBlock(
    int rows,
    int k,
    int[] ids,
    float[] logprobs,
    float[] tailLogMass,
    float[] tokenLogprobs,
    float[] entropy) {

  public SoftLabelBlock {
    if (rows < 0 || k < 0) {
      throw new IllegalArgumentException("rows, k: " + rows + ", " + k + " (expected: 0 or more)");
    }
    long entries = (long) rows * k;
    requireLength("ids", ids.length, entries);
    requireLength("logprobs", logprobs.length, entries);
    requireLength("tailLogMass", tailLogMass.length, rows);
    requireLength("tokenLogprobs", tokenLogprobs.length, rows);
    requireLength("entropy", entropy.length, rows);
  }

  private static void requireLength(String name, int length, long expected) {
    if (length != expected) {
      throw new IllegalArgumentException(
          name + ".length: " + length + " (expected: " + expected + ")");
    }
  }

  /** The likeliest id of a row. */
  public int topId(int row) {
    return ids[row * k];
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SoftLabelBlock that
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
    return "SoftLabelBlock[rows=" + rows + ", k=" + k + "]";
  }
}
