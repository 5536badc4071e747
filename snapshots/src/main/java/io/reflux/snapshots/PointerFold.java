package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.registry.DecodeException;
import io.reflux.snapshots.SnapshotException.Kind;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The meaning of a channel's pointer records, in their order: the last one counts, unless it goes
 * back and does not say that it means to.
 */
final class PointerFold {
  private static final Logger log = LoggerFactory.getLogger(PointerFold.class);

  private final KafkaClients clients;
  private final String channel;
  private SnapshotPointer current;
  private SnapshotException unreadable;

  PointerFold(KafkaClients clients, String channel) {
    this.clients = clients;
    this.channel = channel;
  }

  /** Records of other channels are passed over. */
  void add(ConsumerRecord<String, byte[]> record) {
    if (!channel.equals(record.key()) || record.value() == null) {
      return;
    }
    String where = SnapshotCatalog.coordinates(record);
    SnapshotPointer pointer;
    try {
      pointer = clients.codec().decode(record.topic(), record.value(), SnapshotPointer.class);
    } catch (DecodeException e) {
      unreadable(where, e.getMessage(), e);
      return;
    }
    if (!channel.equals(pointer.getChannel()) || pointer.getVersion() < 1) {
      unreadable(
          where, "channel " + pointer.getChannel() + ", version " + pointer.getVersion(), null);
      return;
    }
    if (current != null && pointer.getVersion() < current.getVersion() && !pointer.getRollback()) {
      log.warn(
          "pointer of channel {} at {}: version {} ignored (expected: at least {}, or a rollback)",
          channel,
          where,
          pointer.getVersion(),
          current.getVersion());
      return;
    }
    current = pointer;
    unreadable = null;
  }

  /** Empty while there is none, or the newest cannot be read. */
  Optional<SnapshotPointer> current() {
    return unreadable == null ? Optional.ofNullable(current) : Optional.empty();
  }

  /** Why the newest cannot be read. */
  Optional<SnapshotException> unreadable() {
    return Optional.ofNullable(unreadable);
  }

  private void unreadable(String where, String what, DecodeException cause) {
    unreadable =
        new SnapshotException(
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
