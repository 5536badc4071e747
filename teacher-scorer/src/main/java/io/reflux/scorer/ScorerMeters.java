package io.reflux.scorer;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongSupplier;

/** What the scorer counts. Outputs are counted when their transaction is committed. */
final class ScorerMeters {
  private static final long RATE_WINDOW_NANOS = TimeUnit.SECONDS.toNanos(2);

  private final MeterRegistry registry;
  private final LongSupplier nanoTime;
  private final Counter requests;
  private final Counter labels;
  private final Counter rolloutsScored;
  private final Counter labelBytes;
  private final Counter labelledTokens;
  private final Counter scoredTokens;
  private final Counter paddedTokens;
  private final Counter batches;
  private final Counter answers;
  private final Counter cacheHits;
  private final Counter truncated;
  private final Counter transactions;
  private final Counter transactionFailures;
  private final AtomicLong requestsLag = new AtomicLong();
  private final AtomicLong rolloutsLag = new AtomicLong();
  private final AtomicLong inFlight = new AtomicLong();
  private final AtomicReference<Double> scoredRate = new AtomicReference<>(0.0);
  private final AtomicReference<Double> generatedRate = new AtomicReference<>(0.0);
  private long windowStart;
  private long windowScored;
  private long windowGenerated;

  ScorerMeters(MeterRegistry registry, LongSupplier nanoTime) {
    this.registry = registry;
    this.nanoTime = nanoTime;
    this.requests = registry.counter("requests_total");
    this.labels = registry.counter("labels_total");
    this.rolloutsScored = registry.counter("rollouts_scored_total");
    this.labelBytes = registry.counter("label_bytes_total");
    this.labelledTokens = registry.counter("labelled_tokens_total");
    this.scoredTokens = registry.counter("scored_tokens_total");
    this.paddedTokens = registry.counter("padded_tokens_total");
    this.batches = registry.counter("batches_total");
    this.answers = registry.counter("answers_total");
    this.cacheHits = registry.counter("answer_cache_hits_total");
    this.truncated = registry.counter("truncated_total");
    this.transactions = registry.counter("transactions_total");
    this.transactionFailures = registry.counter("transaction_failures_total");
    registry.gauge("requests_lag", requestsLag);
    registry.gauge("rollouts_lag", rolloutsLag);
    registry.gauge("in_flight", inFlight);
    registry.gauge("tokens_per_second", scoredRate, AtomicReference::get);
    registry.gauge("generated_tokens_per_second", generatedRate, AtomicReference::get);
    registry.gauge("batch_padding", this, ScorerMeters::padding);
    this.windowStart = nanoTime.getAsLong();
  }

  /** Share of the model's work that went into padding, 0 to 1. */
  private double padding() {
    double padded = paddedTokens.count();
    return padded == 0 ? 0 : 1 - scoredTokens.count() / padded;
  }

  void received(long requestRecords) {
    requests.increment((double) requestRecords);
  }

  void scored(BatchPlan<?> plan) {
    batches.increment(plan.batches().size());
    scoredTokens.increment((double) plan.tokens());
    paddedTokens.increment((double) plan.paddedTokens());
  }

  void answered(boolean fromCache) {
    (fromCache ? cacheHits : answers).increment();
  }

  void committed(Work work, boolean rollout) {
    if (work.labels() == null) {
      String reason =
          work.rejection() == null ? work.undecodable().reason() : work.rejection().reason();
      registry.counter("dead_letters_total", "reason", reason).increment();
      return;
    }
    (rollout ? rolloutsScored : labels).increment();
    labelBytes.increment(work.labels().length);
    labelledTokens.increment(work.sequence().rows());
    if (work.sequence().truncated()) {
      truncated.increment();
    }
  }

  void transaction(boolean committed) {
    (committed ? transactions : transactionFailures).increment();
  }

  /** Brings gauges up to date; cheap, and called each turn of the loop. */
  void tick(Intake<?> requestIntake, Intake<?> rolloutIntake, long tokensGenerated) {
    requestsLag.set(requestIntake.lag() + requestIntake.size());
    rolloutsLag.set(rolloutIntake.lag() + rolloutIntake.size());
    inFlight.set(requestIntake.size() + rolloutIntake.size());
    long now = nanoTime.getAsLong();
    long passed = now - windowStart;
    if (passed >= RATE_WINDOW_NANOS) {
      long scored = (long) scoredTokens.count();
      scoredRate.set((scored - windowScored) * 1e9 / passed);
      generatedRate.set((tokensGenerated - windowGenerated) * 1e9 / passed);
      windowStart = now;
      windowScored = scored;
      windowGenerated = tokensGenerated;
    }
  }
}
