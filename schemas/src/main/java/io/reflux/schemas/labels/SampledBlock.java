package io.reflux.schemas.labels;

import java.util.Arrays;

/**
 * Ids drawn from a teacher's distributions, with replacement, and how often each came: counts over
 * draws are an unbiased estimate of the distribution.
 *
 * @param rows positions
 * @param draws ids drawn a row
 * @param starts [rows + 1], where each row's distinct ids start; the last is their number
 * @param ids distinct ids, most drawn first within a row, of equally many draws the lower id first
 * @param counts as {@code ids}; how often each was drawn, 1 or more, {@code draws} a row in all
 * @param tokenLogprobs [rows], natural log of the probability of the token that stands in the
 *     sequence
 * @param entropy [rows], of the whole distribution, in nats; NaN where unknown
 */
@SuppressWarnings("ArrayRecordComponent") // equality by content is below
public record SampledBlock(
    int rows,
    int draws,
    int[] starts,
    int[] ids,
    int[] counts,
    float[] tokenLogprobs,
    float[] entropy)
    implements LabelBlock {

  public SampledBlock {
    Shapes.requireNotNegative("rows", rows);
    Shapes.requireNotNegative("draws", draws);
    Shapes.requireLength("starts", starts.length, rows + 1L);
    Shapes.requireLength("tokenLogprobs", tokenLogprobs.length, rows);
    Shapes.requireLength("entropy", entropy.length, rows);
    Shapes.requireLength("counts", counts.length, ids.length);
    if (starts[0] != 0 || starts[rows] != ids.length) {
      throw new IllegalArgumentException(
          "starts: " + starts[0] + " to " + starts[rows] + " (expected: 0 to " + ids.length + ")");
    }
    for (int row = 0; row < rows; row++) {
      if (starts[row + 1] < starts[row]) {
        throw new IllegalArgumentException(
            "starts, row " + row + ": " + starts[row + 1] + " after " + starts[row]);
      }
    }
  }

  /**
   * Counts draws.
   *
   * @param drawnIds [rows, draws], in any order
   */
  public static SampledBlock of(
      int rows, int draws, int[] drawnIds, float[] tokenLogprobs, float[] entropy) {
    Shapes.requireLength("drawnIds", drawnIds.length, (long) rows * draws);
    int[] starts = new int[rows + 1];
    int[] ids = new int[drawnIds.length];
    int[] counts = new int[drawnIds.length];
    int[] sorted = new int[draws];
    long[] byCount = new long[draws];
    int size = 0;
    for (int row = 0; row < rows; row++) {
      System.arraycopy(drawnIds, row * draws, sorted, 0, draws);
      Arrays.sort(sorted);
      int distinct = 0;
      for (int from = 0, to; from < draws; from = to) {
        to = from + 1;
        while (to < draws && sorted[to] == sorted[from]) {
          to++;
        }
        byCount[distinct++] = ((long) (from - to) << 32) | sorted[from];
      }
      Arrays.sort(byCount, 0, distinct);
      for (int i = 0; i < distinct; i++) {
        ids[size] = (int) byCount[i];
        counts[size++] = (int) -(byCount[i] >> 32);
      }
      starts[row + 1] = size;
    }
    return new SampledBlock(
        rows,
        draws,
        starts,
        Arrays.copyOf(ids, size),
        Arrays.copyOf(counts, size),
        tokenLogprobs,
        entropy);
  }

  @Override
  public LabelEncoding encoding() {
    return LabelEncoding.SAMPLED;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof SampledBlock that
        && rows == that.rows
        && draws == that.draws
        && Arrays.equals(starts, that.starts)
        && Arrays.equals(ids, that.ids)
        && Arrays.equals(counts, that.counts)
        && Arrays.equals(tokenLogprobs, that.tokenLogprobs)
        && Arrays.equals(entropy, that.entropy);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(ids) + Arrays.hashCode(counts);
  }

  @Override
  public String toString() {
    return "SampledBlock[rows=" + rows + ", draws=" + draws + "]";
  }
}
