package io.reflux.scorer;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.reflux.scorer.Batcher.Batch;
import io.reflux.scorer.Batcher.Kind;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** What the scorer counts. Outputs are counted when their transaction is committed. */
final class ScorerMeters {
  private static final long RATE_WINDOW_NANOS = TimeUnit.SECONDS.toNanos(2);
  private static final long TICK_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

  private final MeterRegistry registry;
  private final LongSupplier nanoTime;
  private final Counter requests;
  private final Counter labels;
  private final Counter rolloutsScored;
  private final Counter labelBytes;
  private final Counter labelledTokens;
  private final Counter scoredTokens;
  private final Counter paddedTokens;
  private final Counter batchBudget;
  private final Counter batches;
  private final DistributionSummary batchSize;
  private final Timer batchTime;
  private final Counter answers;
  private final Counter answersKnown;
  private final Counter labelsKnown;
  private final Counter truncated;
  private final Counter transactions;
  private final Counter transactionFailures;
  private final Timer transactionTime;
  private final Timer latency;
  private final AtomicLong requestsLag = new AtomicLong();
  private final AtomicLong rolloutsLag = new AtomicLong();
  private final AtomicLong inFlight = new AtomicLong();
  private final AtomicReference<Double> queueAge = new AtomicReference<>(0.0);
  private final AtomicReference<Double> scoredRate = new AtomicReference<>(0.0);
  private final AtomicReference<Double> generatedRate = new AtomicReference<>(0.0);
  private final int budget;
  private long tickNanos;
  private long windowStart;
  private long windowScored;
  private long windowGenerated;

  /**
   * @param budget most padded tokens of a batch
   */
  ScorerMeters(MeterRegistry registry, Teacher teacher, int budget, LongSupplier nanoTime) {
    this.registry = registry;
    this.nanoTime = nanoTime;
    this.budget = budget;
    this.requests = counter("requests_total", "Requests taken in.");
    this.labels = counter("labels_total", "Label records of requests, committed.");
    this.rolloutsScored = counter("rollouts_scored_total", "Label records of rollouts, committed.");
    this.labelBytes = counter("label_bytes_total", "Encoded labels, committed, in bytes.");
    this.labelledTokens = counter("labelled_tokens_total", "Positions labelled, committed.");
    this.scoredTokens =
        counter("scored_tokens_total", "Tokens that the teacher read to label, padding left out.");
    this.paddedTokens =
        counter("padded_tokens_total", "Tokens that the teacher read to label, padding included.");
    this.batchBudget = counter("batch_budget_tokens_total", "Tokens that batches might have had.");
    this.batches = counter("batches_total", "Batches labelled.");
    this.batchSize =
        DistributionSummary.builder("batch_size")
            .description("Sequences of a batch.")
            .register(registry);
    this.batchTime = timer("batch_time", "From handing a batch out to having its labels, encoded.");
    this.answers = counter("answers_total", "Answers that the teacher wrote.");
    this.answersKnown = counter("answer_cache_hits_total", "Answers known from an equal prompt.");
    this.labelsKnown = counter("label_cache_hits_total", "Labels known from an equal sequence.");
    this.truncated = counter("truncated_total", "Labels of sequences that were cut at the limit.");
    this.transactions = counter("transactions_total", "Transactions committed.");
    this.transactionFailures =
        counter("transaction_failures_total", "Transactions not known to be committed.");
    this.transactionTime = timer("transaction_time", "Of a transaction, from its start.");
    this.latency = timer("label_latency", "From taking a record in to the commit of its labels.");
    gauge("requests_lag", "Requests in Kafka or under way.", requestsLag::get);
    gauge("rollouts_lag", "Rollouts in Kafka or under way.", rolloutsLag::get);
    gauge("in_flight", "Records taken in and not committed.", inFlight::get);
    gauge(
        "queue_age_seconds",
        "Age of the oldest record under way, since Kafka took it.",
        queueAge::get);
    gauge(
        "tokens_per_second", "Tokens scored a second, lately, padding left out.", scoredRate::get);
    gauge("generated_tokens_per_second", "Tokens of answers a second, lately.", generatedRate::get);
    gauge("batch_padding", "Share of the tokens read that were padding.", this::padding);
    gauge("batch_fill", "Share of their budget that batches had, padding included.", this::fill);
    for (String device : teacher.busyNanos().keySet()) {
      FunctionCounter.builder(
              "device_busy_seconds_total",
              teacher,
              t -> t.busyNanos().getOrDefault(device, 0L) / 1e9)
          .description("Time a device spent on labels.")
          .tag("device", device)
          .register(registry);
      FunctionCounter.builder(
              "device_tokens_total", teacher, t -> t.tokensScored().getOrDefault(device, 0L))
          .description("Tokens a device read to label, padding left out.")
          .tag("device", device)
          .register(registry);
    }
    this.windowStart = nanoTime.getAsLong();
    this.tickNanos = windowStart - TICK_NANOS;
  }

  private Counter counter(String name, String help) {
    return Counter.builder(name).description(help).register(registry);
  }

  private Timer timer(String name, String help) {
    return Timer.builder(name).description(help).register(registry);
  }

  private void gauge(String name, String help, Supplier<Number> value) {
    Gauge.builder(name, value).description(help).register(registry);
  }

  /** Share of the model's work that went into padding, 0 to 1. */
  private double padding() {
    double padded = paddedTokens.count();
    return padded == 0 ? 0 : 1 - scoredTokens.count() / padded;
  }

  /** Share of their budget that batches had, padding included, 0 to 1. */
  private double fill() {
    double most = batchBudget.count();
    return most == 0 ? 0 : paddedTokens.count() / most;
  }

  void received(long requestRecords) {
    requests.increment((double) requestRecords);
  }

  /** A batch that came back with labels, encoded. */
  void scored(Batch<?> batch, long nanos) {
    batches.increment();
    scoredTokens.increment((double) batch.tokens());
    paddedTokens.increment((double) batch.paddedTokens());
    // One sequence alone may be longer than the budget.
    batchBudget.increment((double) Math.max(budget, batch.paddedTokens()));
    batchSize.record(batch.items().size());
    batchTime.record(Duration.ofNanos(nanos));
  }

  void answered(boolean fromCache) {
    (fromCache ? answersKnown : answers).increment();
  }

  void labelsKnown() {
    labelsKnown.increment();
  }

  void committed(Work work) {
    work.committed();
    if (work.labels() == null) {
      Counter.builder("dead_letters_total")
          .description("Records that got no labels, by reason.")
          .tag("reason", work.reason())
          .register(registry)
          .increment();
      return;
    }
    latency.record(Duration.ofNanos(nanoTime.getAsLong() - work.receivedNanos()));
    (work.kind() == Kind.ROLLOUT ? rolloutsScored : labels).increment();
    labelBytes.increment(work.labels().length);
    labelledTokens.increment(work.task().sequence().rows());
    if (work.task().sequence().truncated()) {
      truncated.increment();
    }
  }

  void transaction(boolean committed, long nanos) {
    (committed ? transactions : transactionFailures).increment();
    transactionTime.record(Duration.ofNanos(nanos));
  }

  /** Brings gauges up to date, now and then; called each turn of the loop. */
  void tick(Intake<?> requestIntake, Intake<?> rolloutIntake, long tokensGenerated) {
    long now = nanoTime.getAsLong();
    if (now - tickNanos < TICK_NANOS) {
      return;
    }
    tickNanos = now;
    requestsLag.set(requestIntake.lag() + requestIntake.size());
    rolloutsLag.set(rolloutIntake.lag() + rolloutIntake.size());
    inFlight.set(requestIntake.size() + rolloutIntake.size());
    queueAge.set(
        Math.max(
            age(requestIntake.oldestTimestampMillis()),
            age(rolloutIntake.oldestTimestampMillis())));
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

  /** Seconds since Kafka took the record, by this machine's clock. */
  private static double age(OptionalLong timestampMillis) {
    return timestampMillis.isPresent()
        ? Math.max(0, System.currentTimeMillis() - timestampMillis.getAsLong()) / 1e3
        : 0;
  }
}
