package io.reflux.trainer.nn;

import java.util.List;

/** Sequences that go through the model together. */
public final class Batch {
  private final Packing packing;
  private final RowTargets rows;

  /**
   * The loss is the weighted mean over rows of each sequence's objective, and of cross-entropy
   * where a sequence has no targets. Objectives, temperatures and kinds of targets may be mixed. A
   * batch whose weights are all zero has loss and gradient 0.
   */
  public Batch(List<TrainingSequence> batch, int vocabularySize) {
    this(batch, vocabularySize, totalWeight(batch));
  }

  /**
   * A part of a larger batch: the parts' objectives and gradients add up to the whole's.
   *
   * @param totalWeight of the rows of all parts
   */
  public Batch(List<TrainingSequence> batch, int vocabularySize, double totalWeight) {
    batch.forEach(sequence -> requireInVocabulary(sequence, vocabularySize));
    packing = new Packing(batch);
    rows = new RowTargets(batch, vocabularySize, totalWeight);
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
      sequence.targets().require(sequence.rows(), vocabularySize);
    }
  }

  static void requireInVocabulary(int id, int vocabularySize) {
    // An index beyond the embedding would be read from foreign memory.
    if (id < 0 || id >= vocabularySize) {
      throw new IllegalArgumentException(
          "token id: %d (expected: 0 to %d)".formatted(id, vocabularySize - 1));
    }
  }

  /** Rows with a weight: no others are computed. */
  public int rows() {
    return rows.rows();
  }

  /** Tokens that go through the model; there is no padding among them. */
  public int tokens() {
    return packing.tokens();
  }

  /**
   * [rows of the head], index of the position that predicts each, into the flattened token ids. The
   * head sees them in an order of its own.
   */
  long[] rowPositions() {
    return rows.select(packing.rowPositions());
  }

  Packing packing() {
    return packing;
  }

  RowTargets rowTargets() {
    return rows;
  }
}
