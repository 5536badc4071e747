package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** What the rows of a batch are compared with, and by what weight. */
final class RowTargets {
  /** The most unlikely that a named id counts as; its probability is 0 in any arithmetic here. */
  private static final float LEAST_LOGPROB = -1e4f;

  /** Below it there is no tail bucket. */
  private static final float LEAST_TAIL = -30;

  /** Logits at a time, in elements: 32 MiB of float32. */
  private static final int CHUNK_ELEMENTS = 8 << 20;

  private final int vocabularySize;
  private final int k;
  private final long[] tokens;
  private final float[] crossEntropyWeights;
  private final float[] distillationWeights;
  private final long[] topIds;
  private final float[] topLogprobs;
  private final float[] tailLogMass;
  private double klOffset;
  private double objectiveOffset;

  RowTargets(List<TrainingSequence> batch, int vocabularySize, double totalWeight) {
    this.vocabularySize = vocabularySize;
    k =
        batch.stream()
            .mapToInt(s -> s.targets() instanceof NamedTargets t ? t.k() : 0)
            .max()
            .orElse(0);
    int rows = batch.stream().mapToInt(TrainingSequence::rows).sum();
    tokens = new long[rows];
    crossEntropyWeights = new float[rows];
    distillationWeights = new float[rows];
    topIds = new long[rows * k];
    topLogprobs = new float[rows * k];
    tailLogMass = new float[rows];
    Arrays.fill(topLogprobs, Float.NEGATIVE_INFINITY);
    Arrays.fill(tailLogMass, Float.NEGATIVE_INFINITY);

    double scale = totalWeight == 0 ? 0 : 1 / totalWeight;
    int row = 0;
    for (TrainingSequence sequence : batch) {
      for (int i = 0; i < sequence.rows(); i++, row++) {
        double weight = sequence.weight(i) * scale;
        tokens[row] = sequence.tokenIds()[sequence.firstPosition() + i];
        if (sequence.targets() == null) {
          crossEntropyWeights[row] = (float) weight;
        } else {
          double share = sequence.objective().crossEntropyShare();
          crossEntropyWeights[row] = (float) (share * weight);
          distillationWeights[row] = (float) ((1 - share) * weight);
          putTargets(row, i, (NamedTargets) sequence.targets());
          putOffset(row, i, (NamedTargets) sequence.targets());
        }
      }
    }
  }

  int rows() {
    return tokens.length;
  }

  /** In the order of the kernel's inputs. */
  List<NDArray> tensors(NDManager manager) {
    long rows = rows();
    long chunkRows = Math.max(1, CHUNK_ELEMENTS / vocabularySize);
    return List.of(
        TorchArrays.longs(manager, tokens, rows),
        TorchArrays.floats(manager, crossEntropyWeights, rows),
        TorchArrays.floats(manager, distillationWeights, rows),
        TorchArrays.longs(manager, topIds, rows, k),
        TorchArrays.floats(manager, topLogprobs, rows, k),
        TorchArrays.floats(manager, tailLogMass, rows),
        TorchArrays.longs(manager, new long[] {chunkRows}, 1));
  }

  /**
   * What the kernel's sums come to.
   *
   * @param stats as the kernel returns them
   */
  Losses losses(double[] stats) {
    long distilled = 0;
    long counted = 0;
    for (int row = 0; row < rows(); row++) {
      distilled += distillationWeights[row] > 0 ? 1 : 0;
      counted += distillationWeights[row] + crossEntropyWeights[row] > 0 ? 1 : 0;
    }
    double weight = 0;
    for (int row = 0; row < rows(); row++) {
      weight += crossEntropyWeights[row] + distillationWeights[row];
    }
    return new Losses(
        weight,
        stats[0] + objectiveOffset,
        stats[1] + klOffset,
        stats[2],
        0,
        (long) stats[3],
        (long) stats[4],
        distilled,
        counted,
        0,
        0,
        0,
        Losses.Importance.NONE,
        Collections.emptySortedMap());
  }

  private void putTargets(int row, int from, NamedTargets targets) {
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

  private void putOffset(int row, int from, NamedTargets targets) {
    if (targets.klOffsets() != null && distillationWeights[row] > 0) {
      klOffset += targets.klOffsets()[from];
      objectiveOffset += distillationWeights[row] * (double) targets.klOffsets()[from];
    }
  }
}
