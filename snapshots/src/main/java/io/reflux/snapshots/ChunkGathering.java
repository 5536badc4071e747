package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.schemas.registry.RecordCodec;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Wanted;
import io.reflux.snapshots.StoredObject.Place;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * Makes files of chunk records, wherever these come from, and holds each to its digest.
 *
 * <p>A bad chunk is not the end while another copy of it may follow; it is reported when none did.
 */
final class ChunkGathering {
  private final RecordCodec codec;
  private final String topic;
  private final List<Wanted> wanted;
  private final Map<String, Incoming> incoming = new LinkedHashMap<>();

  /**
   * @param topic that the chunks are on, for their schema and for messages
   */
  ChunkGathering(RecordCodec codec, String topic, List<Wanted> wanted) {
    this.codec = codec;
    this.topic = topic;
    this.wanted = wanted;
    for (Wanted one : wanted) {
      incoming.put(one.object().sha256(), new Incoming(one));
    }
  }

  /** Where the objects are that are not whole yet. */
  List<Place> missing() {
    return incoming.values().stream()
        .filter(file -> !file.complete())
        .map(file -> file.object.place())
        .toList();
  }

  /** Whether every object has all its chunks. */
  boolean complete() {
    return incoming.values().stream().allMatch(Incoming::complete);
  }

  /** Takes what is of use in a record. */
  void add(ConsumerRecord<String, byte[]> record) throws IOException {
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
      chunk = codec.decode(topic, record.value(), SnapshotChunk.class);
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

  /**
   * Returns when every object is there, verified and on the disk.
   *
   * @throws SnapshotException naming the object, and the chunk where one is missing or bad
   */
  void finish() throws IOException {
    for (Incoming file : incoming.values()) {
      file.finish();
    }
    for (Wanted one : wanted) {
      SnapshotFiles.verify(
          one.name(), one.target(), one.object().sizeBytes(), one.object().sha256());
    }
  }

  static long crc32c(ByteBuffer data) {
    CRC32C crc = new CRC32C();
    crc.update(data.duplicate());
    return crc.getValue();
  }

  /** One object on its way in. */
  private final class Incoming {
    private final String name;
    private final StoredObject object;
    private final Path target;
    private final BitSet received = new BitSet();
    private final Map<String, String> bad = new HashMap<>();

    Incoming(Wanted wanted) {
      this.name = wanted.name();
      this.object = wanted.object();
      this.target = wanted.target();
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
      try (FileChannel channel = open()) {
        while (data.hasRemaining()) {
          position += channel.write(data, position);
        }
      }
      received.set(chunk.getIndex());
    }

    /** The first to open it makes it; what is there already is not ours. */
    private FileChannel open() throws IOException {
      return FileChannel.open(
          target,
          StandardOpenOption.WRITE,
          received.isEmpty() ? StandardOpenOption.CREATE_NEW : StandardOpenOption.CREATE);
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
      if (object.pieces() == 0) {
        Files.createFile(target);
      }
      SnapshotFiles.force(target);
    }
  }
}
