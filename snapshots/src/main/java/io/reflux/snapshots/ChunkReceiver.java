package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Gathers the chunks of one snapshot into a directory.
 *
 * <p>A bad chunk is not the end while another copy of it may follow; it is reported when none did.
 */
final class ChunkReceiver {
  private final KafkaClients clients;
  private final SnapshotManifest manifest;
  private final Path directory;
  private final String topic;

  /** By SHA-256: files of equal content share their chunks. */
  private final Map<String, Incoming> incoming = new LinkedHashMap<>();

  ChunkReceiver(KafkaClients clients, SnapshotManifest manifest, Path directory) {
    this.clients = clients;
    this.manifest = manifest;
    this.directory = directory;
    this.topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
  }

  /** Returns when every file is there, verified and on the disk. */
  void receive() throws IOException {
    try {
      for (SnapshotFile file : manifest.getFiles()) {
        Path path = directory.resolve(file.getPath());
        Files.createDirectories(path.getParent());
        if (!incoming.containsKey(file.getSha256())) {
          incoming.put(file.getSha256(), new Incoming(file, path));
        }
      }
      readWhereTheManifestSays();
      readEverywhereElse();
      for (Incoming file : incoming.values()) {
        file.finish();
      }
    } finally {
      for (Incoming file : incoming.values()) {
        file.channel.close();
      }
    }
    for (SnapshotFile file : manifest.getFiles()) {
      Path path = directory.resolve(file.getPath());
      if (!Files.exists(path)) {
        Files.copy(incoming.get(file.getSha256()).path, path);
      }
      verify(file, path);
    }
  }

  private void readWhereTheManifestSays() {
    Map<Integer, long[]> ranges = new TreeMap<>();
    for (Incoming file : incoming.values()) {
      if (!file.complete() && file.located()) {
        ranges.merge(
            file.file.getChunkPartition(),
            new long[] {file.file.getFirstChunkOffset(), file.file.getLastChunkOffset()},
            (a, b) -> new long[] {Math.min(a[0], b[0]), Math.max(a[1], b[1])});
      }
    }
    ranges.forEach((partition, range) -> read(partition, range[0], range[1]));
  }

  /** For manifests that do not say, and chunks that were sent again later. */
  private void readEverywhereElse() {
    Map<Integer, Long> starts = new TreeMap<>();
    for (Incoming file : incoming.values()) {
      if (file.complete()) {
        continue;
      }
      if (file.located()) {
        starts.merge(file.file.getChunkPartition(), file.file.getLastChunkOffset() + 1, Math::min);
      } else {
        for (TopicPartition partition : TopicScan.partitions(clients, topic)) {
          starts.put(partition.partition(), 0L);
        }
      }
    }
    starts.forEach(
        (partition, start) -> {
          if (!complete()) {
            read(partition, start, Long.MAX_VALUE);
          }
        });
  }

  private void read(int partition, long from, long to) {
    TopicScan.range(
        clients,
        new TopicPartition(topic, partition),
        from,
        to,
        record -> {
          try {
            take(record);
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
          return !complete();
        });
  }

  private void take(ConsumerRecord<String, byte[]> record) throws IOException {
    // By the key, before anything is decoded: most of a long topic is other snapshots'.
    int slash = record.key() == null ? -1 : record.key().indexOf('/');
    Incoming file = slash < 0 ? null : incoming.get(record.key().substring(0, slash));
    if (file == null || file.complete() || record.value() == null) {
      return;
    }
    String index = record.key().substring(slash + 1);
    String where = "chunk " + index + " at " + SnapshotCatalog.coordinates(record);
    SnapshotChunk chunk;
    try {
      chunk = clients.codec().decode(topic, record.value(), SnapshotChunk.class);
    } catch (DecodeException e) {
      file.bad(index, where + ": " + e.getMessage() + " (expected: a SnapshotChunk)");
      return;
    }
    ByteBuffer data = chunk.getData();
    long crc = crc32c(data);
    if (crc != chunk.getCrc32c()) {
      file.bad(index, where + ": crc32c " + crc + " (expected: " + chunk.getCrc32c() + ")");
    } else if (!record.key().equals(ChunkSender.key(chunk.getFileSha256(), chunk.getIndex()))) {
      file.bad(
          index,
          where
              + ": is "
              + ChunkSender.key(chunk.getFileSha256(), chunk.getIndex())
              + " (expected: what its key says)");
    } else if (!file.fits(chunk)) {
      file.bad(
          index,
          where
              + ": "
              + data.remaining()
              + " bytes at "
              + chunk.getOffset()
              + ", one of "
              + chunk.getCount()
              + " (expected: within "
              + file.file.getSizeBytes()
              + " bytes, one of "
              + file.file.getChunks()
              + ")");
    } else {
      file.write(chunk);
    }
  }

  static long crc32c(ByteBuffer data) {
    CRC32C crc = new CRC32C();
    crc.update(data.duplicate());
    return crc.getValue();
  }

  private boolean complete() {
    return incoming.values().stream().allMatch(Incoming::complete);
  }

  private void verify(SnapshotFile file, Path path) throws IOException {
    long size = Files.size(path);
    String sha256 = Digests.ofFile(path);
    if (size != file.getSizeBytes() || !sha256.equals(file.getSha256())) {
      throw new SnapshotException(
          Kind.CORRUPT_FILE,
          name(file)
              + ": "
              + size
              + " bytes with sha256 "
              + sha256
              + " (expected: "
              + file.getSizeBytes()
              + " bytes with "
              + file.getSha256()
              + ")");
    }
  }

  private String name(SnapshotFile file) {
    return "snapshot " + manifest.getVersion() + ", file " + file.getPath();
  }

  /** One file on its way in. */
  private final class Incoming {
    private final SnapshotFile file;
    private final Path path;
    private final FileChannel channel;
    private final BitSet received = new BitSet();
    private final Map<String, String> bad = new HashMap<>();

    Incoming(SnapshotFile file, Path path) throws IOException {
      this.file = file;
      this.path = path;
      this.channel =
          FileChannel.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    }

    boolean located() {
      return ChunkProof.located(file);
    }

    boolean complete() {
      return received.cardinality() == file.getChunks();
    }

    boolean fits(SnapshotChunk chunk) {
      long length = chunk.getData().remaining();
      return chunk.getIndex() >= 0
          && chunk.getIndex() < file.getChunks()
          && chunk.getCount() == file.getChunks()
          && length > 0
          && chunk.getOffset() >= 0
          && chunk.getOffset() <= file.getSizeBytes() - length;
    }

    void bad(String index, String problem) {
      bad.putIfAbsent(index, problem);
    }

    void write(SnapshotChunk chunk) throws IOException {
      if (received.get(chunk.getIndex())) {
        return;
      }
      ByteBuffer data = chunk.getData().duplicate();
      long position = chunk.getOffset();
      while (data.hasRemaining()) {
        position += channel.write(data, position);
      }
      received.set(chunk.getIndex());
    }

    void finish() throws IOException {
      if (!complete()) {
        String index = Integer.toString(received.nextClearBit(0));
        if (bad.containsKey(index)) {
          throw new SnapshotException(Kind.CORRUPT_CHUNK, name(file) + ", " + bad.get(index));
        }
        throw new SnapshotException(
            Kind.MISSING_CHUNK,
            name(file)
                + ": chunk "
                + index
                + " of "
                + file.getChunks()
                + " is not on "
                + topic
                + " (expected: there, unless retention removed it)");
      }
      channel.force(true);
    }
  }
}
