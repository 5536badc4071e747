package io.reflux.snapshots;

import static java.util.Comparator.comparingLong;

import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Wanted;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * Gathers the chunks of objects into files.
 *
 * <p>A bad chunk is not the end while another copy of it may follow; it is reported when none did.
 */
final class ChunkReceiver {
  private final KafkaClients clients;
  private final List<Wanted> wanted;
  private final String topic;
  private final Map<String, Incoming> incoming = new LinkedHashMap<>();

  ChunkReceiver(KafkaClients clients, List<Wanted> wanted) {
    this.clients = clients;
    this.wanted = wanted;
    this.topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
  }

  /** Returns when every object is there, verified and on the disk. */
  void receive() throws IOException {
    for (Wanted one : wanted) {
      incoming.put(one.object().sha256(), new Incoming(one));
    }
    readWhereTheManifestSays();
    readEverywhereElse();
    for (Incoming file : incoming.values()) {
      file.finish();
    }
    for (Wanted one : wanted) {
      SnapshotFiles.verify(
          one.name(), one.target(), one.object().sizeBytes(), one.object().sha256());
    }
  }

  private void readWhereTheManifestSays() {
    List<StoredObject.Place> places =
        incoming.values().stream()
            .filter(file -> !file.complete() && file.located())
            .map(Incoming::place)
            .sorted(comparingLong(StoredObject.Place::first))
            .toList();
    Map<Integer, List<long[]>> ranges = new TreeMap<>();
    for (StoredObject.Place place : places) {
      List<long[]> of = ranges.computeIfAbsent(place.partition(), partition -> new ArrayList<>());
      long[] before = of.isEmpty() ? null : of.get(of.size() - 1);
      // What lies between may be a larger file that nobody asked for.
      if (before != null && place.first() <= before[1] + 1) {
        before[1] = Math.max(before[1], place.last());
      } else {
        of.add(new long[] {place.first(), place.last()});
      }
    }
    ranges.forEach((partition, of) -> of.forEach(range -> read(partition, range[0], range[1])));
  }

  /** For manifests that do not say, and chunks that were sent again later. */
  private void readEverywhereElse() {
    Map<Integer, Long> starts = new TreeMap<>();
    for (Incoming file : incoming.values()) {
      if (file.complete()) {
        continue;
      }
      if (file.located()) {
        starts.merge(file.place().partition(), file.place().last() + 1, Math::min);
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
              + file.object.sizeBytes()
              + " bytes, one of "
              + file.object.pieces()
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

  /** One object on its way in. */
  private final class Incoming {
    private final String name;
    private final StoredObject object;
    private final Path target;
    private final BitSet received = new BitSet();
    private final Map<String, String> bad = new HashMap<>();

    Incoming(Wanted wanted) throws IOException {
      this.name = wanted.name();
      this.object = wanted.object();
      this.target = Files.createFile(wanted.target());
    }

    StoredObject.Place place() {
      return object.place();
    }

    boolean located() {
      return place().isKnown();
    }

    boolean complete() {
      return received.cardinality() == object.pieces();
    }

    boolean fits(SnapshotChunk chunk) {
      long length = chunk.getData().remaining();
      return chunk.getIndex() >= 0
          && chunk.getIndex() < object.pieces()
          && chunk.getCount() == object.pieces()
          && length > 0
          && chunk.getOffset() >= 0
          && chunk.getOffset() <= object.sizeBytes() - length;
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
      // Opened for each: a snapshot may be of more objects than a process may have open files.
      try (FileChannel channel = FileChannel.open(target, StandardOpenOption.WRITE)) {
        while (data.hasRemaining()) {
          position += channel.write(data, position);
        }
      }
      received.set(chunk.getIndex());
    }

    void finish() throws IOException {
      if (!complete()) {
        String index = Integer.toString(received.nextClearBit(0));
        if (bad.containsKey(index)) {
          throw new SnapshotException(Kind.CORRUPT_CHUNK, name + ", " + bad.get(index));
        }
        throw new SnapshotException(
            Kind.MISSING_CHUNK,
            name
                + ": chunk "
                + index
                + " of "
                + object.pieces()
                + " is not on "
                + topic
                + " (expected: there, unless retention removed it)");
      }
      SnapshotFiles.force(target);
    }
  }
}
