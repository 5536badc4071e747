package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotManifest;
import java.nio.file.Path;

/**
 * A snapshot on the local disk, every byte verified.
 *
 * @param directory holds exactly the manifest's files
 */
public record FetchedSnapshot(SnapshotManifest manifest, Path directory) {
  /** Version of the manifest. */
  public long version() {
    return manifest.getVersion();
  }
}
