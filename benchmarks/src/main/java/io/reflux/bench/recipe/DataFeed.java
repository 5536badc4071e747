package io.reflux.bench.recipe;

import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.pretrain.LengthBuckets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Random;

/** The same sequences over and over, in another order each time. */
public final class DataFeed implements Student.Feed {
  private final List<TrainingSequence> sequences;
  private final int batchTokens;
  private final Random random;
  private final Deque<List<TrainingSequence>> batches = new ArrayDeque<>();

  public DataFeed(List<TrainingSequence> sequences, int batchTokens, long seed) {
    this.sequences = sequences;
    this.batchTokens = batchTokens;
    this.random = new Random(seed);
  }

  @Override
  public List<TrainingSequence> next(Student student) {
    if (batches.isEmpty()) {
      batches.addAll(LengthBuckets.shuffled(sequences, batchTokens, random));
    }
    return batches.remove();
  }
}
