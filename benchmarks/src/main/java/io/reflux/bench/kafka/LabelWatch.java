package io.reflux.bench.kafka;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;

/**
 * Counts committed labels and dead letters as they come, without looking into them: a watch must
 * not take the time of what it watches.
 */
public final class LabelWatch implements AutoCloseable {
  private static final Duration POLL = Duration.ofSeconds(1);

  private final String deadLettersTopic;
  private final Consumer<String, byte[]> consumer;
  private final Thread thread;
  private final CountDownLatch positioned = new CountDownLatch(1);
  private RuntimeException failure;
  private boolean closing;
  private long labels;
  private long labelBytes;
  private long deadLetters;
  private long lastLabelNanos;
  private long newestSentMillis = Long.MIN_VALUE;
  private long newestSeenNanos;

  private LabelWatch(KafkaClients clients) {
    deadLettersTopic = Topics.DEAD_LETTERS.fullName(clients.kafka());
    // Up to a second on the broker, and back at once when a transaction is committed.
    consumer = clients.consumer("bench-watch", null, Map.of("fetch.max.wait.ms", "1000"));
    String labelsTopic = Topics.SOFT_LABELS.fullName(clients.kafka());
    List<TopicPartition> partitions =
        Stream.concat(
                partitions(labelsTopic, Topics.SOFT_LABELS.partitions()),
                partitions(deadLettersTopic, Topics.DEAD_LETTERS.partitions()))
            .toList();
    consumer.assign(partitions);
    thread = new Thread(this::watch, "bench-watch");
    thread.setDaemon(true);
  }

  /** Watches from the first record on. */
  public static LabelWatch start(KafkaClients clients) throws InterruptedException {
    LabelWatch watch = new LabelWatch(clients);
    watch.thread.start();
    watch.positioned.await();
    return watch;
  }

  /**
   * Waits until so many labels and dead letters have come in all.
   *
   * @return false when they have not within the time
   */
  public boolean await(long records, Duration timeout) throws InterruptedException {
    return await(() -> labels + deadLetters >= records, timeout);
  }

  /**
   * Waits for a label that was written after a moment.
   *
   * @param millis since the epoch
   * @return when the first such label was seen, as {@link System#nanoTime}; or -1 after the timeout
   */
  public synchronized long awaitLabelSince(long millis, Duration timeout)
      throws InterruptedException {
    return await(() -> newestSentMillis >= millis, timeout) ? newestSeenNanos : -1;
  }

  /** Labels so far. */
  public synchronized long labels() {
    return labels;
  }

  /** Bytes of the labels' records so far. */
  public synchronized long labelBytes() {
    return labelBytes;
  }

  /** Dead letters so far. */
  public synchronized long deadLetters() {
    return deadLetters;
  }

  /** When the last label was seen, as {@link System#nanoTime}. */
  public synchronized long lastLabelNanos() {
    return lastLabelNanos;
  }

  @Override
  public void close() throws InterruptedException {
    synchronized (this) {
      closing = true;
    }
    consumer.wakeup();
    thread.join();
    consumer.close();
  }

  private synchronized boolean await(BooleanSupplier met, Duration timeout)
      throws InterruptedException {
    long deadline = System.nanoTime() + timeout.toNanos();
    while (!met.getAsBoolean()) {
      if (failure != null) {
        throw new RefluxException(
            "bench: watching labels failed: " + failure.getMessage(), failure);
      }
      long left = deadline - System.nanoTime();
      if (left <= 0) {
        return false;
      }
      wait(left / 1_000_000, (int) (left % 1_000_000));
    }
    return true;
  }

  private void watch() {
    try {
      consumer.seekToBeginning(consumer.assignment());
      consumer.assignment().forEach(consumer::position);
      positioned.countDown();
      while (!isClosing()) {
        take(consumer.poll(POLL));
      }
    } catch (WakeupException e) {
      // Only close does this.
    } catch (KafkaException e) {
      synchronized (this) {
        failure = e;
        notifyAll();
      }
    } finally {
      positioned.countDown();
    }
  }

  private synchronized boolean isClosing() {
    return closing;
  }

  private synchronized void take(ConsumerRecords<String, byte[]> records) {
    long now = System.nanoTime();
    for (ConsumerRecord<String, byte[]> record : records) {
      if (record.topic().equals(deadLettersTopic)) {
        deadLetters++;
        continue;
      }
      labels++;
      labelBytes += record.serializedValueSize();
      lastLabelNanos = now;
      if (record.timestamp() > newestSentMillis) {
        newestSentMillis = record.timestamp();
        newestSeenNanos = now;
      }
    }
    notifyAll();
  }

  private static Stream<TopicPartition> partitions(String topic, int count) {
    return IntStream.range(0, count).mapToObj(partition -> new TopicPartition(topic, partition));
  }
}
