package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import io.reflux.model.runtime.Generation.Token;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * Draws tokens for one request: temperature, then top-k, then the nucleus of arXiv 1904.09751. What
 * it draws depends on its seed and the log-probs it is shown, and on nothing else.
 */
final class Sampler {
  /** Less than this of the likeliest token's probability is below what a double sum can hold. */
  private static final double NEGLIGIBLE = -40;

  /** The nucleus is looked for among tokens this much less likely than the likeliest, and so on. */
  private static final double FIRST_CUT = 1e-3;

  private static final double SMALLEST_CUT = 1e-15;

  private final SamplingOptions options;
  private final SplittableRandom random;
  private final int topLogprobs;

  Sampler(SamplingOptions options, int topLogprobs) {
    this.options = options;
    this.random = new SplittableRandom(options.seed());
    this.topLogprobs = topLogprobs;
  }

  /**
   * Draws the next token.
   *
   * @param logprobs [vocabularySize], of the plain distribution
   * @param weights scratch, [vocabularySize]
   */
  Token draw(float[] logprobs, double[] weights) {
    int best = 0;
    for (int i = 1; i < logprobs.length; i++) {
      if (logprobs[i] > logprobs[best]) {
        best = i;
      }
    }
    if (Float.isNaN(logprobs[best])) {
      throw new ModelException("logprobs: NaN (expected: numbers; the model's weights are broken)");
    }
    int id = best;
    float logprob = logprobs[best];
    if (options.temperature() > 0) {
      double total = temper(logprobs, logprobs[best], weights);
      id = choose(weights, total);
      logprob = (float) ((logprobs[id] - logprobs[best]) / options.temperature() - Math.log(total));
    }
    int[] topIds = largest(logprobs, topLogprobs);
    float[] top = new float[topIds.length];
    for (int i = 0; i < top.length; i++) {
      top[i] = logprobs[topIds[i]];
    }
    return new Token(id, logprob, topIds, top);
  }

  /** Fills in weights relative to the likeliest token's, which is 1, and returns their sum. */
  private double temper(float[] logprobs, float largest, double[] weights) {
    double inverse = 1 / options.temperature();
    double total = 0;
    for (int i = 0; i < logprobs.length; i++) {
      double exponent = (logprobs[i] - largest) * inverse;
      weights[i] = exponent < NEGLIGIBLE ? 0 : Math.exp(exponent);
      total += weights[i];
    }
    return total;
  }

  private int choose(double[] weights, double total) {
    int kept = options.topK() == 0 ? weights.length : Math.min(options.topK(), weights.length);
    double drawn = random.nextDouble();
    if (kept == weights.length && options.topP() >= 1) {
      return walk(weights, null, weights.length, drawn * total);
    }
    int[] order = candidates(weights, kept, total);
    double keptTotal = 0;
    int count = Math.min(kept, order.length);
    for (int i = 0; i < count; i++) {
      keptTotal += weights[order[i]];
    }
    // With top-k the nucleus is that of the tokens kept; without, that of all.
    double wanted = options.topP() * (kept < weights.length ? keptTotal : total);
    double nucleus = 0;
    int inNucleus = 0;
    while (inNucleus < count && (inNucleus == 0 || nucleus < wanted)) {
      nucleus += weights[order[inNucleus++]];
    }
    return walk(weights, order, inNucleus, drawn * nucleus);
  }

  /** Ids by falling weight, enough of them for top-k or the nucleus; of equals the lower first. */
  private int[] candidates(double[] weights, int kept, double total) {
    for (double cut = FIRST_CUT; ; cut = cut < SMALLEST_CUT ? 0 : cut * FIRST_CUT) {
      double mass = 0;
      int count = 0;
      for (double weight : weights) {
        if (weight >= cut) {
          mass += weight;
          count++;
        }
      }
      boolean enough = kept < weights.length ? count >= kept : mass >= options.topP() * total;
      if (enough || cut == 0) {
        return sorted(weights, cut, count);
      }
    }
  }

  private static int[] sorted(double[] weights, double cut, int count) {
    // A positive float's bits sort as the float does; the id in the low half breaks ties.
    long[] keys = new long[count];
    int n = 0;
    for (int i = 0; i < weights.length; i++) {
      if (weights[i] >= cut) {
        keys[n++] =
            ((long) (Integer.MAX_VALUE - Float.floatToIntBits((float) weights[i])) << 32) | i;
      }
    }
    Arrays.sort(keys);
    int[] order = new int[count];
    for (int i = 0; i < count; i++) {
      order[i] = (int) keys[i];
    }
    return order;
  }

  /** The first id at which the running sum passes the target. */
  private static int walk(double[] weights, int[] order, int count, double target) {
    double sum = 0;
    int last = 0;
    for (int i = 0; i < count; i++) {
      int id = order == null ? i : order[i];
      if (weights[id] > 0) {
        sum += weights[id];
        last = id;
        if (sum > target) {
          return id;
        }
      }
    }
    return last;
  }

  /** Ids of the n largest, largest first; of equals the lower id. */
  private static int[] largest(float[] values, int n) {
    int[] ids = new int[Math.min(n, values.length)];
    int filled = 0;
    for (int id = 0; id < values.length && ids.length > 0; id++) {
      if (filled == ids.length && values[id] <= values[ids[filled - 1]]) {
        continue;
      }
      int at = filled < ids.length ? filled++ : filled - 1;
      while (at > 0 && values[ids[at - 1]] < values[id]) {
        ids[at] = ids[at - 1];
        at--;
      }
      ids[at] = id;
    }
    return ids;
  }
}
