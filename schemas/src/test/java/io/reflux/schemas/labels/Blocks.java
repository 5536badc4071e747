package io.reflux.schemas.labels;

import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Blocks as a teacher would make them: whole distributions, cut to their k likeliest. */
final class Blocks {
  private Blocks() {}

  /**
   * @param sharpness standard deviation of the logits: 0 is uniform, 8 nearly certain
   */
  static TopKBlock random(int rows, int k, int vocabulary, double sharpness, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    TopKBlock block =
        new TopKBlock(
            rows,
            k,
            new int[rows * k],
            new float[rows * k],
            new float[rows],
            new float[rows],
            new float[rows]);
    for (int row = 0; row < rows; row++) {
      fill(block, row, logprobs(vocabulary, sharpness, random), random);
    }
    return block;
  }

  /** A whole distribution: Zipf by id, as byte-pair vocabularies are, and noise. */
  static double[] logprobs(int vocabulary, double sharpness, SplittableRandom random) {
    double[] logits = new double[vocabulary];
    for (int id = 0; id < vocabulary; id++) {
      double u = Math.max(1e-12, random.nextDouble());
      double gaussian = Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * random.nextDouble());
      logits[id] = sharpness * gaussian - Math.min(sharpness, 1) * Math.log(id + 10.0);
    }
    double max = Arrays.stream(logits).max().getAsDouble();
    double logSum = max + Math.log(Arrays.stream(logits).map(l -> Math.exp(l - max)).sum());
    return Arrays.stream(logits).map(l -> l - logSum).toArray();
  }

  private static void fill(TopKBlock block, int row, double[] logprobs, SplittableRandom random) {
    int k = block.k();
    Integer[] byLikelihood = IntStream.range(0, logprobs.length).boxed().toArray(Integer[]::new);
    Arrays.sort(byLikelihood, Comparator.comparingDouble(id -> -logprobs[id]));
    double tail = 0;
    double entropy = 0;
    for (int rank = 0; rank < logprobs.length; rank++) {
      int id = byLikelihood[rank];
      double p = Math.exp(logprobs[id]);
      entropy -= p * logprobs[id];
      if (rank < k) {
        block.ids()[row * k + rank] = id;
        block.logprobs()[row * k + rank] = (float) logprobs[id];
      } else {
        tail += p;
      }
    }
    block.tailLogMass()[row] =
        k == logprobs.length ? Float.NEGATIVE_INFINITY : (float) Math.log(tail);
    int token = random.nextInt(4) == 0 ? random.nextInt(logprobs.length) : byLikelihood[0];
    block.tokenLogprobs()[row] = (float) logprobs[token];
    block.entropy()[row] = (float) entropy;
  }

  /** Makes some values unknown, in one of two blocks. */
  static void forget(float[] values, SplittableRandom random) {
    boolean some = random.nextBoolean();
    for (int i = 0; i < values.length; i++) {
      values[i] = some && random.nextInt(3) == 0 ? Float.NaN : values[i];
    }
  }

  /** Draws of skewed distributions, and of some with one id alone. */
  static SampledBlock sampled(int rows, int vocabulary, SplittableRandom random) {
    int draws = 1 + random.nextInt(80);
    int[] drawn = new int[rows * draws];
    float[] tokens = new float[rows];
    float[] entropy = new float[rows];
    for (int row = 0; row < rows; row++) {
      double skew = 20 * random.nextDouble();
      int offset = random.nextInt(vocabulary);
      for (int i = row * draws; i < (row + 1) * draws; i++) {
        drawn[i] =
            (int)
                ((offset + (long) (vocabulary * Math.pow(random.nextDouble(), skew))) % vocabulary);
      }
      tokens[row] = random.nextInt(9) == 0 ? Float.NEGATIVE_INFINITY : logprob(random);
      entropy[row] = (float) (random.nextDouble() * Math.log(vocabulary));
    }
    forget(entropy, random);
    return SampledBlock.of(rows, draws, drawn, tokens, entropy);
  }

  static SupportBlock support(int rows, int vocabulary, SplittableRandom random) {
    int k = 1 + random.nextInt(Math.min(vocabulary, 80));
    float[] logprobs = new float[rows * k];
    for (int i = 0; i < logprobs.length; i++) {
      logprobs[i] = random.nextInt(30) == 0 ? Float.NEGATIVE_INFINITY : logprob(random);
    }
    float[] tail = new float[rows];
    float[] tokens = new float[rows];
    float[] entropy = new float[rows];
    for (int row = 0; row < rows; row++) {
      tail[row] = random.nextInt(9) == 0 ? Float.NEGATIVE_INFINITY : logprob(random);
      tokens[row] = random.nextBoolean() ? logprobs[row * k + random.nextInt(k)] : logprob(random);
      entropy[row] = (float) (random.nextDouble() * Math.log(vocabulary));
    }
    forget(tail, random);
    forget(entropy, random);
    return new SupportBlock(rows, k, random.nextInt(), logprobs, tail, tokens, entropy);
  }

  /** Most above -20, some far below. */
  private static float logprob(SplittableRandom random) {
    double x = 20 * random.nextDouble();
    return (float) (random.nextInt(10) == 0 ? -x * x : -x);
  }
}
