package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import java.util.Optional;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where everything is believed: the last record counts, unless it goes back and does not say that
 * it means to.
 */
final class UnsignedPointerFold implements PointerFold {
  private static final Logger log = LoggerFactory.getLogger(UnsignedPointerFold.class);

  private final KafkaClients clients;
  private final String channel;
  private SnapshotPointer current;
  private SnapshotException unreadable;

  UnsignedPointerFold(KafkaClients clients, String channel) {
    this.clients = clients;
    this.channel = channel;
  }

  @Override
  public void add(ConsumerRecord<String, byte[]> record) {
    if (!channel.equals(record.key()) || record.value() == null) {
      return;
    }
    SnapshotPointer pointer;
    try {
      pointer = PointerFold.read(clients, channel, record);
    } catch (SnapshotException e) {
      unreadable = e;
      return;
    }
    if (current != null && pointer.getVersion() < current.getVersion() && !pointer.getRollback()) {
      log.warn(
          "pointer of channel {} at {}: version {} ignored (expected: at least {}, or a rollback)",
          channel,
          SnapshotCatalog.coordinates(record),
          pointer.getVersion(),
          current.getVersion());
      return;
    }
    current = pointer;
    unreadable = null;
  }

  @Override
  public Optional<SnapshotPointer> last() {
    return Optional.ofNullable(current);
  }

  @Override
  public Optional<SnapshotException> unreadable() {
    return Optional.ofNullable(unreadable);
  }

  @Override
  public Optional<SnapshotException> replayed() {
    return Optional.empty();
  }
}
