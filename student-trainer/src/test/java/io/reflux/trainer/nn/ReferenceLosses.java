package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** The objective in plain double precision, and material to try it on. */
final class ReferenceLosses {
  private ReferenceLosses() {}

  static double objective(ModelConfig config, Weights weights, List<TrainingSequence> batch) {
    double sum = 0;
    double total = 0;
    for (TrainingSequence sequence : batch) {
      double[][] logits = ReferenceForward.logits(config, weights, sequence.tokenIds());
      for (int row = 0; row < sequence.rows(); row++) {
        int position = sequence.firstPosition() + row;
        double[] z = logits[position - 1];
        sum += ReferenceObjective.row(sequence, row, z, z);
        total += sequence.weight(row);
      }
    }
    return total == 0 ? 0 : sum / total;
  }

  static int[] ids(Random random, int length, int vocabulary) {
    return random.ints(length, 0, vocabulary).toArray();
  }

  /** Top k of random distributions; with k of the whole vocabulary there is no tail. */
  static NamedTargets targets(Random random, int rows, int k, int vocabulary) {
    int[] ids = new int[rows * k];
    float[] logprobs = new float[rows * k];
    float[] tail = new float[rows];
    for (int row = 0; row < rows; row++) {
      double[] logits = random.doubles(vocabulary, -3, 3).toArray();
      double[] logp = ReferenceForward.logSoftmax(logits);
      int[] order =
          IntStream.range(0, vocabulary)
              .boxed()
              .sorted(Comparator.comparingDouble(i -> -logp[i]))
              .mapToInt(Integer::intValue)
              .toArray();
      double rest = 0;
      for (int j = 0; j < vocabulary; j++) {
        if (j < k) {
          ids[row * k + j] = order[j];
          logprobs[row * k + j] = (float) logp[order[j]];
        } else {
          rest += Math.exp(logp[order[j]]);
        }
      }
      tail[row] = k == vocabulary ? Float.NEGATIVE_INFINITY : (float) Math.log(rest);
    }
    return new NamedTargets(k, ids, logprobs, tail);
  }

  /** Shares of draws, with offsets that any numbers may be; rows fill up with their first id. */
  static NamedTargets drawn(Random random, int rows, int draws, int vocabulary) {
    int[] ids = new int[rows * draws];
    float[] logprobs = new float[rows * draws];
    float[] tail = new float[rows];
    float[] offsets = new float[rows];
    Arrays.fill(logprobs, Float.NEGATIVE_INFINITY);
    Arrays.fill(tail, Float.NEGATIVE_INFINITY);
    for (int row = 0; row < rows; row++) {
      int[] counts = new int[vocabulary];
      for (int d = 0; d < draws; d++) {
        counts[random.nextInt(Math.min(vocabulary, 5))]++;
      }
      int size = 0;
      for (int id = 0; id < vocabulary; id++) {
        if (counts[id] > 0) {
          ids[row * draws + size] = id;
          logprobs[row * draws + size++] = (float) Math.log((double) counts[id] / draws);
        }
      }
      Arrays.fill(ids, row * draws + size, (row + 1) * draws, ids[row * draws]);
      offsets[row] = random.nextFloat();
    }
    return new NamedTargets(draws, ids, logprobs, tail, offsets, 1, null, draws);
  }

  /** The weights with one element moved. */
  static Weights moved(Weights weights, String name, int element, float by) {
    MemoryWeights.Builder moved = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      float[] values = weights.floats(tensor.name());
      if (tensor.name().equals(name)) {
        values[element] += by;
      }
      moved.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), values);
    }
    return moved.build();
  }

  static float[] ones(int rows) {
    float[] ones = new float[rows];
    Arrays.fill(ones, 1);
    return ones;
  }
}
