package io.reflux.bench.labels;

import io.reflux.bench.labels.Blocks.Labels;
import io.reflux.bench.labels.Distributions.Row;
import io.reflux.bench.labels.Gradients.Comparison;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * What a student can learn from decoded labels, against the distributions they were made from.
 *
 * @param reconstructionKl mean KL of the decoded row from the exact one over the ids that are named
 *     and one bucket for the rest, nats: what the codec loses
 * @param evenTailKl mean KL of the decoded row from the whole distribution when its tail is spread
 *     evenly over the other ids, nats: truncation included; NaN for counts, which leave ids out
 * @param gradient as a trainer computes it from one label
 * @param expected gradient's mean over labels of the same row; the same where nothing is drawn
 * @param renormalised gradient of the named ids alone, made to sum to one; null for counts
 */
record Quality(
    double reconstructionKl,
    double evenTailKl,
    Comparison gradient,
    Comparison expected,
    Comparison renormalised) {

  /** Labels of a row whose mean is taken for the expected one. */
  static final int DRAWS_OF_A_ROW = 400;

  /**
   * Compares.
   *
   * @param labels as they were encoded; {@code decoded} as they came back
   */
  static Quality of(List<Row> rows, Labels labels, LabelBlock decoded, Random random) {
    if (decoded instanceof SampledBlock sampled) {
      return of(rows, (SampledBlock) labels.block(), sampled, random);
    }
    double reconstruction = 0;
    double evenTail = 0;
    Comparison gradient = new Comparison();
    Comparison renormalised = new Comparison();
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      Named named = named(labels, decoded, i);
      double[] exact = Arrays.stream(named.ids).mapToDouble(id -> row.teacher()[id]).toArray();
      double exactTail = Blocks.massOutside(row.teacher(), named.ids);
      reconstruction += kl(exactTail, Math.exp(named.tail));
      for (int j = 0; j < exact.length; j++) {
        reconstruction += kl(exact[j], Math.exp(named.logprobs[j]));
      }
      evenTail += evenTailKl(row.teacher(), named);
      double[] truth = Gradients.full(row.teacher(), row.student());
      gradient.add(truth, Gradients.buckets(named.ids, named.logprobs, named.tail, row.student()));
      renormalised.add(truth, Gradients.renormalised(named.ids, named.logprobs, row.student()));
    }
    return new Quality(
        reconstruction / rows.size(), evenTail / rows.size(), gradient, gradient, renormalised);
  }

  private record Named(int[] ids, double[] logprobs, double tail) {}

  private static Named named(Labels labels, LabelBlock decoded, int row) {
    if (decoded instanceof TopKBlock block) {
      int k = block.k();
      return new Named(
          Arrays.copyOfRange(block.ids(), row * k, (row + 1) * k),
          doubles(block.logprobs(), row, k),
          block.tailLogMass()[row]);
    }
    SupportBlock block = (SupportBlock) decoded;
    int k = block.k();
    return new Named(
        Arrays.copyOfRange(labels.support(), row * k, (row + 1) * k),
        doubles(block.logprobs(), row, k),
        block.tailLogMass()[row]);
  }

  /** Counts come back as they were, or the KL is infinite. */
  private static Quality of(
      List<Row> rows, SampledBlock encoded, SampledBlock decoded, Random random) {
    boolean exact =
        Arrays.equals(encoded.starts(), decoded.starts())
            && Arrays.equals(encoded.ids(), decoded.ids())
            && Arrays.equals(encoded.counts(), decoded.counts());
    Comparison gradient = new Comparison();
    Comparison expected = new Comparison();
    for (int i = 0; i < rows.size(); i++) {
      Row row = rows.get(i);
      double[] truth = Gradients.full(row.teacher(), row.student());
      int from = decoded.starts()[i];
      int to = decoded.starts()[i + 1];
      gradient.add(
          truth,
          Gradients.counts(
              Arrays.copyOfRange(decoded.ids(), from, to),
              Arrays.copyOfRange(decoded.counts(), from, to),
              decoded.draws(),
              row.student()));
      int[] ids = new Draws(row.teacher()).next(DRAWS_OF_A_ROW * decoded.draws(), random);
      int[] ones = new int[ids.length];
      Arrays.fill(ones, 1);
      expected.add(truth, Gradients.counts(ids, ones, ids.length, row.student()));
    }
    return new Quality(exact ? 0 : Double.POSITIVE_INFINITY, Double.NaN, gradient, expected, null);
  }

  private static double evenTailKl(double[] p, Named named) {
    int others = p.length - named.ids.length;
    double each = others == 0 ? 0 : Math.exp(named.tail) / others;
    double[] decoded = new double[p.length];
    Arrays.fill(decoded, each);
    for (int i = 0; i < named.ids.length; i++) {
      decoded[named.ids[i]] = Math.exp(named.logprobs[i]);
    }
    double sum = 0;
    for (int j = 0; j < p.length; j++) {
      sum += kl(p[j], decoded[j]);
    }
    return sum;
  }

  /**
   * A bucket's share of a KL that is not below 0 even where the decoded masses miss 1 by a hair.
   */
  private static double kl(double p, double decoded) {
    return p == 0 ? decoded : p * Math.log(p / decoded) - p + decoded;
  }

  private static double[] doubles(float[] values, int row, int k) {
    double[] doubles = new double[k];
    for (int i = 0; i < k; i++) {
      doubles[i] = values[row * k + i];
    }
    return doubles;
  }
}
