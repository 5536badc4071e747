package io.reflux.snapshots;

import io.smallrye.config.ConfigMapping;
import java.nio.file.Path;
import java.util.Optional;

/** How snapshots are signed and believed. */
@ConfigMapping(prefix = "reflux.snapshots")
public interface SnapshotsConfig {
  /** Private key that manifests and pointers are signed with; unset signs nothing. */
  Optional<Path> signingKey();

  /**
   * Directory of the public keys that are believed. Once set, what is unsigned or signed by another
   * is refused; unset believes everything.
   */
  Optional<Path> trust();
}
