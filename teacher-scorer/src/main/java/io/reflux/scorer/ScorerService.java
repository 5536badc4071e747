package io.reflux.scorer;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.model.ModelException;
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
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
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
  private static final Duration FIRST_RETRY = Duration.ofMillis(200);
  private static final Duration LONGEST_RETRY = Duration.ofSeconds(5);

  private final ScorerConfig config;
  private final KafkaClients clients;
  private final MeterRegistry meters;
  private final CompletableFuture<Void> termination = new CompletableFuture<>();
  private final CountDownLatch stop = new CountDownLatch(1);
  private Thread thread;
  private StatusReporter status;

  public ScorerService(ScorerConfig config, KafkaClients clients, MeterRegistry meters) {
    this.config = config;
    this.clients = clients;
    this.meters = meters;
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
    requirePositive("batch-tokens", config.batchTokens());
    requirePositive("max-in-flight", config.maxInFlight());
    clients.requireReachable(REACHABLE_WITHIN);
    Teacher teacher = openTeacher();
    status = new StatusReporter(name(), clients, meters);
    status.state("starting", "");
    CompletableFuture<Void> started = new CompletableFuture<>();
    thread = new Thread(() -> run(teacher, started), "reflux-scorer");
    thread.setDaemon(true);
    thread.start();
    try {
      started.join();
    } catch (CompletionException e) {
      status.close();
      if (e.getCause() instanceof RefluxException refluxException) {
        throw refluxException;
      }
      throw new RefluxException("scorer: " + e.getCause().getMessage(), e.getCause());
    }
    status.state("running", detail());
  }

  private String detail() {
    return "teacher " + config.teacher().orElseThrow();
  }

  @Override
  public CompletionStage<Void> termination() {
    return termination;
  }

  @Override
  public synchronized void close() {
    stop.countDown();
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
    }
    termination.complete(null);
  }

  private Teacher openTeacher() {
    try {
      return Teacher.open(config);
    } catch (ModelException e) {
      throw new RefluxException("reflux.score.teacher: " + e.getMessage(), e);
    }
  }

  private void run(Teacher teacher, CompletableFuture<Void> started) {
    String instance =
        config.instance().orElseGet(() -> UUID.randomUUID().toString().substring(0, 8));
    try (teacher;
        Intake<MirroredRequest> requests = intake(Topics.REQUESTS, instance);
        Intake<Rollout> rollouts = intake(Topics.ROLLOUTS, instance);
        LabelTransactions transactions =
            new LabelTransactions(
                clients, teacher, config.group() + "-" + instance, config.transactionTimeout())) {
      transactions.open();
      ScorerMeters counts = new ScorerMeters(meters, System::nanoTime);
      ScoringLoop loop = new ScoringLoop(teacher, requests, rollouts, transactions, counts, config);
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
      status.state("failed", String.valueOf(cause.getMessage()));
    }
    termination.completeExceptionally(cause);
  }

  private void work(ScoringLoop loop) throws InterruptedException {
    Duration retry = FIRST_RETRY;
    boolean startOver = false;
    while (stop.getCount() > 0) {
      try {
        if (startOver) {
          loop.startOver();
          startOver = false;
        }
        loop.turn(true);
        if (!retry.equals(FIRST_RETRY)) {
          retry = FIRST_RETRY;
          status.state("running", detail());
        }
      } catch (KafkaException | RegistryException e) {
        refuseIfHopeless(e);
        log.warn("scorer starts over from the committed offsets: {}", e.toString());
        status.state("running", "waiting for Kafka and the registry: " + e.getMessage());
        startOver = true;
        if (stop.await(retry.toMillis(), TimeUnit.MILLISECONDS)) {
          return;
        }
        Duration doubled = retry.multipliedBy(2);
        retry = doubled.compareTo(LONGEST_RETRY) < 0 ? doubled : LONGEST_RETRY;
      }
    }
  }

  /** Goes on with what was taken in, for a while; the rest is read again by the next start. */
  private void drain(ScoringLoop loop) throws InterruptedException {
    long deadline = System.nanoTime() + config.drainTimeout().toNanos();
    try {
      while (!loop.isEmpty() && System.nanoTime() < deadline) {
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

  private <T extends SpecificRecord> Intake<T> intake(Topic<T> topic, String instance) {
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
    return new Intake<>(reader, config.maxInFlight());
  }

  private static void requirePositive(String key, int value) {
    if (value < 1) {
      throw new RefluxException("reflux.score." + key + ": " + value + " (expected: 1 or more)");
    }
  }
}
