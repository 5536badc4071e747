package io.reflux.schemas.kafka;

import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.registry.RecordCodec;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Arrays;
import java.util.concurrent.CompletableFuture;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Headers;

/**
 * Where a service puts records that it could not use, whole and with the reason. A letter carries
 * the record's trace context.
 */
public final class DeadLetters {
  /** Most bytes kept of a record's value. */
  public static final int MAX_VALUE_BYTES = 512 << 10;

  private final String service;
  private final RecordCodec codec;
  private final TopicWriter<DeadLetter> writer;

  /**
   * @param service the name that the letters carry
   * @param producer owned by the caller; with a transactional one the letter is part of the
   *     caller's transaction
   */
  public DeadLetters(String service, KafkaClients clients, Producer<String, byte[]> producer) {
    this.service = service;
    this.codec = clients.codec();
    this.writer = clients.writer(Topics.DEAD_LETTERS, producer);
  }

  /** A record that could not be read. */
  public CompletableFuture<RecordMetadata> send(Undecodable record, int attempts) {
    return send(
        record.topic(),
        record.partition(),
        record.offset(),
        record.key(),
        record.value() == null ? new byte[0] : record.value(),
        record.reason(),
        record.message(),
        attempts,
        record.headers());
  }

  /**
   * A record that was read but could not be used; its value is encoded again.
   *
   * @param reason short and countable, such as {@code tokenizer_mismatch}
   * @param message one line for people
   * @param attempts tries before giving up
   */
  public CompletableFuture<RecordMetadata> send(
      Received<? extends SpecificRecord> original, String reason, String message, int attempts) {
    byte[] value = codec.encode(original.topic(), original.value());
    return send(original, value, reason, message, attempts);
  }

  /** As above, with the value's bytes at hand. */
  public CompletableFuture<RecordMetadata> send(
      Received<?> original, byte[] value, String reason, String message, int attempts) {
    return send(
        original.topic(),
        original.partition(),
        original.offset(),
        original.key(),
        value,
        reason,
        message,
        attempts,
        original.headers());
  }

  private CompletableFuture<RecordMetadata> send(
      String topic,
      int partition,
      long offset,
      String key,
      byte[] value,
      String reason,
      String message,
      int attempts,
      Headers headers) {
    DeadLetter letter =
        DeadLetter.newBuilder()
            .setService(service)
            .setTopic(topic)
            .setPartition(partition)
            .setOffset(offset)
            .setKey(key)
            .setValue(
                ByteBuffer.wrap(Arrays.copyOf(value, Math.min(value.length, MAX_VALUE_BYTES))))
            .setValueSize(value.length)
            .setReason(reason)
            .setMessage(message)
            .setAttempts(attempts)
            .setFailedAt(Instant.now())
            .build();
    return writer.send(topic + "/" + partition + "/" + offset, letter, null, Traces.from(headers));
  }
}
