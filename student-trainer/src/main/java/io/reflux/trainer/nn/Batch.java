package io.reflux.trainer.nn;

import java.util.List;

/** Sequences that go through the model together. */
public final class Batch {
  private final Packing packing;
  private final RowTargets rows;

  /**
   * The loss is the weighted mean over rows of {@code c·CE + (1−c)·KL} where a row has targets, and
   * of CE where it has none. A batch whose weights are all zero has loss and gradient 0. A tail
   * that is unknown counts as none.
   *
   * @param crossEntropyShare c, 0 to 1
   */
  public Batch(List<TrainingSequence> batch, double crossEntropyShare, int vocabularySize) {
    this(batch, crossEntropyShare, vocabularySize, totalWeight(batch));
  }

  /**
   * A part of a larger batch: the parts' objectives and gradients add up to the whole's.
   *
   * @param totalWeight of the rows of all parts
   */
  public Batch(
      List<TrainingSequence> batch,
      double crossEntropyShare,
      int vocabularySize,
      double totalWeight) {
    if (!(crossEntropyShare >= 0 && crossEntropyShare <= 1)) {
      throw new IllegalArgumentException(
          "crossEntropyShare: " + crossEntropyShare + " (expected: 0 to 1)");
    }
    batch.forEach(sequence -> requireInVocabulary(sequence, vocabularySize));
    packing = new Packing(batch);
    rows = new RowTargets(batch, crossEntropyShare, vocabularySize, totalWeight);
  }

  /** Sum of the weights of all rows. */
  public static double totalWeight(List<TrainingSequence> sequences) {
    double total = 0;
    for (TrainingSequence sequence : sequences) {
      for (int row = 0; row < sequence.rows(); row++) {
        total += sequence.weight(row);
      }
    }
    return total;
  }

  private static void requireInVocabulary(TrainingSequence sequence, int vocabularySize) {
    for (int id : sequence.tokenIds()) {
      requireInVocabulary(id, vocabularySize);
    }
    if (sequence.targets() != null) {
      for (int id : sequence.targets().ids()) {
        requireInVocabulary(id, vocabularySize);
      }
    }
  }

  private static void requireInVocabulary(int id, int vocabularySize) {
    // An index beyond the embedding would be read from foreign memory.
    if (id < 0 || id >= vocabularySize) {
      throw new IllegalArgumentException(
          "token id: %d (expected: 0 to %d)".formatted(id, vocabularySize - 1));
    }
  }

  /** Rows, weighted or not. */
  public int rows() {
    return rows.rows();
  }

  /** Tokens that go through the model, padding included. */
  public int paddedTokens() {
    return packing.tokenIds().length;
  }

  Packing packing() {
    return packing;
  }

  RowTargets rowTargets() {
    return rows;
  }
}
