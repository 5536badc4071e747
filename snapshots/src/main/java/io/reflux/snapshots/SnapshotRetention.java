package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotBlock;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import java.time.Instant;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * What may go when only some versions are to be kept. A version that is kept keeps every version
 * that it builds on, down to the nearest whole one, and the newest is always kept, for the next
 * one's number.
 *
 * <p>Nothing else removes bytes: the chunk topic is compacted and kept for good, and no two chunks
 * share a key.
 *
 * @param versions whose manifests go
 * @param objects that no version kept is made of
 */
record SnapshotRetention(Set<Long> versions, Set<String> objects) {
  /**
   * Finds it.
   *
   * @param kept also whatever channels serve, which the caller adds
   * @param stored every object with the time of its last put, listed before the manifests
   * @param youngest objects put later stay: they may be of a snapshot that is being published
   */
  static SnapshotRetention of(
      SnapshotCatalog.Listing published,
      Set<Long> kept,
      Map<String, Instant> stored,
      Instant youngest) {
    Set<Long> wanted = new HashSet<>(kept);
    wanted.add(published.highestVersion());
    Set<Long> standing = new HashSet<>();
    Set<String> needed = new HashSet<>();
    for (long version : wanted) {
      for (SnapshotManifest manifest : published.withBases(version)) {
        standing.add(manifest.getVersion());
        add(manifest, needed);
      }
    }
    Set<Long> versions = new TreeSet<>();
    for (SnapshotCatalog.Entry entry : published.entries()) {
      if (!standing.contains(entry.manifest().getVersion())) {
        versions.add(entry.manifest().getVersion());
      }
    }
    Set<String> objects = new TreeSet<>();
    stored.forEach(
        (sha256, time) -> {
          if (!needed.contains(sha256) && !time.isAfter(youngest)) {
            objects.add(sha256);
          }
        });
    return new SnapshotRetention(versions, objects);
  }

  private static void add(SnapshotManifest manifest, Set<String> needed) {
    for (SnapshotFile file : manifest.getFiles()) {
      needed.add(file.getSha256());
      for (SnapshotBlock block : file.getBlocks()) {
        needed.add(block.getSha256());
      }
    }
  }
}
