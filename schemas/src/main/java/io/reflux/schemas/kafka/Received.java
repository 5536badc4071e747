package io.reflux.schemas.kafka;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Headers;

/**
 * A decoded record and where it was.
 *
 * @param timestampMillis the record's Kafka timestamp, milliseconds since the epoch
 * @param key the record's key, or null
 * @param headers as the writer gave them, read-only; of a record in pieces those of its first
 *     piece, without what says that it is one
 */
public record Received<T>(
    String topic,
    int partition,
    long offset,
    long timestampMillis,
    String key,
    T value,
    Headers headers) {

  /** A record without headers. */
  public Received(
      String topic, int partition, long offset, long timestampMillis, String key, T value) {
    this(topic, partition, offset, timestampMillis, key, value, RecordHeadersCopy.NONE);
  }

  /** The partition that the record was read from. */
  public TopicPartition topicPartition() {
    return new TopicPartition(topic, partition);
  }

  /** Coordinates for messages: {@code topic-partition@offset}. */
  public String coordinates() {
    return topic + "-" + partition + "@" + offset;
  }
}
