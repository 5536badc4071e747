package io.reflux.trainer.nn;

import io.reflux.model.reference.ReferenceForward;
import io.reflux.trainer.nn.Objective.Divergence;
import io.reflux.trainer.nn.Objective.ForwardKl;
import io.reflux.trainer.nn.Objective.GeneralisedJsd;
import io.reflux.trainer.nn.Objective.ReverseKl;
import io.reflux.trainer.nn.Objective.SampledReverseKl;
import io.reflux.trainer.nn.Objective.SkewedKl;
import io.reflux.trainer.nn.Objective.SkewedReverseKl;
import io.reflux.trainer.nn.Objective.Term;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a row's objective is, by its definition: probabilities in double precision, bucket by
 * bucket, nothing in logs, nothing shared between divergences.
 */
final class ReferenceObjective {
  private static final double LEAST = Math.exp(-30);

  private ReferenceObjective() {}

  /** Probabilities of one bucket. */
  private record Bucket(double p, double boundedP, double q) {}

  /**
   * Weight times objective of a row.
   *
   * @param z logits
   * @param fixed logits at which the advantage and the importance weight are taken, which have no
   *     gradient
   */
  static double row(TrainingSequence sequence, int row, double[] z, double[] fixed) {
    return sequence.weight(row)
        * importance(sequence, row, fixed)
        * (sequence.crossEntropyShare() * -logSoftmax(z, 1)[token(sequence, row)]
            + (1 - sequence.crossEntropyShare()) * divergences(sequence, row, z, fixed));
  }

  /** Truncated importance weight; 1 without a behaviour. */
  static double importance(TrainingSequence sequence, int row, double[] z) {
    return Math.min(
        ratio(sequence, row, z), sequence.behaviour() == null ? 1 : sequence.behaviour().clip());
  }

  static double ratio(TrainingSequence sequence, int row, double[] z) {
    Behaviour behaviour = sequence.behaviour();
    if (behaviour == null) {
      return 1;
    }
    double now = logSoftmax(z, behaviour.temperature())[token(sequence, row)];
    return Math.exp(now - behaviour.logprobs()[row]);
  }

  /** KL(teacher‖student), the reported one. */
  static double forwardKl(TrainingSequence sequence, int row, double[] z) {
    double offset =
        sequence.targets() instanceof NamedTargets named && named.klOffsets() != null
            ? named.klOffsets()[row]
            : 0;
    return offset + divergence(new ForwardKl(), buckets(sequence.targets(), row, z));
  }

  static double[] logSoftmax(double[] z, double temperature) {
    double[] scaled = z.clone();
    for (int i = 0; i < scaled.length; i++) {
      scaled[i] /= temperature;
    }
    return ReferenceForward.logSoftmax(scaled);
  }

  static int token(TrainingSequence sequence, int row) {
    return sequence.tokenIds()[sequence.firstPosition() + row];
  }

  private static double divergences(
      TrainingSequence sequence, int row, double[] z, double[] fixed) {
    double sum = 0;
    if (sequence.targets() == null) {
      return 0;
    }
    for (Term term : sequence.objective().terms()) {
      if (term.divergence() instanceof SampledReverseKl) {
        double temperature = sequence.targets().temperature();
        int token = token(sequence, row);
        double logp = Math.max(-30, sequence.targets().tokenLogprobs()[row]);
        double logq = logSoftmax(z, temperature)[token];
        double then = logSoftmax(fixed, temperature)[token];
        // At fixed == z the value is log q − log p; its gradient is −A ∇log q.
        sum += term.weight() * (then - logp) * (1 + logq - then);
      } else {
        List<Bucket> buckets = buckets(sequence.targets(), row, z);
        sum += term.weight() * divergence(term.divergence(), buckets);
        if (sequence.targets() instanceof NamedTargets named
            && named.klOffsets() != null
            && isForward(term.divergence())) {
          sum += term.weight() * named.klOffsets()[row];
        }
      }
    }
    return sum;
  }

  private static boolean isForward(Divergence divergence) {
    return divergence.equals(new ForwardKl())
        || divergence.equals(new GeneralisedJsd(0))
        || divergence.equals(new SkewedKl(0));
  }

  private static double divergence(Divergence divergence, List<Bucket> buckets) {
    double sum = 0;
    for (Bucket bucket : buckets) {
      double p = bucket.boundedP();
      double q = bucket.q();
      if (isForward(divergence)) {
        sum += kl(bucket.p(), q);
      } else if (divergence.equals(new ReverseKl())
          || divergence.equals(new GeneralisedJsd(1))
          || divergence.equals(new SkewedReverseKl(0))) {
        sum += kl(q, p);
      } else if (divergence instanceof GeneralisedJsd jsd) {
        double m = jsd.beta() * p + (1 - jsd.beta()) * q;
        sum += jsd.beta() * kl(p, m) + (1 - jsd.beta()) * kl(q, m);
      } else if (divergence instanceof SkewedKl skewed) {
        sum += kl(p, skewed.alpha() * p + (1 - skewed.alpha()) * q);
      } else if (divergence instanceof SkewedReverseKl skewed) {
        sum += kl(q, skewed.alpha() * q + (1 - skewed.alpha()) * p);
      }
    }
    return sum;
  }

  private static double kl(double p, double q) {
    return p == 0 ? 0 : p * Math.log(p / q);
  }

  private static List<Bucket> buckets(Targets targets, int row, double[] z) {
    double[] logq = logSoftmax(z, targets.temperature());
    List<Bucket> buckets = new ArrayList<>();
    if (targets instanceof DenseTargets dense) {
      for (int v = 0; v < z.length; v++) {
        double p = Math.exp(dense.logprobs()[row * z.length + v]);
        buckets.add(new Bucket(p, Math.max(p, LEAST), Math.exp(logq[v])));
      }
      return buckets;
    }
    NamedTargets named = (NamedTargets) targets;
    Map<Integer, Double> ofIds = new LinkedHashMap<>();
    int once = 0;
    for (int j = 0; j < named.k(); j++) {
      double p = Math.exp(named.logprobs()[row * named.k() + j]);
      if (ofIds.putIfAbsent(named.ids()[row * named.k() + j], p) == null) {
        once += Math.round(p * named.draws()) == 1 ? 1 : 0;
      }
    }
    double tail = Math.exp(named.tailLogMass()[row]);
    double forwardTail = tail >= LEAST ? tail : 0;
    double boundedTail = Double.isNaN(tail) ? 1e-5 : Math.max(tail, LEAST);
    double scale = 1;
    if (named.draws() > 0) {
      forwardTail = 0;
      boundedTail = Math.max(once, 0.5) / (named.draws() + 1);
      scale = 1 - boundedTail;
    }
    double rest = 0;
    for (int v = 0; v < z.length; v++) {
      if (ofIds.containsKey(v)) {
        double p = ofIds.get(v);
        buckets.add(new Bucket(p, Math.max(scale * p, LEAST), Math.exp(logq[v])));
      } else {
        rest += Math.exp(logq[v]);
      }
    }
    if (ofIds.size() < z.length) {
      buckets.add(new Bucket(forwardTail, boundedTail, rest));
    }
    return buckets;
  }
}
