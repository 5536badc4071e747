package io.reflux.scorer;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.model.ModelException;
import io.reflux.operations.Health;
import io.reflux.operations.OperationsServer;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.schemas.service.StatusReporter;
import io.reflux.scorer.Batcher.Kind;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The teacher scorer: soft labels for every mirrored request and every rollout, exactly one each.
 *
 * <p>Instances of one group share the partitions. When Kafka or the registry is away it waits and
 * tries again; what was under way is then read again from the committed offsets.
 */
public final class ScorerService implements Service {
  private static final Logger log = LoggerFactory.getLogger(ScorerService.class);
  private static final Duration REACHABLE_WITHIN = Duration.ofSeconds(30);

  /** Kafka too gives a member up that has not polled for so long. */
  private static final Duration STUCK_AFTER = Duration.ofMinutes(5);

  private static final Duration STUCK_CHECK = Duration.ofSeconds(10);
  private static final String TEACHER = "teacher";
  private static final String KAFKA = "kafka";

  private final ScorerConfig config;
  private final KafkaClients clients;
  private final MeterRegistry meters;
  private final Supplier<Teacher> teachers;
  private final CompletableFuture<Void> termination = new CompletableFuture<>();
  private final CountDownLatch stop = new CountDownLatch(1);
  private final Health health = Health.waitingFor(TEACHER, KAFKA);
  private volatile long lastTurnNanos;
  private String waitingFor = "";
  private Thread thread;
  private StatusReporter status;
  private OperationsServer operations;
  private ScheduledExecutorService watch;

  /**
   * @param meters the service's own; shown at {@code /metrics} if they are for Prometheus
   */
  public ScorerService(ScorerConfig config, KafkaClients clients, MeterRegistry meters) {
    this(config, clients, meters, () -> Teacher.open(config));
  }

  /**
   * @param teachers opens the teacher, which this closes
   */
  ScorerService(
      ScorerConfig config, KafkaClients clients, MeterRegistry meters, Supplier<Teacher> teachers) {
    this.config = config;
    this.clients = clients;
    this.meters = meters;
    this.teachers = teachers;
  }

  @Override
  public String name() {
    return "scorer";
  }

  @Override
  public synchronized void start() {
    if (thread != null || stop.getCount() == 0) {
      throw new IllegalStateException("scorer: started or closed already");
    }
    requireSane();
    operations = OperationsServer.start(config.http().host(), config.http().port(), meters, health);
    boolean running = false;
    try {
      clients.requireReachable(REACHABLE_WITHIN);
      Teacher teacher = openTeacher();
      health.ready(TEACHER);
      status = new StatusReporter(name(), clients, meters);
      status.state("starting", "");
      CompletableFuture<Void> started = new CompletableFuture<>();
      lastTurnNanos = System.nanoTime();
      thread = new Thread(() -> run(teacher, started), "reflux-scorer");
      thread.setDaemon(true);
      thread.start();
      await(started);
      running = true;
    } finally {
      if (!running) {
        if (status != null) {
          status.close();
        }
        operations.close();
      }
    }
    watch =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread made = new Thread(task, "reflux-scorer-watch");
              made.setDaemon(true);
              return made;
            });
    var unused =
        watch.scheduleWithFixedDelay(
            this::failIfStuck,
            STUCK_CHECK.toMillis(),
            STUCK_CHECK.toMillis(),
            TimeUnit.MILLISECONDS);
  }

  private static void await(CompletableFuture<Void> started) {
    try {
      started.join();
    } catch (CompletionException e) {
      if (e.getCause() instanceof RefluxException refluxException) {
        throw refluxException;
      }
      throw new RefluxException("scorer: " + e.getCause().getMessage(), e.getCause());
    }
  }

  /** Whether the teacher is loaded and can be asked, and the group has taken this instance in. */
  public boolean ready() {
    return health.isReady();
  }

  /** Whether it has not failed for good. */
  public boolean live() {
    return health.failure().isEmpty();
  }

  /** Where metrics and health are, after {@link #start}; negative when nowhere. */
  public synchronized int port() {
    return operations.port();
  }

  private void failIfStuck() {
    Duration quiet = Duration.ofNanos(System.nanoTime() - lastTurnNanos);
    if (thread.isAlive() && quiet.compareTo(STUCK_AFTER) > 0) {
      health.failed("the loop has not turned for " + quiet.toSeconds() + " s");
    }
  }

  private String detail() {
    return "teacher "
        + config.remote().url().or(() -> config.teacher().map(Path::toString)).orElse("");
  }

  @Override
  public CompletionStage<Void> termination() {
    return termination;
  }

  @Override
  public synchronized void close() {
    stop.countDown();
    health.notReady("service", "draining");
    if (watch != null) {
      watch.shutdownNow();
    }
    if (thread != null) {
      boolean interrupted = false;
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      status.close();
      operations.close();
    }
    termination.complete(null);
  }

  private Teacher openTeacher() {
    try {
      return teachers.get();
    } catch (ModelException e) {
      throw new RefluxException("reflux.score.teacher: " + e.getMessage(), e);
    }
  }

  private void run(Teacher teacher, CompletableFuture<Void> started) {
    String instance =
        config.instance().orElseGet(() -> UUID.randomUUID().toString().substring(0, 8));
    try (teacher;
        Intake<MirroredRequest> requests = intake(Kind.REQUEST, Topics.REQUESTS, instance);
        Intake<Rollout> rollouts = intake(Kind.ROLLOUT, Topics.ROLLOUTS, instance);
        LabelTransactions transactions =
            new LabelTransactions(
                clients, teacher, config.group() + "-" + instance, config.transactionTimeout())) {
      transactions.open();
      ScorerMeters counts =
          new ScorerMeters(meters, teacher, config.batchTokens(), System::nanoTime);
      ScoringLoop loop =
          new ScoringLoop(
              teacher, requests, rollouts, transactions, counts, config, System::nanoTime);
      status.state("running", detail());
      started.complete(null);
      work(loop);
      drain(loop);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      fail(started, new RefluxException("scorer: interrupted", e));
    } catch (RuntimeException | Error e) {
      fail(started, e);
    }
  }

  private void fail(CompletableFuture<Void> started, Throwable cause) {
    if (!started.completeExceptionally(cause)) {
      log.error("scorer failed", cause);
      health.failed(String.valueOf(cause.getMessage()));
      status.state("failed", String.valueOf(cause.getMessage()));
    }
    termination.completeExceptionally(cause);
  }

  private void work(ScoringLoop loop) throws InterruptedException {
    Backoff backoff = new Backoff(new SplittableRandom());
    boolean startOver = false;
    while (stop.getCount() > 0) {
      lastTurnNanos = System.nanoTime();
      try {
        if (startOver) {
          loop.startOver();
          startOver = false;
        }
        loop.turn(true);
        if (loop.isGettingOn()) {
          backoff.reset();
        }
        tell(loop);
      } catch (KafkaException | RegistryException e) {
        refuseIfHopeless(e);
        log.warn("scorer starts over from the committed offsets: {}", e.toString());
        health.notReady(KAFKA, Failures.oneLine(e));
        waiting("waiting for Kafka and the registry: " + Failures.oneLine(e));
        startOver = true;
        if (stop.await(backoff.next().toMillis(), TimeUnit.MILLISECONDS)) {
          return;
        }
      }
    }
  }

  /** Says what the loop waits for, when that has changed. */
  private void tell(ScoringLoop loop) {
    if (loop.isInGroup()) {
      health.ready(KAFKA);
    } else {
      health.notReady(KAFKA, "not in the consumer groups yet");
    }
    Optional<String> away = loop.waitingForTeacher();
    away.ifPresentOrElse(why -> health.notReady(TEACHER, why), () -> health.ready(TEACHER));
    waiting(away.map(why -> "waiting for the teacher: " + why).orElse(""));
  }

  private void waiting(String what) {
    if (!what.equals(waitingFor)) {
      waitingFor = what;
      status.state("running", what.isEmpty() ? detail() : what);
    }
  }

  /** Goes on with what was taken in, for a while; the rest is read again by the next start. */
  private void drain(ScoringLoop loop) throws InterruptedException {
    long deadline = System.nanoTime() + config.drainTimeout().toNanos();
    try {
      while (!loop.isEmpty()
          && loop.waitingForTeacher().isEmpty()
          && System.nanoTime() - deadline < 0) {
        lastTurnNanos = System.nanoTime();
        loop.turn(false);
      }
    } catch (KafkaException | RegistryException e) {
      log.warn("scorer closes with work undone, which the next start takes up: {}", e.toString());
    }
  }

  /** What no waiting will mend. */
  private void refuseIfHopeless(RuntimeException e) {
    if (e instanceof AuthorizationException) {
      throw new RefluxException("scorer: not allowed by Kafka: " + e.getMessage(), e);
    }
    boolean fenced =
        e instanceof ProducerFencedException
            || e instanceof InvalidProducerEpochException
            || e instanceof FencedInstanceIdException;
    if (fenced && config.instance().isPresent()) {
      throw new RefluxException(
          "reflux.score.instance: "
              + config.instance().get()
              + " was taken over by another scorer (expected: a name that no other has)",
          e);
    }
  }

  private <T extends SpecificRecord> Intake<T> intake(Kind kind, Topic<T> topic, String instance) {
    Map<String, String> settings = new HashMap<>();
    settings.put("max.poll.records", Integer.toString(Math.min(64, config.maxInFlight())));
    // A change of the group then costs only the work of partitions that move.
    settings.put("partition.assignment.strategy", CooperativeStickyAssignor.class.getName());
    config
        .instance()
        .ifPresent(name -> settings.put("group.instance.id", name + "-" + topic.name()));
    TopicReader<T> reader =
        clients.reader(
            topic,
            clients.consumer(
                "reflux-scorer-" + instance + "-" + topic.name(),
                config.group() + "-" + topic.name(),
                settings));
    return new Intake<>(
        kind, reader, config.maxInFlight(), config.maxInFlightTokens(), System::nanoTime);
  }

  private void requireSane() {
    require(config.batchTokens() >= 1, "batch-tokens", config.batchTokens(), "1 or more");
    require(config.maxInFlight() >= 1, "max-in-flight", config.maxInFlight(), "1 or more");
    require(
        config.maxInFlightTokens() >= 1,
        "max-in-flight-tokens",
        config.maxInFlightTokens(),
        "1 or more");
    require(config.cacheBytes() >= 0, "cache-bytes", config.cacheBytes(), "0 or more");
    require(!config.batchDelay().isNegative(), "batch-delay", config.batchDelay(), "0 or more");
    require(
        !config.commitInterval().isNegative()
            && config.commitInterval().compareTo(config.transactionTimeout()) < 0,
        "commit-interval",
        config.commitInterval(),
        "0 or more, below transaction-timeout");
  }

  private static void require(boolean holds, String key, Object value, String expected) {
    if (!holds) {
      throw new RefluxException(
          "reflux.score." + key + ": " + value + " (expected: " + expected + ")");
    }
  }
}
