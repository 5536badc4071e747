package io.reflux.snapshots;

import io.reflux.schemas.kafka.KafkaClients;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InterruptException;

/** Reads a known stretch of a topic, then stops. */
final class TopicScan {
  /** Short: at the end of a topic there may be a transaction's marker alone, which ends no poll. */
  private static final Duration POLL = Duration.ofMillis(20);

  private static final Duration TOPIC_PATIENCE = Duration.ofSeconds(10);
  private static final Duration RETRY_PAUSE = Duration.ofMillis(10);

  /** Without any progress for this long the broker is taken to be gone. */
  private static final Duration STALL_LIMIT = Duration.ofSeconds(30);

  /** Chunks are large: few a poll keep memory small, several a fetch keep it fast. */
  private static final Map<String, String> CONSUMER_SETTINGS =
      Map.of(
          "max.partition.fetch.bytes",
          Integer.toString(8 << 20),
          "max.poll.records",
          "64",
          "fetch.max.wait.ms",
          "20");

  private TopicScan() {}

  /** All partitions of a topic, from the first record to the last committed one. */
  static void whole(
      KafkaClients clients,
      String topic,
      java.util.function.Consumer<ConsumerRecord<String, byte[]>> each) {
    try (Consumer<String, byte[]> consumer = open(clients)) {
      List<TopicPartition> partitions = partitions(consumer, topic);
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      read(
          consumer,
          consumer.endOffsets(partitions),
          record -> {
            each.accept(record);
            return true;
          });
    } catch (KafkaException e) {
      throw failure(topic, e);
    }
  }

  /**
   * Part of a partition.
   *
   * @param from first offset wanted; earlier records that retention has removed are passed over
   * @param to last offset wanted; beyond the end of the partition the scan stops there
   * @param each returns whether to go on
   */
  static void range(
      KafkaClients clients,
      TopicPartition partition,
      long from,
      long to,
      Predicate<ConsumerRecord<String, byte[]>> each) {
    try (Consumer<String, byte[]> consumer = open(clients)) {
      List<TopicPartition> one = List.of(partition);
      consumer.assign(one);
      long begin = consumer.beginningOffsets(one).get(partition);
      long end = consumer.endOffsets(one).get(partition);
      consumer.seek(partition, Math.min(Math.max(from, begin), end));
      long limit = to >= end ? end : to + 1;
      read(consumer, Map.of(partition, limit), each);
    } catch (KafkaException e) {
      throw failure(partition.topic(), e);
    }
  }

  static List<TopicPartition> partitions(KafkaClients clients, String topic) {
    try (Consumer<String, byte[]> consumer = open(clients)) {
      return partitions(consumer, topic);
    } catch (KafkaException e) {
      throw failure(topic, e);
    }
  }

  /**
   * A topic that was made a moment ago is not known to every broker yet, so it may take a while.
   */
  static List<TopicPartition> partitions(Consumer<String, byte[]> consumer, String topic) {
    long began = System.nanoTime();
    while (true) {
      List<PartitionInfo> found = consumer.partitionsFor(topic);
      if (found != null && !found.isEmpty()) {
        return found.stream().map(info -> new TopicPartition(topic, info.partition())).toList();
      }
      if (System.nanoTime() - began > TOPIC_PATIENCE.toNanos()) {
        throw new SnapshotException(
            SnapshotException.Kind.KAFKA,
            "topic " + topic + ": missing (expected: made by reflux topics create)");
      }
      pause();
    }
  }

  /**
   * Returns once readers of committed records see a committed one: the broker marks a transaction
   * as committed a moment after it has told the producer so.
   */
  static void awaitVisible(KafkaClients clients, RecordMetadata record) {
    TopicPartition partition = new TopicPartition(record.topic(), record.partition());
    long began = System.nanoTime();
    try (Consumer<String, byte[]> consumer = open(clients)) {
      while (consumer.endOffsets(List.of(partition)).get(partition) <= record.offset()) {
        if (System.nanoTime() - began > STALL_LIMIT.toNanos()) {
          throw new SnapshotException(
              SnapshotException.Kind.KAFKA,
              partition
                  + "@"
                  + record.offset()
                  + ": committed, but not visible after "
                  + STALL_LIMIT.toSeconds()
                  + " s (expected: no older transaction left open)");
        }
        pause();
      }
    } catch (KafkaException e) {
      throw failure(record.topic(), e);
    }
  }

  private static void pause() {
    LockSupport.parkNanos(RETRY_PAUSE.toNanos());
    if (Thread.currentThread().isInterrupted()) {
      throw new InterruptException("interrupted");
    }
  }

  static SnapshotException failure(String topic, KafkaException e) {
    return new SnapshotException(
        SnapshotException.Kind.KAFKA, "topic " + topic + ": " + e.getMessage(), e);
  }

  private static Consumer<String, byte[]> open(KafkaClients clients) {
    return clients.consumer("snapshot-reader", null, CONSUMER_SETTINGS);
  }

  private static void read(
      Consumer<String, byte[]> consumer,
      Map<TopicPartition, Long> ends,
      Predicate<ConsumerRecord<String, byte[]>> each) {
    long lastProgress = System.nanoTime();
    while (!reached(consumer, ends)) {
      ConsumerRecords<String, byte[]> records = consumer.poll(POLL);
      for (ConsumerRecord<String, byte[]> record : records) {
        TopicPartition partition = new TopicPartition(record.topic(), record.partition());
        if (record.offset() < ends.get(partition) && !each.test(record)) {
          return;
        }
      }
      long now = System.nanoTime();
      if (!records.isEmpty()) {
        lastProgress = now;
      } else if (now - lastProgress > STALL_LIMIT.toNanos()) {
        throw new SnapshotException(
            SnapshotException.Kind.KAFKA,
            "topic "
                + ends.keySet().iterator().next().topic()
                + ": no record for "
                + STALL_LIMIT.toSeconds()
                + " s (expected: records up to "
                + ends
                + ")");
      }
    }
  }

  private static boolean reached(
      Consumer<String, byte[]> consumer, Map<TopicPartition, Long> ends) {
    return allReached(consumer, ends.keySet(), ends);
  }

  /** Positions also pass transaction markers, which are no records. */
  static boolean allReached(
      Consumer<String, byte[]> consumer,
      Collection<TopicPartition> partitions,
      Map<TopicPartition, Long> ends) {
    return partitions.stream()
        .allMatch(partition -> consumer.position(partition) >= ends.get(partition));
  }
}
