package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.InterruptException;

/**
 * Sends files in chunks and waits until the broker has them all.
 *
 * <p>A file that an earlier version brought, such as the tokenizer, is sent again only if a chunk
 * of it is not to be found any more. To send it anyway would do harm beside the cost: the topic is
 * compacted, and the older version's chunks would move away from where its manifest says.
 */
final class ChunkSender {
  /** Leaves room in a record of 1 MiB, Kafka's default limit, for everything around the data. */
  static final int CHUNK_BYTES = 768 * 1024;

  private final KafkaClients clients;
  private final Producer<String, byte[]> producer;
  private final String topic;
  private final Map<String, SnapshotFile> standing;

  /**
   * @param standing files that earlier versions sent, by SHA-256
   */
  ChunkSender(
      KafkaClients clients, Producer<String, byte[]> producer, Map<String, SnapshotFile> standing) {
    this.clients = clients;
    this.producer = producer;
    this.standing = standing;
    this.topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
  }

  /** All files are on the topic, acknowledged, when this returns. */
  List<SnapshotFile> send(Path directory, List<String> paths) {
    int partitions = producer.partitionsFor(topic).size();
    List<Sent> sent = new ArrayList<>();
    for (String path : paths) {
      try {
        sent.add(send(directory.resolve(path), path, partitions));
      } catch (IOException e) {
        throw SnapshotFiles.unreadable(directory.resolve(path), e);
      }
    }
    producer.flush();
    return sent.stream().map(ChunkSender::acknowledged).toList();
  }

  private record Sent(SnapshotFile file, List<Future<RecordMetadata>> chunks) {}

  private Sent send(Path source, String path, int partitions) throws IOException {
    long size = Files.size(source);
    String sha256 = Digests.ofFile(source);
    long chunkCount = (size + CHUNK_BYTES - 1) / CHUNK_BYTES;
    if (chunkCount > Integer.MAX_VALUE) {
      throw new SnapshotException(
          Kind.STORAGE, "snapshot: " + source + ": " + size + " bytes (expected: fewer)");
    }
    int count = (int) chunkCount;
    SnapshotFile before = standing.get(sha256);
    if (before != null
        && before.getSizeBytes() == size
        && before.getChunks() == count
        && ChunkProof.isWhole(clients, before)) {
      return new Sent(SnapshotFile.newBuilder(before).setPath(path).build(), List.of());
    }
    // All chunks of a file in one partition, so that two offsets tell a reader where they are.
    int partition = Math.floorMod(sha256.hashCode(), partitions);
    List<Future<RecordMetadata>> chunks = new ArrayList<>(count);
    MessageDigest digest = Digests.sha256();
    long offset = 0;
    try (InputStream in = Files.newInputStream(source)) {
      for (int index = 0; index < count; index++) {
        byte[] data = in.readNBytes(CHUNK_BYTES);
        digest.update(data);
        chunks.add(producer.send(record(partition, sha256, index, count, offset, data)));
        offset += data.length;
      }
      if (in.read() >= 0 || offset != size || !Digests.hex(digest).equals(sha256)) {
        throw new SnapshotException(
            Kind.CORRUPT_FILE,
            "snapshot: " + source + " changed while it was sent (expected: a directory at rest)");
      }
    }
    SnapshotFile file =
        SnapshotFile.newBuilder()
            .setPath(path)
            .setSizeBytes(size)
            .setSha256(sha256)
            .setChunks(count)
            .setChunkPartition(count == 0 ? -1 : partition)
            .build();
    return new Sent(file, chunks);
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

  private static SnapshotFile acknowledged(Sent sent) {
    if (sent.chunks().isEmpty()) {
      return sent.file();
    }
    long first = -1;
    long last = -1;
    for (Future<RecordMetadata> chunk : sent.chunks()) {
      long offset = await(chunk).offset();
      first = first < 0 ? offset : Math.min(first, offset);
      last = Math.max(last, offset);
    }
    sent.file().setFirstChunkOffset(first);
    sent.file().setLastChunkOffset(last);
    return sent.file();
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
