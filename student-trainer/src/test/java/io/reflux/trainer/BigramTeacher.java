package io.reflux.trainer;

import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.trainer.LabelledSequence.Written;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;

/**
 * A teacher that is easy to learn from: after each token one other is by far the likeliest. Ids
 * below {@code firstId} are never used.
 */
final class BigramTeacher {
  static final int K = 4;
  private static final double LIKELIEST = 0.9;

  private final int firstId;
  private final int endId;
  private final int vocabulary;
  private final int[] next;

  BigramTeacher(int firstId, int vocabulary, long seed) {
    this(firstId, vocabulary, vocabulary, seed);
  }

  /**
   * @param endId no id from there on is used
   */
  BigramTeacher(int firstId, int endId, int vocabulary, long seed) {
    this.firstId = firstId;
    this.endId = endId;
    this.vocabulary = vocabulary;
    Random random = new Random(seed);
    this.next = random.ints(vocabulary, firstId, endId).toArray();
  }

  int[] prompt(Random random, int length) {
    return random.ints(length, firstId, endId).toArray();
  }

  /** Prompt and a response that mostly follows the teacher. */
  int[] answered(int[] prompt, int responseLength, Random random) {
    int[] ids = Arrays.copyOf(prompt, prompt.length + responseLength);
    for (int t = prompt.length; t < ids.length; t++) {
      boolean follows = random.nextDouble() < LIKELIEST;
      ids[t] = follows ? next[ids[t - 1]] : firstId + random.nextInt(endId - firstId);
    }
    return ids;
  }

  TopKBlock labels(int[] ids, int promptLength) {
    int rows = ids.length - promptLength;
    int[] top = new int[rows * K];
    float[] logprobs = new float[rows * K];
    float[] tail = new float[rows];
    float[] token = new float[rows];
    float[] entropy = new float[rows];
    double rest = (1 - LIKELIEST) / (vocabulary - 1);
    for (int row = 0; row < rows; row++) {
      int likeliest = next[ids[promptLength + row - 1]];
      for (int j = 0; j < K; j++) {
        top[row * K + j] = (likeliest + j) % vocabulary;
        logprobs[row * K + j] = (float) Math.log(j == 0 ? LIKELIEST : rest);
      }
      tail[row] = (float) Math.log(rest * (vocabulary - K));
      token[row] = (float) Math.log(ids[promptLength + row] == likeliest ? LIKELIEST : rest);
      entropy[row] = (float) (-LIKELIEST * Math.log(LIKELIEST) - (1 - LIKELIEST) * Math.log(rest));
    }
    return new TopKBlock(rows, K, top, logprobs, tail, token, entropy);
  }

  /** As {@link #labels}, of the same distributions on ids that somebody else names. */
  SupportBlock support(int[] ids, int promptLength, int[] support, int k) {
    TopKBlock exact = labels(ids, promptLength);
    int rows = exact.rows();
    float[] logprobs = new float[rows * k];
    float[] tail = new float[rows];
    double rest = (1 - LIKELIEST) / (vocabulary - 1);
    for (int row = 0; row < rows; row++) {
      double named = 0;
      for (int i = row * k; i < (row + 1) * k; i++) {
        double probability = support[i] == exact.topId(row) ? LIKELIEST : rest;
        logprobs[i] = (float) Math.log(probability);
        named += probability;
      }
      tail[row] = (float) Math.log1p(-named);
    }
    return new SupportBlock(
        rows,
        k,
        SupportBlock.checksum(support),
        logprobs,
        tail,
        exact.tokenLogprobs(),
        exact.entropy());
  }

  /** As {@link #labels}, in draws from the same distributions. */
  SampledBlock draws(int[] ids, int promptLength, int draws, Random random) {
    TopKBlock exact = labels(ids, promptLength);
    int[] drawn = new int[exact.rows() * draws];
    for (int i = 0; i < drawn.length; i++) {
      int likeliest = exact.topId(i / draws);
      int other = random.nextInt(vocabulary - 1);
      drawn[i] =
          random.nextDouble() < LIKELIEST ? likeliest : other < likeliest ? other : other + 1;
    }
    return SampledBlock.of(exact.rows(), draws, drawn, exact.tokenLogprobs(), exact.entropy());
  }

  LabelledSequence sampled(String requestId, Random random, int draws, byte[] mask) {
    int[] prompt = prompt(random, 4 + random.nextInt(4));
    // As many rows as need two bytes of mask.
    int[] ids = answered(prompt, 9 + random.nextInt(5), random);
    byte[] labels = SoftLabelCodec.encode(draws(ids, prompt.length, draws, random), vocabulary);
    return sequence(requestId, ids, prompt.length, mask, labels, Optional.empty());
  }

  LabelledSequence sequence(String requestId, Random random) {
    return sequence(requestId, random, Optional.empty());
  }

  /** As if a student of a step had written it. */
  LabelledSequence rollout(String requestId, Random random, long studentStep) {
    return sequence(requestId, random, Optional.of(new Written(studentStep, 1, new float[0])));
  }

  /** A rollout whose tokens had probability one half each when they were drawn. */
  LabelledSequence toldRollout(String requestId, Random random, long studentStep) {
    LabelledSequence sequence = sequence(requestId, random);
    float[] logprobs = new float[sequence.rows()];
    Arrays.fill(logprobs, (float) Math.log(0.5));
    return Sequences.written(sequence, new Written(studentStep, 0.9, logprobs));
  }

  private LabelledSequence sequence(String requestId, Random random, Optional<Written> written) {
    int[] prompt = prompt(random, 4 + random.nextInt(4));
    int[] ids = answered(prompt, 4 + random.nextInt(5), random);
    byte[] labels = SoftLabelCodec.encode(labels(ids, prompt.length), vocabulary);
    return sequence(requestId, ids, prompt.length, new byte[0], labels, written);
  }

  private LabelledSequence sequence(
      String requestId,
      int[] ids,
      int promptLength,
      byte[] mask,
      byte[] labels,
      Optional<Written> written) {
    return new LabelledSequence(
        requestId,
        "default",
        0,
        1,
        ids,
        promptLength,
        vocabulary,
        1,
        mask,
        labels,
        new int[0],
        written);
  }
}
