package io.reflux.schemas.kafka;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.Scope;
import io.reflux.schemas.registry.RecordCodec;
import io.reflux.schemas.service.RefluxException;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.zip.CRC32C;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;

/**
 * Writes records of one topic through a producer that the caller owns; with a transactional one the
 * caller begins and commits. Safe for use by many threads, as the producer is.
 *
 * <p>A record larger than {@link Topic#maxRecordBytes} goes out in pieces, which {@link
 * TopicReader} puts together again.
 */
public final class TopicWriter<T extends SpecificRecord> {
  /** Largest record, in pieces or not: what a {@link TopicReader} holds while pieces arrive. */
  public static final int MAX_VALUE_BYTES = 64 << 20;

  private final Topic<T> topic;
  private final String topicName;
  private final RecordCodec codec;
  private final Producer<String, byte[]> producer;

  TopicWriter(
      Topic<T> topic, String topicName, RecordCodec codec, Producer<String, byte[]> producer) {
    this.topic = topic;
    this.topicName = topicName;
    this.codec = codec;
    this.producer = producer;
  }

  /** Sends without headers, with the time of sending. */
  public CompletableFuture<RecordMetadata> send(String key, T value) {
    return send(key, value, null);
  }

  /** Sends without headers. */
  public CompletableFuture<RecordMetadata> send(String key, T value, Instant timestamp) {
    return send(key, value, timestamp, List.of());
  }

  /**
   * Encodes and sends; blocks while the producer's buffer is full.
   *
   * @param key may be null
   * @param timestamp the record's Kafka timestamp; null for the time of sending
   * @param headers on the record, and on each of its pieces
   * @return completes when the broker has all of it, with the place of its last piece
   * @throws RefluxException when the value can never be sent: larger than {@link #MAX_VALUE_BYTES},
   *     or than a compacted topic takes in one record; or when the registry does not answer
   */
  public CompletableFuture<RecordMetadata> send(
      String key, T value, Instant timestamp, Iterable<Header> headers) {
    byte[] bytes = codec.encode(topicName, value);
    Long millis = timestamp == null ? null : timestamp.toEpochMilli();
    if (bytes.length <= topic.maxRecordBytes()) {
      return send(new ProducerRecord<>(topicName, null, millis, key, bytes, headers));
    }
    requireChunkable(bytes.length);
    return sendPieces(key, bytes, millis, headers);
  }

  /**
   * Sends as a step of a trace: the record carries its context.
   *
   * @param trace what led to the record; the root context for nothing known
   */
  public CompletableFuture<RecordMetadata> send(
      String key, T value, Instant timestamp, Context trace) {
    if (!Traces.isNeeded(trace)) {
      return send(key, value, timestamp);
    }
    Span span = Traces.startSend(topicName, key, trace);
    Context sending = trace.with(span);
    // Current meanwhile, for instrumentation of the producer that puts its own headers on.
    try (Scope scope = sending.makeCurrent()) {
      CompletableFuture<RecordMetadata> sent = send(key, value, timestamp, Traces.headers(sending));
      var unused = sent.whenComplete((place, error) -> Traces.endSend(span, place, error));
      return sent;
    } catch (RuntimeException e) {
      Traces.fail(span, e.getClass().getName());
      throw e;
    }
  }

  /**
   * Marks a key as deleted in a compacted topic.
   *
   * @return completes when the broker has it
   */
  public CompletableFuture<RecordMetadata> delete(String key) {
    if (!topic.compacted()) {
      throw new IllegalStateException("delete in " + topicName + " (expected: a compacted topic)");
    }
    return send(new ProducerRecord<>(topicName, key, null));
  }

  private void requireChunkable(int size) {
    if (topic.compacted()) {
      throw new RefluxException(
          topicName
              + ": record of "
              + size
              + " bytes (expected: at most "
              + topic.maxRecordBytes()
              + " in a compacted topic)");
    }
    if (size > MAX_VALUE_BYTES) {
      throw new RefluxException(
          topicName + ": record of " + size + " bytes (expected: at most " + MAX_VALUE_BYTES + ")");
    }
  }

  private CompletableFuture<RecordMetadata> sendPieces(
      String key, byte[] bytes, Long millis, Iterable<Header> headers) {
    UUID group = UUID.randomUUID();
    int pieceBytes = topic.maxRecordBytes();
    int count = (bytes.length + pieceBytes - 1) / pieceBytes;
    CRC32C crc = new CRC32C();
    crc.update(bytes);
    // Pieces of a record without a key must still meet in one partition.
    Integer partition =
        key == null
            ? Math.floorMod(group.hashCode(), producer.partitionsFor(topicName).size())
            : null;
    CompletableFuture<RecordMetadata> all = CompletableFuture.completedFuture(null);
    for (int index = 0; index < count; index++) {
      int from = index * pieceBytes;
      byte[] piece = Arrays.copyOfRange(bytes, from, Math.min(bytes.length, from + pieceBytes));
      ProducerRecord<String, byte[]> record =
          new ProducerRecord<>(topicName, partition, millis, key, piece, headers);
      record
          .headers()
          .add(new Chunk(group, index, count, bytes.length, (int) crc.getValue()).header());
      all = all.thenCombine(send(record), (before, last) -> last);
    }
    return all;
  }

  private CompletableFuture<RecordMetadata> send(ProducerRecord<String, byte[]> record) {
    CompletableFuture<RecordMetadata> future = new CompletableFuture<>();
    var unused =
        producer.send(
            record,
            (metadata, error) -> {
              if (error == null) {
                future.complete(metadata);
              } else {
                future.completeExceptionally(error);
              }
            });
    return future;
  }
}
