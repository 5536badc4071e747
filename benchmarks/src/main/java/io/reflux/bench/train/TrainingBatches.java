package io.reflux.bench.train;

import io.reflux.trainer.nn.NamedTargets;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Sequences with labels of the likeliest k ids, made up. */
final class TrainingBatches {
  /** As the trainer's default. */
  private static final Objective OBJECTIVE = Objective.forwardKl(0.1);

  private static final double TAIL = 0.05;

  private final int vocabulary;
  private final int k;
  private final Random random;

  TrainingBatches(int vocabulary, int k, long seed) {
    this.vocabulary = vocabulary;
    this.k = k;
    this.random = new Random(seed);
  }

  /** Sequences of one length, every token of them predicted. */
  List<TrainingSequence> uniform(int sequences, int length) {
    List<TrainingSequence> batch = new ArrayList<>();
    for (int i = 0; i < sequences; i++) {
      batch.add(sequence(length, 1));
    }
    return batch;
  }

  /**
   * Sequences as traffic has them, until so many tokens are reached: log-normal lengths, sigma 0.7,
   * the second half of each a response.
   */
  List<TrainingSequence> ragged(int tokens, int median, int longest) {
    List<TrainingSequence> batch = new ArrayList<>();
    int sum = 0;
    while (sum < tokens) {
      int length = (int) Math.round(median * Math.exp(0.7 * random.nextGaussian()));
      length = Math.max(4, Math.min(Math.min(longest, length), Math.max(4, tokens - sum)));
      batch.add(sequence(length, Math.max(1, length / 2)));
      sum += length;
    }
    return batch;
  }

  private TrainingSequence sequence(int length, int first) {
    int rows = length - first;
    int[] ids = new int[rows * k];
    float[] logprobs = new float[rows * k];
    float[] tails = new float[rows];
    double[] shares = new double[k];
    double sum = 0;
    for (int j = 0; j < k; j++) {
      shares[j] = 1 / Math.pow(j + 1, 1.3);
      sum += shares[j];
    }
    for (int row = 0; row < rows; row++) {
      // Distinct: no two are as far apart as the vocabulary is large.
      int start = random.nextInt(vocabulary);
      int stride = 1 + random.nextInt(vocabulary / k);
      for (int j = 0; j < k; j++) {
        ids[row * k + j] = (start + j * stride) % vocabulary;
        logprobs[row * k + j] = (float) Math.log((1 - TAIL) * shares[j] / sum);
      }
      tails[row] = (float) Math.log(TAIL);
    }
    int[] tokens = random.ints(length, 0, vocabulary).toArray();
    return new TrainingSequence(
        tokens, first, new NamedTargets(k, ids, logprobs, tails), null, OBJECTIVE, null);
  }
}
