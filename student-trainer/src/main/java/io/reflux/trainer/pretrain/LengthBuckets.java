package io.reflux.trainer.pretrain;

import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;

/** Cuts a shuffled corpus into batches of like lengths, so that little is padding. */
public final class LengthBuckets {
  /** Batches that are sorted together: more waste less padding, fewer mix better. */
  private static final int BATCHES_A_WINDOW = 32;

  private LengthBuckets() {}

  /**
   * All sequences, each once, in random batches in random order.
   *
   * @param batchTokens padded tokens of a batch at most, unless one sequence alone is longer
   */
  public static List<List<TrainingSequence>> shuffled(
      List<TrainingSequence> sequences, int batchTokens, Random random) {
    List<TrainingSequence> order = new ArrayList<>(sequences);
    Collections.shuffle(order, random);
    List<List<TrainingSequence>> batches = new ArrayList<>();
    List<TrainingSequence> window = new ArrayList<>();
    long windowTokens = 0;
    for (TrainingSequence sequence : order) {
      window.add(sequence);
      windowTokens += sequence.tokenIds().length;
      if (windowTokens >= (long) BATCHES_A_WINDOW * batchTokens) {
        batches.addAll(cut(window, batchTokens));
        window.clear();
        windowTokens = 0;
      }
    }
    batches.addAll(cut(window, batchTokens));
    Collections.shuffle(batches, random);
    return batches;
  }

  /** Sorts by length and cuts. */
  public static List<List<TrainingSequence>> cut(
      List<TrainingSequence> sequences, int batchTokens) {
    List<TrainingSequence> sorted = new ArrayList<>(sequences);
    sorted.sort(Comparator.comparingInt(sequence -> sequence.tokenIds().length));
    List<List<TrainingSequence>> batches = new ArrayList<>();
    List<TrainingSequence> batch = new ArrayList<>();
    for (TrainingSequence sequence : sorted) {
      long padded = (long) (batch.size() + 1) * sequence.tokenIds().length;
      if (!batch.isEmpty() && padded > batchTokens) {
        batches.add(batch);
        batch = new ArrayList<>();
      }
      batch.add(sequence);
    }
    if (!batch.isEmpty()) {
      batches.add(batch);
    }
    return batches;
  }
}
