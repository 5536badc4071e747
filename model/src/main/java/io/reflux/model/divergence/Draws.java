package io.reflux.model.divergence;

import io.reflux.model.ModelException;
import java.util.Arrays;

/**
 * Ids drawn from a teacher's distributions, with replacement, and how often each came (random
 * sampling knowledge distillation, arXiv 2503.16870). A count over all draws is an unbiased
 * estimate of its id's probability, and so {@code −H(p) − Σ (count/N)·log q} one of KL(p‖q) where
 * the teacher's entropy H(p) is known.
 *
 * @param rows positions
 * @param draws N, ids drawn a row
 * @param starts [rows + 1], where each row's distinct ids start
 * @param ids distinct ids of each row, most drawn first
 * @param counts as {@code ids}; {@code draws} a row in all
 * @param entropy [rows], of the teacher's whole distributions, nats; NaN where unknown
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and handed to the scorer as it is
public record Draws(int rows, int draws, int[] starts, int[] ids, int[] counts, float[] entropy)
    implements TeacherLabels {

  public Draws {
    if (starts.length != rows + 1 || entropy.length != rows || counts.length != ids.length) {
      throw new ModelException(
          "draws: %d rows with %d starts, %d entropies, %d ids, %d counts"
              .formatted(rows, starts.length, entropy.length, ids.length, counts.length));
    }
    for (int row = 0; row < rows; row++) {
      int sum = 0;
      for (int i = starts[row]; i < starts[row + 1]; i++) {
        sum += counts[i];
      }
      if (sum != draws || draws < 1) {
        throw new ModelException(
            "draws, row %d: %d counted (expected: %d, 1 or more)".formatted(row, sum, draws));
      }
    }
  }

  /** As many ids as the row with most distinct ones has. */
  @Override
  public int supportSize() {
    int size = 0;
    for (int row = 0; row < rows; row++) {
      size = Math.max(size, starts[row + 1] - starts[row]);
    }
    return size;
  }

  /** [rows, supportSize]; rows with fewer distinct ids repeat their first. */
  @Override
  public int[] supportIds() {
    int size = supportSize();
    int[] support = new int[rows * size];
    for (int row = 0; row < rows; row++) {
      int distinct = starts[row + 1] - starts[row];
      System.arraycopy(ids, starts[row], support, row * size, distinct);
      Arrays.fill(support, row * size + distinct, (row + 1) * size, ids[starts[row]]);
    }
    return support;
  }

  /** [rows, supportSize], {@code log(count/N)}; negative infinity for ids that fill up. */
  public float[] logShares() {
    int size = supportSize();
    float[] shares = new float[rows * size];
    Arrays.fill(shares, Float.NEGATIVE_INFINITY);
    for (int row = 0; row < rows; row++) {
      for (int i = starts[row]; i < starts[row + 1]; i++) {
        shares[row * size + i - starts[row]] = (float) Math.log((double) counts[i] / draws);
      }
    }
    return shares;
  }

  /**
   * [rows], what makes {@code Σ (count/N)·(log(count/N) − log q)}, which is too large on average,
   * an unbiased estimate of KL(p‖q): the entropy of the counts less the teacher's own, nats. NaN
   * where the teacher's is unknown.
   */
  public float[] klOffsets() {
    float[] offsets = new float[rows];
    for (int row = 0; row < rows; row++) {
      double ofCounts = 0;
      for (int i = starts[row]; i < starts[row + 1]; i++) {
        double share = (double) counts[i] / draws;
        ofCounts -= share * Math.log(share);
      }
      offsets[row] = (float) (ofCounts - entropy[row]);
    }
    return offsets;
  }
}
