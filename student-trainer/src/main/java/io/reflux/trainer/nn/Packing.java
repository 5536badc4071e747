package io.reflux.trainer.nn;

import java.util.List;

/**
 * How the tokens of a batch lie: sequences padded on the right to one length, one after another.
 * Under a causal mask a real position never sees the padding after it, so no padding mask is
 * needed: the mask is exact by construction.
 */
final class Packing {
  private final int sequences;
  private final int length;
  private final long[] tokenIds;
  private final long[] rowPositions;

  Packing(List<TrainingSequence> batch) {
    sequences = batch.size();
    length = batch.stream().mapToInt(sequence -> sequence.tokenIds().length).max().orElse(0);
    tokenIds = new long[sequences * length];
    rowPositions = new long[batch.stream().mapToInt(TrainingSequence::rows).sum()];
    int row = 0;
    for (int s = 0; s < sequences; s++) {
      TrainingSequence sequence = batch.get(s);
      for (int t = 0; t < sequence.tokenIds().length; t++) {
        tokenIds[s * length + t] = sequence.tokenIds()[t];
      }
      for (int i = 0; i < sequence.rows(); i++, row++) {
        rowPositions[row] = (long) s * length + sequence.firstPosition() + i - 1;
      }
    }
  }

  int sequences() {
    return sequences;
  }

  int length() {
    return length;
  }

  /** [sequences, length]. */
  long[] tokenIds() {
    return tokenIds;
  }

  /** [rows], index of the position that predicts the row, into the flattened token ids. */
  long[] rowPositions() {
    return rowPositions;
  }
}
