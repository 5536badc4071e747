package io.reflux.snapshots;

import io.smallrye.config.ConfigMapping;
import io.smallrye.config.WithDefault;
import java.nio.file.Path;
import java.util.Optional;

/** Where the bytes of snapshots are, and how snapshots are signed and believed. */
@ConfigMapping(prefix = "reflux.snapshots")
public interface SnapshotsConfig {
  /** Private key that manifests and pointers are signed with; unset signs nothing. */
  Optional<Path> signingKey();

  /**
   * Directory of the public keys that are believed. Once set, what is unsigned or signed by another
   * is refused; unset believes everything.
   */
  Optional<Path> trust();

  /**
   * Where the bytes go: kafka, dir:/path, or
   * s3://bucket/prefix?endpoint=http://host:port&region=name&path-style=true. Manifests and
   * pointers are on Kafka in any case. A fleet has to be told the same; what is on Kafka it finds
   * anyway.
   */
  @WithDefault("kafka")
  String store();

  /**
   * One of so many snapshots is whole; those between are differences from the one before, where
   * that saves bytes. 1 makes all of them whole.
   */
  @WithDefault("10")
  int fullEvery();
}
