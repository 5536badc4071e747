package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.DecodeException;
import java.util.BitSet;
import org.apache.kafka.common.TopicPartition;

/** Whether an object's chunks are really where a manifest says. */
final class ChunkProof {
  private ChunkProof() {}

  /** Reads all of them, and checks each one's bytes. */
  static boolean isWhole(KafkaClients clients, StoredObject object) {
    if (object.pieces() == 0) {
      return true;
    }
    if (!object.place().isKnown()) {
      return false;
    }
    String topic = Topics.SNAPSHOT_CHUNKS.fullName(clients.kafka());
    BitSet found = new BitSet();
    TopicScan.range(
        clients,
        new TopicPartition(topic, object.place().partition()),
        object.place().first(),
        object.place().last(),
        record -> {
          if (record.key() == null
              || record.value() == null
              || !record.key().startsWith(object.sha256())) {
            return true;
          }
          try {
            SnapshotChunk chunk =
                clients.codec().decode(topic, record.value(), SnapshotChunk.class);
            if (record.key().equals(ChunkSender.key(object.sha256(), chunk.getIndex()))
                && chunk.getCount() == object.pieces()
                && ChunkGathering.crc32c(chunk.getData()) == chunk.getCrc32c()) {
              found.set(chunk.getIndex());
            }
            return true;
          } catch (DecodeException e) {
            // Then it is sent again, and the good copy replaces this one.
            return false;
          }
        });
    return found.cardinality() == object.pieces();
  }
}
