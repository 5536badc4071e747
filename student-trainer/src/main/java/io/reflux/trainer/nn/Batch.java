package io.reflux.trainer.nn;

import io.reflux.trainer.nn.TrainingSequence.TeacherTargets;
import java.util.Arrays;
import java.util.List;

/**
 * Sequences padded on the right to one length. Under a causal mask a real position never sees the
 * padding after it, so no padding mask is needed: the mask is exact by construction. Rows of all
 * sequences lie one after another.
 */
public final class Batch {
  /** The most unlikely that a named id counts as; its probability is 0 in any arithmetic here. */
  private static final float LEAST_LOGPROB = -1e4f;

  /** Below it there is no tail bucket. */
  private static final float LEAST_TAIL = -30;

  private final int sequences;
  private final int length;
  private final int k;
  private final long[] tokenIds;
  private final long[] rowPositions;
  private final long[] rowTokens;
  private final float[] crossEntropyWeights;
  private final float[] distillationWeights;
  private final long[] topIds;
  private final float[] topLogprobs;
  private final float[] tailLogMass;
  private double klOffset;
  private double objectiveOffset;

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
    sequences = batch.size();
    length = batch.stream().mapToInt(sequence -> sequence.tokenIds().length).max().orElse(0);
    k = batch.stream().mapToInt(s -> s.targets() == null ? 0 : s.targets().k()).max().orElse(0);
    int rows = batch.stream().mapToInt(TrainingSequence::rows).sum();
    tokenIds = new long[sequences * length];
    rowPositions = new long[rows];
    rowTokens = new long[rows];
    crossEntropyWeights = new float[rows];
    distillationWeights = new float[rows];
    topIds = new long[rows * k];
    topLogprobs = new float[rows * k];
    tailLogMass = new float[rows];
    Arrays.fill(topLogprobs, Float.NEGATIVE_INFINITY);
    Arrays.fill(tailLogMass, Float.NEGATIVE_INFINITY);

    double scale = totalWeight == 0 ? 0 : 1 / totalWeight;
    int row = 0;
    for (int s = 0; s < sequences; s++) {
      TrainingSequence sequence = batch.get(s);
      requireInVocabulary(sequence, vocabularySize);
      for (int t = 0; t < sequence.tokenIds().length; t++) {
        tokenIds[s * length + t] = sequence.tokenIds()[t];
      }
      for (int i = 0; i < sequence.rows(); i++, row++) {
        int position = sequence.firstPosition() + i;
        double weight = sequence.weight(i) * scale;
        rowPositions[row] = (long) s * length + position - 1;
        rowTokens[row] = sequence.tokenIds()[position];
        if (sequence.targets() == null) {
          crossEntropyWeights[row] = (float) weight;
        } else {
          crossEntropyWeights[row] = (float) (crossEntropyShare * weight);
          distillationWeights[row] = (float) ((1 - crossEntropyShare) * weight);
          putTargets(row, i, sequence.targets(), vocabularySize);
          putOffset(row, i, sequence.targets());
        }
      }
    }
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

  private void putTargets(int row, int from, TeacherTargets targets, int vocabularySize) {
    int first = from * targets.k();
    for (int j = 0; j < k; j++) {
      boolean repeats =
          j > 0 && j < targets.k() && targets.ids()[first + j] == targets.ids()[first];
      if (j < targets.k() && !repeats) {
        topIds[row * k + j] = targets.ids()[first + j];
        topLogprobs[row * k + j] = Math.max(targets.logprobs()[first + j], LEAST_LOGPROB);
      } else {
        // A repeated id of log-prob -infinity: the kernels see it and leave it out.
        topIds[row * k + j] = topIds[row * k];
      }
    }
    float tail = targets.tailLogMass()[from];
    // False for a tail that is not a number.
    boolean hasTail = targets.k() < vocabularySize && tail >= LEAST_TAIL;
    tailLogMass[row] = hasTail ? tail : Float.NEGATIVE_INFINITY;
  }

  private void putOffset(int row, int from, TeacherTargets targets) {
    if (targets.klOffsets() != null && distillationWeights[row] > 0) {
      klOffset += targets.klOffsets()[from];
      objectiveOffset += distillationWeights[row] * (double) targets.klOffsets()[from];
    }
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
    return rowTokens.length;
  }

  /** Tokens that go through the model, padding included. */
  public int paddedTokens() {
    return tokenIds.length;
  }

  int sequences() {
    return sequences;
  }

  int length() {
    return length;
  }

  int k() {
    return k;
  }

  long[] tokenIds() {
    return tokenIds;
  }

  /** [rows], index into the flattened [sequences · length] positions. */
  long[] rowPositions() {
    return rowPositions;
  }

  long[] rowTokens() {
    return rowTokens;
  }

  float[] crossEntropyWeights() {
    return crossEntropyWeights;
  }

  float[] distillationWeights() {
    return distillationWeights;
  }

  long[] topIds() {
    return topIds;
  }

  float[] topLogprobs() {
    return topLogprobs;
  }

  float[] tailLogMass() {
    return tailLogMass;
  }

  /** What is added to the rows' KL as the kernels sum it up, nats. */
  double klOffset() {
    return klOffset;
  }

  /** The same in the objective. */
  double objectiveOffset() {
    return objectiveOffset;
  }
}
