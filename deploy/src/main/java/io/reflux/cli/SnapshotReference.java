package io.reflux.cli;

import io.reflux.config.Settings;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog;
import java.time.Duration;
import java.util.Map;
import java.util.OptionalLong;

/** A published version as it is named on the command line. */
final class SnapshotReference {
  private static final String LATEST = "latest";

  private SnapshotReference() {}

  /** Kafka, reached, and the keys. */
  static SnapshotAccess access(ConfigOptions config) {
    Settings settings = config.load(Map.of(), Map.of());
    KafkaClients clients = settings.clients();
    SnapshotAccess access = settings.snapshots(clients);
    clients.requireReachable(Duration.ofSeconds(15));
    return access;
  }

  /**
   * The manifest of a number, {@code latest}, or of what a channel points to.
   *
   * @throws RefluxException if there is none, or the channel's pointer cannot be read or believed
   */
  static SnapshotManifest manifest(SnapshotAccess access, String reference) {
    SnapshotCatalog catalog = new SnapshotCatalog(access);
    if (reference.equals(LATEST)) {
      return catalog
          .latest()
          .orElseThrow(
              () -> new RefluxException("latest: nothing is published (expected: a version)"));
    }
    OptionalLong number = number(reference);
    long version =
        number.isPresent()
            ? number.getAsLong()
            : catalog
                .pointer(reference)
                .map(SnapshotPointer::getVersion)
                .orElseThrow(() -> noPointer(reference));
    return catalog
        .find(version)
        .orElseThrow(
            () ->
                new RefluxException(
                    "snapshot: version " + version + " (expected: a published one)"));
  }

  static RefluxException noPointer(String channel) {
    return new RefluxException(
        channel + ": no such channel (expected: a version's number, latest, or a channel)");
  }

  /** Empty if it is no number of a version. */
  static OptionalLong number(String text) {
    return text.matches("[1-9][0-9]{0,17}")
        ? OptionalLong.of(Long.parseLong(text))
        : OptionalLong.empty();
  }
}
