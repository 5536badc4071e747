package io.reflux.trainer.nn;

import io.reflux.model.reference.ReferenceForward;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;

/** Every kind of label that a teacher gives, of given or random distributions. */
enum Labels {
  TOP_K,
  /** A tail below e^-30 in one row, none in another. */
  TOP_K_WITHOUT_TAIL,
  TOP_K_UNKNOWN_TAIL,
  ALL_IDS,
  /** Also with an id of the student's that the teacher finds impossible. */
  SUPPORT,
  DRAWS,
  /** No id was drawn once. */
  FEW_DRAWS,
  DENSE,
  TOKENS;

  private static final int K = 4;

  /**
   * Labels of distributions.
   *
   * @param logits [rows][vocabulary] of the teacher
   * @param tokens [rows], standing
   */
  Targets of(double[][] logits, int[] tokens, double temperature, Random random) {
    int rows = logits.length;
    int vocabulary = logits[0].length;
    double[][] logp = new double[rows][];
    float[] tokenLogprobs = new float[rows];
    for (int row = 0; row < rows; row++) {
      logp[row] = ReferenceObjective.logSoftmax(logits[row], temperature);
      tokenLogprobs[row] = (float) logp[row][tokens[row]];
    }
    return switch (this) {
      case TOP_K -> best(logp, K, temperature, tokenLogprobs);
      case TOP_K_WITHOUT_TAIL -> {
        NamedTargets targets = best(logp, K, temperature, tokenLogprobs);
        for (int row = 0; row < rows; row++) {
          targets.tailLogMass()[row] = row % 2 == 0 ? -31 : Float.NEGATIVE_INFINITY;
        }
        yield targets;
      }
      case TOP_K_UNKNOWN_TAIL -> {
        NamedTargets targets = best(logp, K, temperature, tokenLogprobs);
        Arrays.fill(targets.tailLogMass(), Float.NaN);
        yield targets;
      }
      case ALL_IDS -> best(logp, vocabulary, temperature, tokenLogprobs);
      case SUPPORT -> {
        int[] ids = new int[rows * K];
        for (int row = 0; row < rows; row++) {
          int[] some = IntStream.range(0, vocabulary).toArray();
          for (int j = 0; j < K; j++) {
            int other = j + random.nextInt(vocabulary - j);
            int id = some[other];
            some[other] = some[j];
            ids[row * K + j] = id;
          }
        }
        NamedTargets targets = named(logp, ids, K, temperature, tokenLogprobs);
        targets.logprobs()[1] = Float.NEGATIVE_INFINITY;
        yield targets;
      }
      case DRAWS -> draws(logp, 9, 1, temperature, tokenLogprobs, random);
      case FEW_DRAWS -> draws(logp, 3, 2, temperature, tokenLogprobs, random);
      case DENSE -> {
        float[] all = new float[rows * vocabulary];
        for (int i = 0; i < all.length; i++) {
          all[i] = (float) logp[i / vocabulary][i % vocabulary];
        }
        yield new DenseTargets(vocabulary, all, temperature, tokenLogprobs);
      }
      case TOKENS -> NamedTargets.ofTokens(tokenLogprobs, temperature);
    };
  }

  /** The likeliest ids and the tail. */
  static NamedTargets best(double[][] logp, int k, double temperature, float[] tokenLogprobs) {
    int[] ids = new int[logp.length * k];
    for (int row = 0; row < logp.length; row++) {
      double[] values = logp[row];
      int[] order =
          IntStream.range(0, values.length)
              .boxed()
              .sorted(Comparator.comparingDouble(v -> -values[v]))
              .mapToInt(Integer::intValue)
              .toArray();
      System.arraycopy(order, 0, ids, row * k, k);
    }
    return named(logp, ids, k, temperature, tokenLogprobs);
  }

  private static NamedTargets named(
      double[][] logp, int[] ids, int k, double temperature, float[] tokenLogprobs) {
    float[] logprobs = new float[ids.length];
    float[] tail = new float[logp.length];
    for (int row = 0; row < logp.length; row++) {
      double[] left = logp[row].clone();
      for (int j = row * k; j < (row + 1) * k; j++) {
        logprobs[j] = (float) logp[row][ids[j]];
        left[ids[j]] = Double.NEGATIVE_INFINITY;
      }
      double best = Arrays.stream(left).max().orElseThrow();
      double sum = Arrays.stream(left).map(l -> Math.exp(l - best)).sum();
      tail[row] = Double.isInfinite(best) ? (float) best : (float) (best + Math.log(sum));
    }
    return new NamedTargets(k, ids, logprobs, tail, null, temperature, tokenLogprobs, 0);
  }

  /** Rows fill up with their first id. */
  private static NamedTargets draws(
      double[][] logp,
      int different,
      int times,
      double temperature,
      float[] tokenLogprobs,
      Random random) {
    int rows = logp.length;
    int draws = different * times;
    int[] ids = new int[rows * different];
    float[] logprobs = new float[rows * different];
    float[] noTail = new float[rows];
    float[] offsets = new float[rows];
    Arrays.fill(logprobs, Float.NEGATIVE_INFINITY);
    Arrays.fill(noTail, Float.NEGATIVE_INFINITY);
    for (int row = 0; row < rows; row++) {
      int[] counts = new int[logp[row].length];
      for (int d = 0; d < different; d++) {
        counts[draw(logp[row], random)] += times;
      }
      int size = row * different;
      for (int v = 0; v < counts.length; v++) {
        if (counts[v] > 0) {
          ids[size] = v;
          logprobs[size++] = (float) Math.log((double) counts[v] / draws);
        }
      }
      Arrays.fill(ids, size, (row + 1) * different, ids[row * different]);
      offsets[row] = random.nextFloat();
    }
    return new NamedTargets(
        different, ids, logprobs, noTail, offsets, temperature, tokenLogprobs, draws);
  }

  private static int draw(double[] logp, Random random) {
    double left = random.nextDouble();
    for (int v = 0; v < logp.length; v++) {
      left -= Math.exp(logp[v]);
      if (left < 0) {
        return v;
      }
    }
    return ReferenceForward.argmax(logp);
  }
}
