package io.reflux.schemas.kafka;

import org.apache.kafka.common.TopicPartition;

/**
 * A decoded record and where it was.
 *
 * @param timestampMillis the record's Kafka timestamp, milliseconds since the epoch
 * @param key the record's key, or null
 */
public record Received<T>(
    String topic, int partition, long offset, long timestampMillis, String key, T value) {

  /** The partition that the record was read from. */
  public TopicPartition topicPartition() {
    return new TopicPartition(topic, partition);
  }

  /** Coordinates for messages: {@code topic-partition@offset}. */
  public String coordinates() {
    return topic + "-" + partition + "@" + offset;
  }
}
