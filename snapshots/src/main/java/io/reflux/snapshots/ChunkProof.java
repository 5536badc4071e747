package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import java.util.BitSet;
import org.apache.kafka.common.TopicPartition;

/** Whether a file's chunks are really where a manifest says. */
final class ChunkProof {
  private ChunkProof() {}

  static boolean located(SnapshotFile file) {
    return file.getChunkPartition() >= 0
        && file.getFirstChunkOffset() >= 0
        && file.getLastChunkOffset() >= file.getFirstChunkOffset();
  }

  /** Reads all of them, and checks each one's bytes. */
  static boolean isWhole(KafkaClients clients, SnapshotFile file) {
    if (!located(file)) {
      return false;
    }
    String topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
    BitSet found = new BitSet();
    TopicScan.range(
        clients,
        new TopicPartition(topic, file.getChunkPartition()),
        file.getFirstChunkOffset(),
        file.getLastChunkOffset(),
        record -> {
          if (record.key() == null
              || record.value() == null
              || !record.key().startsWith(file.getSha256())) {
            return true;
          }
          try {
            SnapshotChunk chunk =
                clients.codec().decode(topic, record.value(), SnapshotChunk.class);
            if (record.key().equals(ChunkSender.key(file.getSha256(), chunk.getIndex()))
                && chunk.getCount() == file.getChunks()
                && ChunkReceiver.crc32c(chunk.getData()) == chunk.getCrc32c()) {
              found.set(chunk.getIndex());
            }
            return true;
          } catch (DecodeException e) {
            // Then it is sent again, and the good copy replaces this one.
            return false;
          }
        });
    return found.cardinality() == file.getChunks();
  }
}
