package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotManifest;
import java.nio.file.Path;

/**
 * A snapshot on the local disk in one of its formats, every byte verified.
 *
 * @param directory holds exactly the files of that format, and those that all formats share
 */
public record FetchedSnapshot(SnapshotManifest manifest, Path directory, SnapshotFormat format) {
  /** As Reflux itself uses it. */
  public FetchedSnapshot(SnapshotManifest manifest, Path directory) {
    this(manifest, directory, SnapshotFormat.SAFETENSORS);
  }

  /** Version of the manifest. */
  public long version() {
    return manifest.getVersion();
  }

  /** What an engine of that format is pointed to: the folder with the format's own files. */
  public Path modelDirectory() {
    return directory.resolve(format.folder());
  }
}
