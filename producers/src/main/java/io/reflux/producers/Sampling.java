package io.reflux.producers;

import io.reflux.traffic.StableHash;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.LongSupplier;

/**
 * Which requests are mirrored: by a hash of their conversation against a share, so that a thread is
 * whole or absent, in every process alike. A share that sinks keeps those that it would have kept
 * at less.
 */
final class Sampling {
  private final List<Way> ways = new ArrayList<>();

  private record Way(SamplingRule rule, Optional<RateShare> limit) {}

  /**
   * @param rules the first that matches counts; the last has to match everything
   */
  Sampling(List<SamplingRule> rules, LongSupplier nanoClock) {
    for (SamplingRule rule : rules) {
      ways.add(
          new Way(
              rule,
              rule.perSecond().isPresent()
                  ? Optional.of(new RateShare(rule.perSecond().getAsDouble(), nanoClock))
                  : Optional.empty()));
    }
  }

  /**
   * What is to become of a request.
   *
   * @param probability that it was taken with, for the trainer
   * @param refusal empty when it is taken
   */
  record Decision(double probability, Optional<DropReason> refusal) {}

  Decision decide(String segment, Map<String, String> tags, String thread) {
    for (Way way : ways) {
      if (way.rule().matches(segment, tags)) {
        return decide(way, thread);
      }
    }
    throw new IllegalStateException("no rule for everything");
  }

  private static Decision decide(Way way, String thread) {
    double probability = way.rule().probability();
    if (probability == 1 && way.limit().isEmpty()) {
      return new Decision(1, Optional.empty());
    }
    double hash = StableHash.fraction(thread);
    if (hash >= probability) {
      return new Decision(probability, Optional.of(DropReason.NOT_SAMPLED));
    }
    if (way.limit().isEmpty()) {
      return new Decision(probability, Optional.empty());
    }
    double share = probability * way.limit().get().offer();
    boolean taken = hash < share && way.limit().get().take();
    return new Decision(share, taken ? Optional.empty() : Optional.of(DropReason.RATE_LIMITED));
  }
}
