package io.reflux.trainer.nn;

import io.reflux.trainer.nn.Objective.Divergence;
import io.reflux.trainer.nn.Objective.ForwardKl;
import io.reflux.trainer.nn.Objective.GeneralisedJsd;
import io.reflux.trainer.nn.Objective.ReverseKl;
import io.reflux.trainer.nn.Objective.SampledReverseKl;
import io.reflux.trainer.nn.Objective.SkewedKl;
import io.reflux.trainer.nn.Objective.SkewedReverseKl;
import io.reflux.trainer.nn.Objective.Term;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;

/**
 * What the head computes for a row, apart from its own numbers: temperatures and divergences,
 * limits taken explicitly.
 *
 * @param temperature of both distributions
 * @param drawnAt temperature of the behaviour; 0 for none
 * @param sampledWeight of the sampled reverse KL
 * @param parts of the divergences over buckets
 */
record HeadTerms(double temperature, double drawnAt, double sampledWeight, List<Part> parts) {
  /**
   * One divergence.
   *
   * @param kind as the head counts them
   * @param alpha β or α; 0.5 where there is none
   */
  record Part(int kind, double weight, double alpha) {}

  static HeadTerms of(TrainingSequence sequence) {
    double drawnAt = sequence.behaviour() == null ? 0 : sequence.behaviour().temperature();
    if (sequence.targets() == null) {
      return new HeadTerms(1, drawnAt, 0, List.of());
    }
    double sampled = 0;
    List<Part> parts = new ArrayList<>();
    for (Term term : sequence.objective().terms()) {
      if (term.divergence() instanceof SampledReverseKl) {
        sampled += term.weight();
      } else {
        parts.add(part(term.weight(), term.divergence()));
      }
    }
    return new HeadTerms(sequence.targets().temperature(), drawnAt, sampled, List.copyOf(parts));
  }

  private static Part part(double weight, Divergence divergence) {
    if (divergence instanceof GeneralisedJsd jsd) {
      if (jsd.beta() == 0) {
        return part(weight, new ForwardKl());
      }
      return jsd.beta() == 1
          ? part(weight, new ReverseKl())
          : new Part(HeadSource.JSD, weight, jsd.beta());
    }
    if (divergence instanceof SkewedKl skewed) {
      return skewed.alpha() == 0
          ? part(weight, new ForwardKl())
          : new Part(HeadSource.SKEWED, weight, skewed.alpha());
    }
    if (divergence instanceof SkewedReverseKl skewed) {
      return skewed.alpha() == 0
          ? part(weight, new ReverseKl())
          : new Part(HeadSource.SKEWED_REVERSE, weight, skewed.alpha());
    }
    int kind = divergence instanceof ForwardKl ? HeadSource.FORWARD : HeadSource.REVERSE;
    return new Part(kind, weight, 0.5);
  }

  /** Lines of the {@link #table}. */
  int lines() {
    return 1 + parts.size();
  }

  /** [lines, {@link HeadSource#TERM_COLUMNS}] row-major. */
  DoubleStream table() {
    DoubleStream first = DoubleStream.of(temperature, drawnAt, sampledWeight, 0, 0);
    return DoubleStream.concat(
        first,
        parts.stream()
            .flatMapToDouble(
                part ->
                    DoubleStream.of(
                        part.kind(),
                        part.weight(),
                        part.alpha(),
                        Math.log(part.alpha()),
                        Math.log1p(-part.alpha()))));
  }
}
