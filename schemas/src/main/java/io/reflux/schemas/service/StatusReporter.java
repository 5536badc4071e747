package io.reflux.schemas.service;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.schemas.avro.ServiceStatus;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells the {@code status} topic each second what a service does. Never fails its service: while
 * Kafka or the registry is away the reports are lost, and one warning is logged.
 *
 * <p>Has its own daemon thread and producer. The first record goes out at once.
 */
public final class StatusReporter implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(StatusReporter.class);
  private static final Duration INTERVAL = Duration.ofSeconds(1);
  private static final Duration CLOSE_TIMEOUT = Duration.ofSeconds(5);

  /** A report that cannot go out soon is not worth keeping. */
  private static final Map<String, String> PRODUCER_SETTINGS =
      Map.of(
          "max.block.ms", "3000",
          "request.timeout.ms", "3000",
          "delivery.timeout.ms", "5000",
          "linger.ms", "0",
          "buffer.memory", Integer.toString(8 << 20));

  private record State(String name, String detail) {}

  private final String service;
  private final String instance;
  private final KafkaClients clients;
  private final MeterRegistry meters;
  private final Supplier<Producer<String, byte[]>> producers;
  private final Instant startedAt = Instant.now();
  private final ScheduledExecutorService scheduler;
  private volatile State state = new State("starting", "");
  private volatile boolean failing;

  // The scheduler's thread alone touches these.
  private Producer<String, byte[]> producer;
  private TopicWriter<ServiceStatus> writer;

  /**
   * Starts reporting, in state {@code starting}.
   *
   * @param service mirror, scorer, trainer, server, monitor
   * @param meters whose figures are reported; see {@link MeterFigures}
   */
  public StatusReporter(String service, KafkaClients clients, MeterRegistry meters) {
    this(service, clients, meters, () -> clients.producer("status-" + service, PRODUCER_SETTINGS));
  }

  StatusReporter(
      String service,
      KafkaClients clients,
      MeterRegistry meters,
      Supplier<Producer<String, byte[]>> producers) {
    this.producers = producers;
    this.service = service;
    this.clients = clients;
    this.meters = meters;
    this.instance =
        HostName.get()
            + "-"
            + ProcessHandle.current().pid()
            + "-"
            + UUID.randomUUID().toString().substring(0, 8);
    this.scheduler =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "status-" + service);
              thread.setDaemon(true);
              return thread;
            });
    var unused =
        scheduler.scheduleWithFixedDelay(
            this::report, 0, INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
  }

  /** Name of this run of the service, unique among all. */
  public String instance() {
    return instance;
  }

  /**
   * Says what the service does from now on; goes out at once.
   *
   * @param state starting, running, draining, stopped, failed
   * @param detail one line for people
   */
  public void state(String state, String detail) {
    this.state = new State(state, detail);
    try {
      scheduler.execute(this::report);
    } catch (RejectedExecutionException e) {
      LOG.debug("{} is {} after its reporter was closed", service, state);
    }
  }

  /** Reports {@code stopped}, or {@code failed} if that was the last state, and ends. */
  @Override
  public void close() {
    if (scheduler.isShutdown()) {
      return;
    }
    State last = state;
    if (!last.name().equals("failed")) {
      state = new State("stopped", last.detail());
    }
    scheduler.execute(this::report);
    scheduler.execute(this::closeProducer);
    scheduler.shutdown();
    try {
      if (!scheduler.awaitTermination(
          CLOSE_TIMEOUT.multipliedBy(2).toMillis(), TimeUnit.MILLISECONDS)) {
        scheduler.shutdownNow();
      }
    } catch (InterruptedException e) {
      scheduler.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }

  private void report() {
    try {
      if (producer == null) {
        producer = producers.get();
        writer = clients.writer(Topics.STATUS, producer);
      }
      var unused =
          writer
              .send(service + "/" + instance, status())
              .whenComplete((sent, error) -> reported(error));
    } catch (RefluxException | KafkaException e) {
      reported(e);
    }
  }

  private ServiceStatus status() {
    State now = state;
    return ServiceStatus.newBuilder()
        .setService(service)
        .setInstance(instance)
        .setAt(Instant.now())
        .setStartedAt(startedAt)
        .setState(now.name())
        .setDetail(now.detail())
        .setMetrics(MeterFigures.of(meters))
        .build();
  }

  private void reported(Throwable error) {
    if (error == null) {
      failing = false;
    } else if (!failing) {
      failing = true;
      LOG.warn("Status of {} is not reported for now: {}", service, error.getMessage());
    }
  }

  private void closeProducer() {
    if (producer != null) {
      producer.close(CLOSE_TIMEOUT);
    }
  }
}
