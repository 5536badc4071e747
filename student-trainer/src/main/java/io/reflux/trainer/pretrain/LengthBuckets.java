package io.reflux.trainer.pretrain;

import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;

/** Cuts sequences into batches by their tokens; batches have no padding. */
public final class LengthBuckets {
  private LengthBuckets() {}

  /**
   * All sequences, each once, in as few batches as the order allows, all about as large: a small
   * remainder would move the weights as far as a whole batch, by the noise of its few sequences.
   *
   * @param batchTokens tokens of a batch at most, unless one sequence alone is longer
   */
  public static List<List<TrainingSequence>> shuffled(
      List<TrainingSequence> sequences, int batchTokens, Random random) {
    List<TrainingSequence> order = new ArrayList<>(sequences);
    Collections.shuffle(order, random);
    int most = inOrder(order, batchTokens).size();
    int tooFew = 0;
    int enough = batchTokens;
    while (enough - tooFew > 1) {
      int middle = tooFew + (enough - tooFew) / 2;
      if (inOrder(order, middle).size() > most) {
        tooFew = middle;
      } else {
        enough = middle;
      }
    }
    return inOrder(order, enough);
  }

  /**
   * Parts of one step. Sequences of like length come together, so that attention finds them side by
   * side.
   *
   * @param batchTokens tokens of a part at most, unless one sequence alone is longer
   */
  public static List<List<TrainingSequence>> cut(
      List<TrainingSequence> sequences, int batchTokens) {
    List<TrainingSequence> sorted = new ArrayList<>(sequences);
    sorted.sort(Comparator.comparingInt(sequence -> sequence.tokenIds().length));
    return inOrder(sorted, batchTokens);
  }

  private static List<List<TrainingSequence>> inOrder(
      List<TrainingSequence> sequences, int batchTokens) {
    List<List<TrainingSequence>> batches = new ArrayList<>();
    List<TrainingSequence> batch = new ArrayList<>();
    long tokens = 0;
    for (TrainingSequence sequence : sequences) {
      int length = sequence.tokenIds().length;
      if (!batch.isEmpty() && tokens + length > batchTokens) {
        batches.add(batch);
        batch = new ArrayList<>();
        tokens = 0;
      }
      batch.add(sequence);
      tokens += length;
    }
    if (!batch.isEmpty()) {
      batches.add(batch);
    }
    return batches;
  }
}
