package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.snapshots.SnapshotException.Kind;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings snapshots to the local disk. A version's directory appears only whole and verified, by one
 * rename; one that is there already is verified again before it is handed out, and fetched anew
 * should a byte have changed.
 *
 * <p>A version of differences is built on the one that they are from where that is here, whole and
 * unchanged. Where it is not, the way goes back to the nearest version that is here or stands
 * alone, and forward again.
 *
 * <p>Several fetchers, also of several processes, may share a cache directory. Safe for use by
 * several threads, which take turns.
 */
public final class SnapshotFetcher {
  private static final Logger log = LoggerFactory.getLogger(SnapshotFetcher.class);

  private final SnapshotAccess access;
  private final Path cacheDir;
  private final SnapshotCatalog catalog;
  private final SnapshotStores stores;

  /**
   * @param cacheDir made if missing; holds one directory a version, named by its number
   */
  public SnapshotFetcher(SnapshotAccess access, Path cacheDir) {
    this.access = access;
    this.cacheDir = cacheDir.toAbsolutePath();
    this.catalog = new SnapshotCatalog(access);
    this.stores = access.openStores();
  }

  /** Of a loop whose signatures are not asked for. */
  public SnapshotFetcher(KafkaClients clients, Path cacheDir) {
    this(SnapshotAccess.unsigned(clients), cacheDir);
  }

  /**
   * The model directory of a version.
   *
   * @throws SnapshotException naming the file, and the chunk where one is at fault; nothing of a
   *     failed download stays
   */
  public synchronized Path fetch(long version) {
    return fetch(catalog.require(version).manifest()).directory();
  }

  /** The very snapshot that a pointer names, checked by the digest of its manifest. */
  public synchronized FetchedSnapshot fetch(SnapshotPointer pointer) {
    return fetch(catalog.require(pointer).manifest());
  }

  /**
   * Deletes all versions from the cache but these. Whoever serves one of the others has to keep it
   * in the set.
   */
  public synchronized void retain(Set<Long> versions) {
    if (!Files.isDirectory(cacheDir)) {
      return;
    }
    try {
      for (Path entry : entries()) {
        String name = entry.getFileName().toString();
        if (name.matches("[1-9][0-9]{0,17}") && !versions.contains(Long.parseLong(name))) {
          SnapshotFiles.deleteRecursively(entry);
        }
      }
    } catch (IOException e) {
      throw storage("clear", e);
    }
  }

  private FetchedSnapshot fetch(SnapshotManifest manifest) {
    access.verify(manifest);
    SnapshotFiles.check(manifest);
    Path target = cacheDir.resolve(Long.toString(manifest.getVersion()));
    try {
      Files.createDirectories(cacheDir);
      clearAbandoned();
      if (Files.isDirectory(target)) {
        if (same(target, manifest)) {
          return new FetchedSnapshot(manifest, target);
        }
        log.warn(
            "snapshot {}: cached copy {} differs, fetching it anew", manifest.getVersion(), target);
      }
      requireRoom(manifest);
      build(manifest, target);
      return new FetchedSnapshot(manifest, target);
    } catch (IOException e) {
      throw storage("store version " + manifest.getVersion() + " in", e);
    } catch (UncheckedIOException e) {
      throw storage("store version " + manifest.getVersion() + " in", e.getCause());
    }
  }

  /** Walks back to a version that is here, or stands alone, and forward again from there. */
  private void build(SnapshotManifest manifest, Path target) throws IOException {
    Deque<SnapshotManifest> chain = new ArrayDeque<>();
    Optional<FetchedSnapshot> base = Optional.empty();
    SnapshotManifest next = manifest;
    while (base.isEmpty()) {
      chain.push(next);
      if (next.getDeltaBase() == null) {
        break;
      }
      next = base(next);
      Path here = cacheDir.resolve(Long.toString(next.getVersion()));
      if (Files.isDirectory(here) && same(here, next)) {
        base = Optional.of(new FetchedSnapshot(next, here));
      }
    }
    Optional<PartialDirectory> before = Optional.empty();
    try {
      while (!chain.isEmpty()) {
        SnapshotManifest one = chain.pop();
        PartialDirectory partial = PartialDirectory.create(cacheDir);
        try {
          new SnapshotAssembly(stores, one, base, partial.path()).run();
        } finally {
          close(before);
          before = Optional.of(partial);
        }
        base = Optional.of(new FetchedSnapshot(one, partial.path()));
      }
      replace(before.orElseThrow().path(), target);
    } finally {
      close(before);
    }
  }

  private static void close(Optional<PartialDirectory> directory) throws IOException {
    if (directory.isPresent()) {
      directory.get().close();
    }
  }

  /** The manifest of what another's differences are from; it has to be an earlier one's. */
  private SnapshotManifest base(SnapshotManifest manifest) {
    long version = manifest.getDeltaBase();
    if (version >= manifest.getVersion()) {
      throw new SnapshotException(
          Kind.BAD_MANIFEST,
          "manifest of version "
              + manifest.getVersion()
              + ": differences from version "
              + version
              + " (expected: from an earlier one)");
    }
    SnapshotManifest base =
        catalog
            .find(version)
            .orElseThrow(
                () ->
                    new SnapshotException(
                        Kind.BAD_DELTA,
                        "snapshot "
                            + manifest.getVersion()
                            + ": differences from version "
                            + version
                            + ", whose manifest is gone (expected: there)"));
    access.verify(base);
    SnapshotFiles.check(base);
    return base;
  }

  private void requireRoom(SnapshotManifest manifest) throws IOException {
    // Differences are put together beside their blocks and the version they are from.
    int times = manifest.getDeltaBase() == null ? 1 : 3;
    long needed = times * SnapshotFiles.totalBytes(manifest);
    long usable = Files.getFileStore(cacheDir).getUsableSpace();
    if (usable < needed) {
      throw new SnapshotException(
          Kind.STORAGE,
          "snapshot cache "
              + cacheDir
              + ": "
              + usable
              + " bytes free (expected: "
              + needed
              + " for version "
              + manifest.getVersion()
              + ")");
    }
  }

  private void replace(Path partial, Path target) throws IOException {
    if (Files.exists(target)) {
      // Aside first: a rename cannot replace a directory that has files.
      Path aside = cacheDir.resolve(PartialDirectory.PREFIX + "replaced-" + UUID.randomUUID());
      Files.move(target, aside, StandardCopyOption.ATOMIC_MOVE);
      Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
      SnapshotFiles.deleteRecursively(aside);
    } else {
      Files.move(partial, target, StandardCopyOption.ATOMIC_MOVE);
    }
  }

  private static boolean same(Path directory, SnapshotManifest manifest) throws IOException {
    for (SnapshotFile file : manifest.getFiles()) {
      Path path = directory.resolve(file.getPath());
      if (!Files.isRegularFile(path)
          || Files.size(path) != file.getSizeBytes()
          || !Digests.ofFile(path).equals(file.getSha256())) {
        return false;
      }
    }
    try (Stream<Path> found = Files.walk(directory)) {
      return found.filter(Files::isRegularFile).count() == manifest.getFiles().size();
    }
  }

  private void clearAbandoned() throws IOException {
    for (Path entry : entries()) {
      if (entry.getFileName().toString().startsWith(PartialDirectory.PREFIX)) {
        PartialDirectory.deleteIfAbandoned(entry);
      }
    }
  }

  private List<Path> entries() throws IOException {
    try (Stream<Path> list = Files.list(cacheDir)) {
      return list.filter(Files::isDirectory).toList();
    }
  }

  private SnapshotException storage(String what, IOException e) {
    return new SnapshotException(
        Kind.STORAGE, "snapshot cache: cannot " + what + " " + cacheDir + ": " + e, e);
  }
}
