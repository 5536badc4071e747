package io.reflux.monitor.view;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.schemas.service.RefluxException;
import java.time.Clock;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows the loop's own topics and the brokers' figures from their beginning, in its own two
 * threads, and answers {@link #state} at once at any time from any thread.
 *
 * <p>It joins no group and commits nothing: any number may look on. What it cannot read it counts
 * and passes over, as a view must not stop because of one record.
 */
public final class LoopView implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(LoopView.class);
  private static final Duration POLL = Duration.ofMillis(250);
  private static final Duration ASSIGN_EVERY = Duration.ofSeconds(5);
  private static final Duration RETRY = Duration.ofSeconds(1);
  private static final Duration CLOSE_LIMIT = Duration.ofSeconds(15);
  private static final Duration BROKERS_EVERY = Duration.ofSeconds(2);

  private final KafkaClients clients;
  private final Clock clock;
  private final LoopFold fold;
  private final Map<String, Feed<?>> feeds = new HashMap<>();
  private final CountDownLatch closing = new CountDownLatch(1);
  private final ExecutorService threads =
      Executors.newFixedThreadPool(
          2,
          task -> {
            Thread thread = new Thread(task, "loop-view");
            thread.setDaemon(true);
            return thread;
          });
  private volatile Consumer<String, byte[]> consumer;

  /** A topic's type and where its records go. */
  private record Feed<T extends SpecificRecord>(
      Topic<T> topic, java.util.function.Consumer<T> sink) {}

  /**
   * @param channel whose served version is shown, such as {@code stable}
   */
  public LoopView(KafkaClients clients, String channel, Clock clock) {
    this.clients = clients;
    this.clock = clock;
    this.fold = new LoopFold(channel);
    feed(Topics.STATUS, fold::status);
    feed(Topics.TRAINING_PROGRESS, fold::progress);
    feed(Topics.DRIFT_REPORTS, fold::report);
    feed(Topics.DRIFT_ALERTS, fold::alert);
    feed(Topics.SNAPSHOTS, fold::manifest);
    feed(Topics.SNAPSHOT_POINTERS, fold::pointer);
  }

  private <T extends SpecificRecord> void feed(
      Topic<T> topic, java.util.function.Consumer<T> sink) {
    feeds.put(topic.fullName(clients.kafka()), new Feed<>(topic, sink));
  }

  /** Begins to follow, in the background; topics that do not exist yet are looked for again. */
  public void start() {
    threads.execute(this::follow);
    threads.execute(this::watchBrokers);
  }

  /** The loop as far as it is known now. */
  public LoopState state() {
    return fold.state(clock.instant());
  }

  @Override
  public void close() {
    closing.countDown();
    threads.shutdown();
    Consumer<String, byte[]> current = consumer;
    if (current != null) {
      current.wakeup();
    }
    try {
      if (!threads.awaitTermination(CLOSE_LIMIT.toSeconds(), TimeUnit.SECONDS)) {
        threads.shutdownNow();
        log.warn("loop view: still closing after {}", CLOSE_LIMIT);
      }
    } catch (InterruptedException e) {
      threads.shutdownNow();
      Thread.currentThread().interrupt();
    }
  }

  private boolean closed() {
    return closing.getCount() == 0;
  }

  /** True as soon as the view is closed, false after the given time. */
  private boolean closedWithin(Duration time) {
    try {
      return closing.await(time.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return true;
    }
  }

  private void watchBrokers() {
    try (BrokerFigures figures = new BrokerFigures(clients, clock)) {
      do {
        try {
          figures.read(fold);
        } catch (InterruptException e) {
          return;
        } catch (KafkaException | RefluxException e) {
          log.warn("loop view: brokers: {}; trying again", e.toString());
        }
      } while (!closedWithin(BROKERS_EVERY));
    }
  }

  private void follow() {
    do {
      try (Consumer<String, byte[]> reader = clients.consumer("loop-view", null, Map.of())) {
        consumer = reader;
        while (!closed()) {
          assign(reader);
          pollForAWhile(reader);
        }
      } catch (WakeupException | InterruptException e) {
        return; // only close does that
      } catch (KafkaException | RefluxException e) {
        log.warn("loop view: {}; starting over", e.toString());
        fold.clear();
      }
    } while (!closedWithin(RETRY));
  }

  private void pollForAWhile(Consumer<String, byte[]> reader) {
    if (reader.assignment().isEmpty()) {
      closedWithin(RETRY);
      return;
    }
    long from = System.nanoTime();
    while (!closed() && System.nanoTime() - from < ASSIGN_EVERY.toNanos()) {
      reader.poll(POLL).forEach(this::take);
    }
  }

  private void assign(Consumer<String, byte[]> reader) {
    Set<TopicPartition> wanted = new HashSet<>(reader.assignment());
    for (String topic : feeds.keySet()) {
      List<PartitionInfo> known = reader.partitionsFor(topic);
      if (known != null) { // null: not created yet
        known.forEach(info -> wanted.add(new TopicPartition(info.topic(), info.partition())));
      }
    }
    if (!wanted.equals(reader.assignment())) {
      reader.assign(wanted);
    }
  }

  private void take(ConsumerRecord<String, byte[]> record) {
    take(feeds.get(record.topic()), record);
  }

  private <T extends SpecificRecord> void take(
      Feed<T> feed, ConsumerRecord<String, byte[]> record) {
    if (record.value() == null) {
      return; // a tombstone: the fold forgets by itself
    }
    try {
      feed.sink()
          .accept(clients.codec().decode(record.topic(), record.value(), feed.topic().type()));
    } catch (DecodeException e) {
      log.warn(
          "loop view: {}-{}@{}: {}",
          record.topic(),
          record.partition(),
          record.offset(),
          e.getMessage());
    }
  }
}
