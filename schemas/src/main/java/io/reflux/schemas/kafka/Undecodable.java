package io.reflux.schemas.kafka;

import org.apache.kafka.common.header.Headers;

/**
 * A record that could not be read, now or later.
 *
 * @param offset of the record, or of the first piece seen of a record in pieces
 * @param key the record's key, or null
 * @param value as it stood, or null; of a record in pieces what was put together so far
 * @param reason short and countable, such as {@code bad_magic} or {@code incomplete_chunks}
 * @param message one line for people
 * @param headers as {@link Received#headers}
 */
@SuppressWarnings("ArrayRecordComponent") // a carrier; nothing compares or keeps it
public record Undecodable(
    String topic,
    int partition,
    long offset,
    String key,
    byte[] value,
    String reason,
    String message,
    Headers headers) {

  /** A record without headers. */
  public Undecodable(
      String topic,
      int partition,
      long offset,
      String key,
      byte[] value,
      String reason,
      String message) {
    this(topic, partition, offset, key, value, reason, message, RecordHeadersCopy.NONE);
  }

  /** Coordinates for messages: {@code topic-partition@offset}. */
  public String coordinates() {
    return topic + "-" + partition + "@" + offset;
  }

  @Override
  public String toString() {
    return coordinates() + ": " + reason + ": " + message;
  }
}
