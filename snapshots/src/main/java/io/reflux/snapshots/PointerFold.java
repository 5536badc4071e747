package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/**
 * The meaning of a channel's pointer records, in their order. Records of others are passed over.
 */
interface PointerFold {
  static PointerFold of(SnapshotAccess access, String channel) {
    return access.trust().isPresent()
        ? new SignedPointerFold(access, channel)
        : new UnsignedPointerFold(access.clients(), channel);
  }

  void add(ConsumerRecord<String, byte[]> record);

  /** Empty while there is none, or the newest cannot be read or believed. */
  default Optional<SnapshotPointer> current() {
    return unreadable().isPresent() ? Optional.empty() : last();
  }

  /** The last that was good, whatever came after it. */
  Optional<SnapshotPointer> last();

  /** Why the newest cannot be read or believed. */
  Optional<SnapshotException> unreadable();

  /** An older one that was sent again after the current one, and is ignored. */
  Optional<SnapshotException> replayed();

  /**
   * A pointer as it is on the topic.
   *
   * @throws SnapshotException of kind UNREADABLE_POINTER
   */
  static SnapshotPointer read(
      KafkaClients clients, String channel, ConsumerRecord<String, byte[]> record) {
    String where = SnapshotCatalog.coordinates(record);
    SnapshotPointer pointer;
    try {
      pointer = clients.codec().decode(record.topic(), record.value(), SnapshotPointer.class);
    } catch (DecodeException e) {
      throw unreadable(channel, where, e.getMessage(), e);
    }
    if (!channel.equals(pointer.getChannel()) || pointer.getVersion() < 1) {
      throw unreadable(
          channel,
          where,
          "channel " + pointer.getChannel() + ", version " + pointer.getVersion(),
          null);
    }
    return pointer;
  }

  private static SnapshotException unreadable(
      String channel, String where, String what, DecodeException cause) {
    return new SnapshotException(
        Kind.UNREADABLE_POINTER,
        "pointer of channel "
            + channel
            + " at "
            + where
            + ": "
            + what
            + " (expected: a SnapshotPointer of this channel; a rollback to a version that you"
            + " trust repairs it)",
        cause);
  }
}
