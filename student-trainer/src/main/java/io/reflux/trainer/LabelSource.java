package io.reflux.trainer;

import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;

/**
 * All partitions of one topic of labels, from stored offsets on. Offsets are the caller's to keep:
 * nothing is committed to Kafka, whose commits could not be one with a checkpoint.
 */
final class LabelSource implements AutoCloseable {
  private static final Duration WAIT_FOR_TOPIC = Duration.ofSeconds(10);
  private static final Duration ASK_AGAIN = Duration.ofMillis(100);

  private final TopicReader<SoftLabels> reader;
  private final String topic;
  private final Map<String, Long> offsets = new HashMap<>();

  /**
   * @param stored next offsets by {@code topic-partition}; partitions without one start at their
   *     beginning
   */
  LabelSource(
      KafkaClients clients, Topic<SoftLabels> topic, String clientId, Map<String, Long> stored) {
    this.topic = topic.fullName(clients.kafka());
    this.reader = clients.reader(topic, clients.consumer(clientId, null, Map.of()));
    boolean assigned = false;
    try {
      requireTopic();
      reader.assignAll();
      for (TopicPartition partition : reader.consumer().assignment()) {
        Long offset = stored.get(partition.toString());
        if (offset != null) {
          reader.consumer().seek(partition, offset);
          offsets.put(partition.toString(), offset);
        }
      }
      assigned = true;
    } finally {
      if (!assigned) {
        reader.close();
      }
    }
  }

  /** A topic that was made a moment ago may not have reached the broker that is asked. */
  private void requireTopic() {
    long end = System.nanoTime() + WAIT_FOR_TOPIC.toNanos();
    boolean found = false;
    while (!found) {
      List<PartitionInfo> partitions = reader.consumer().partitionsFor(topic);
      found =
          partitions != null
              && !partitions.isEmpty()
              && partitions.stream().allMatch(partition -> partition.leader() != null);
      if (!found && System.nanoTime() > end) {
        throw new RefluxException(
            "Topic %s: not there (expected: created before, see reflux topics create)"
                .formatted(topic));
      }
      if (!found) {
        LockSupport.parkNanos(ASK_AGAIN.toNanos());
      }
    }
  }

  List<Received<SoftLabels>> poll(Duration timeout, Consumer<Undecodable> undecodable) {
    return reader.poll(timeout, undecodable);
  }

  /** Next offsets: everything before them was handed out. */
  Map<String, Long> offsets() {
    reader
        .positions()
        .forEach((partition, next) -> offsets.put(partition.toString(), next.offset()));
    return Map.copyOf(offsets);
  }

  /** Records that wait in Kafka, as far as the consumer knows. */
  long lag() {
    long lag = 0;
    for (TopicPartition partition : reader.consumer().assignment()) {
      lag += reader.consumer().currentLag(partition).orElse(0);
    }
    return lag;
  }

  @Override
  public void close() {
    reader.close();
  }
}
