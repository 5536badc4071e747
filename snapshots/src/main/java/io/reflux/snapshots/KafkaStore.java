package io.reflux.snapshots;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.StoredObject.Place;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;

/** Objects as chunks on a compacted topic, each under a key of its own. */
final class KafkaStore implements SnapshotStore {
  static final String KIND = "kafka";

  /**
   * On a topic made a moment ago a batch may be refused while the next one, already on its way, is
   * taken as the first; the refused one then comes out of order for ever. One at a time cannot.
   */
  private static final Map<String, String> SETTINGS =
      Map.of("max.in.flight.requests.per.connection", "1");

  private final KafkaClients clients;
  private final String topic;
  private Producer<String, byte[]> producer;

  KafkaStore(KafkaClients clients) {
    this.clients = clients;
    this.topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public int pieces(long sizeBytes) {
    return ChunkSender.pieces(sizeBytes);
  }

  @Override
  public boolean holds(StoredObject object) {
    return ChunkProof.isWhole(clients, object);
  }

  /**
   * {@inheritDoc}
   *
   * @throws KafkaException if Kafka fails
   */
  @Override
  public synchronized Place put(List<Content> contents) {
    try {
      return new ChunkSender(clients, producer()).send(contents);
    } catch (KafkaException e) {
      close();
      throw e;
    }
  }

  @Override
  public void get(List<Wanted> wanted) {
    try {
      new ChunkReceiver(clients, wanted).receive();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public Map<String, Instant> list() {
    Map<String, Instant> objects = new HashMap<>();
    chunks()
        .forEach(
            (chunk, time) -> objects.merge(chunk.sha256(), time, (a, b) -> a.isAfter(b) ? a : b));
    return objects;
  }

  /** Their chunks go with the next compaction. */
  @Override
  public synchronized void delete(Set<String> sha256s) {
    try {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      for (Chunk chunk : chunks().keySet()) {
        if (sha256s.contains(chunk.sha256())) {
          sent.add(
              producer().send(new ProducerRecord<>(topic, chunk.partition(), chunk.key(), null)));
        }
      }
      producer().flush();
      sent.forEach(ChunkSender::await);
    } catch (KafkaException e) {
      close();
      throw TopicScan.failure(topic, e);
    }
  }

  @Override
  public synchronized void close() {
    if (producer != null) {
      producer.close();
      producer = null;
    }
  }

  private record Chunk(int partition, String key) {
    String sha256() {
      int slash = key.indexOf('/');
      return slash < 0 ? key : key.substring(0, slash);
    }
  }

  /** The chunks that are there, with their times. */
  private Map<Chunk, Instant> chunks() {
    Map<Chunk, Instant> chunks = new HashMap<>();
    TopicScan.whole(
        clients,
        topic,
        record -> {
          if (record.key() == null) {
            return;
          }
          Chunk chunk = new Chunk(record.partition(), record.key());
          if (record.value() == null) {
            chunks.remove(chunk);
          } else {
            chunks.put(chunk, Instant.ofEpochMilli(record.timestamp()));
          }
        });
    return chunks;
  }

  private Producer<String, byte[]> producer() {
    if (producer == null) {
      producer = clients.producer("snapshot-chunks", SETTINGS);
    }
    return producer;
  }
}
