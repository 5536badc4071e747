package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Content;
import io.reflux.snapshots.StoredObject.Place;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InterruptException;

/** Sends objects in chunks and waits until the broker has them all. */
final class ChunkSender {
  /** Leaves room in a record of 1 MiB, Kafka's default limit, for everything around the data. */
  static final int CHUNK_BYTES = 768 * 1024;

  private final KafkaClients clients;
  private final Producer<String, byte[]> producer;
  private final String topic;

  ChunkSender(KafkaClients clients, Producer<String, byte[]> producer) {
    this.clients = clients;
    this.producer = producer;
    this.topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
  }

  static int pieces(long sizeBytes) {
    long pieces = (sizeBytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
    if (pieces > Integer.MAX_VALUE) {
      throw new SnapshotException(
          Kind.STORAGE, "snapshot: a file of " + sizeBytes + " bytes (expected: fewer)");
    }
    return (int) pieces;
  }

  /**
   * All chunks are on the topic, acknowledged, when this returns.
   *
   * @return where they are: in one partition, so that two offsets tell a reader
   */
  Place send(List<Content> contents) {
    if (contents.isEmpty()) {
      return Place.UNKNOWN;
    }
    int partitions = producer.partitionsFor(topic).size();
    int partition = Math.floorMod(contents.get(0).sha256().hashCode(), partitions);
    List<Future<RecordMetadata>> chunks = new ArrayList<>();
    for (Content content : contents) {
      try {
        send(content, partition, chunks);
      } catch (IOException e) {
        throw SnapshotFiles.unreadable(content.source(), e);
      }
    }
    producer.flush();
    return acknowledged(partition, chunks);
  }

  private void send(Content content, int partition, List<Future<RecordMetadata>> chunks)
      throws IOException {
    int count = pieces(content.sizeBytes());
    MessageDigest digest = Digests.sha256();
    long offset = 0;
    try (InputStream in = Files.newInputStream(content.source())) {
      for (int index = 0; index < count; index++) {
        byte[] data = in.readNBytes(CHUNK_BYTES);
        digest.update(data);
        chunks.add(producer.send(record(partition, content.sha256(), index, count, offset, data)));
        offset += data.length;
      }
      if (in.read() >= 0
          || offset != content.sizeBytes()
          || !Digests.hex(digest).equals(content.sha256())) {
        throw SnapshotFiles.changed(content.source());
      }
    }
  }

  private ProducerRecord<String, byte[]> record(
      int partition, String sha256, int index, int count, long offset, byte[] data) {
    CRC32C crc = new CRC32C();
    crc.update(data);
    SnapshotChunk chunk =
        SnapshotChunk.newBuilder()
            .setFileSha256(sha256)
            .setIndex(index)
            .setCount(count)
            .setOffset(offset)
            .setCrc32c(crc.getValue())
            .setData(ByteBuffer.wrap(data))
            .build();
    return new ProducerRecord<>(
        topic, partition, key(sha256, index), clients.codec().encode(topic, chunk));
  }

  static String key(String sha256, int index) {
    return sha256 + "/" + index;
  }

  private static Place acknowledged(int partition, List<Future<RecordMetadata>> chunks) {
    long first = Long.MAX_VALUE;
    long last = -1;
    for (Future<RecordMetadata> chunk : chunks) {
      long offset = await(chunk).offset();
      first = Math.min(first, offset);
      last = Math.max(last, offset);
    }
    return chunks.isEmpty() ? Place.UNKNOWN : new Place(partition, first, last);
  }

  /** Where a record went. */
  static RecordMetadata await(Future<RecordMetadata> future) {
    try {
      return future.get();
    } catch (InterruptedException e) {
      throw new InterruptException(e);
    } catch (ExecutionException e) {
      if (e.getCause() instanceof KafkaException kafka) {
        throw kafka;
      }
      throw new KafkaException(e.getCause());
    }
  }
}
