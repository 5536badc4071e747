package io.reflux.snapshots;

import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.snapshots.SnapshotException.Kind;
import java.util.List;

/** The store that new snapshots go to, and that on Kafka, which older ones may be in. */
final class SnapshotStores implements AutoCloseable {
  private final KafkaStore kafka;
  private final SnapshotStore target;

  private SnapshotStores(KafkaStore kafka, SnapshotStore target) {
    this.kafka = kafka;
    this.target = target;
  }

  static SnapshotStores open(KafkaClients clients, StoreUrl url) {
    KafkaStore kafka = new KafkaStore(clients);
    SnapshotStore target;
    if (url instanceof StoreUrl.Directory directory) {
      target = new DirectoryStore(directory.path());
    } else if (url instanceof StoreUrl.S3 s3) {
      target = new S3Store(s3);
    } else {
      target = kafka;
    }
    return new SnapshotStores(kafka, target);
  }

  /** Where new snapshots go. */
  SnapshotStore target() {
    return target;
  }

  /**
   * A store by what manifests call it.
   *
   * @param name of what is there, for messages
   */
  SnapshotStore of(String kind, String name) {
    return List.of(target, kafka).stream()
        .filter(store -> store.kind().equals(kind))
        .findFirst()
        .orElseThrow(
            () ->
                new SnapshotException(
                    Kind.STORE,
                    name
                        + ": in a store of kind "
                        + kind
                        + " (expected: "
                        + target.kind()
                        + (target == kafka ? "" : " or " + KafkaStore.KIND)
                        + ", as "
                        + StoreUrl.SETTING
                        + " says)"));
  }

  @Override
  public void close() {
    try {
      target.close();
    } finally {
      kafka.close();
    }
  }
}
