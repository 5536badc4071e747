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
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
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
 * <p>What a killed process had brought whole, files and blocks, is not brought again.
 *
 * <p>Several fetchers, also of several processes, may share a cache directory. Safe for use by
 * several threads, which take turns.
 */
public final class SnapshotFetcher {
  private static final Logger log = LoggerFactory.getLogger(SnapshotFetcher.class);

  private static final Pattern VERSION = Pattern.compile("([1-9][0-9]{0,17})(?:-[a-z]+)?");

  private final SnapshotAccess access;
  private final Path cacheDir;
  private final SnapshotCatalog catalog;
  private final SnapshotStores stores;
  private final KeptObjects kept;

  /**
   * @param cacheDir made if missing; holds one directory a version and format, named by the
   *     version's number, and by the format unless it is safetensors
   */
  public SnapshotFetcher(SnapshotAccess access, Path cacheDir) {
    this.access = access;
    this.cacheDir = cacheDir.toAbsolutePath();
    this.catalog = new SnapshotCatalog(access);
    this.stores = access.openStores();
    this.kept = new KeptObjects(this.cacheDir.resolve(".kept"));
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
    return fetch(version, SnapshotFormat.SAFETENSORS).directory();
  }

  /**
   * A version in a format, which need not be the only one of it that is here. What other formats
   * have for themselves is not downloaded.
   *
   * @throws SnapshotException of kind NOT_OFFERED if the version has no such format
   */
  public synchronized FetchedSnapshot fetch(long version, SnapshotFormat format) {
    return fetch(catalog.require(version).manifest(), format);
  }

  /** The very snapshot that a pointer names, checked by the digest of its manifest. */
  public synchronized FetchedSnapshot fetch(SnapshotPointer pointer) {
    return fetch(pointer, SnapshotFormat.SAFETENSORS);
  }

  /**
   * The very snapshot that a pointer names, in a format. What other formats have for themselves is
   * not downloaded.
   *
   * @throws SnapshotException of kind NOT_OFFERED if it has no such format
   */
  public synchronized FetchedSnapshot fetch(SnapshotPointer pointer, SnapshotFormat format) {
    return fetch(catalog.require(pointer).manifest(), format);
  }

  /**
   * Deletes all versions from the cache but these, in whatever format. Whoever serves one of the
   * others has to keep it in the set.
   */
  public synchronized void retain(Set<Long> versions) {
    if (!Files.isDirectory(cacheDir)) {
      return;
    }
    try {
      for (Path entry : entries()) {
        Matcher name = VERSION.matcher(entry.getFileName().toString());
        if (name.matches() && !versions.contains(Long.parseLong(name.group(1)))) {
          SnapshotFiles.deleteRecursively(entry);
        }
      }
    } catch (IOException e) {
      throw storage("clear", e);
    }
  }

  private FetchedSnapshot fetch(SnapshotManifest manifest, SnapshotFormat format) {
    access.verify(manifest);
    SnapshotFiles.check(manifest);
    requireOffered(manifest, format);
    Path target = directory(manifest, format);
    try {
      Files.createDirectories(cacheDir);
      clearAbandoned();
      if (Files.isDirectory(target)) {
        if (same(target, manifest, format)) {
          kept.clear();
          return new FetchedSnapshot(manifest, target, format);
        }
        log.warn(
            "snapshot {}: cached copy {} differs, fetching it anew", manifest.getVersion(), target);
      }
      requireRoom(manifest, format);
      build(manifest, format, target);
      kept.clear();
      return new FetchedSnapshot(manifest, target, format);
    } catch (IOException e) {
      throw storage("store version " + manifest.getVersion() + " in", e);
    } catch (UncheckedIOException e) {
      throw storage("store version " + manifest.getVersion() + " in", e.getCause());
    }
  }

  private static void requireOffered(SnapshotManifest manifest, SnapshotFormat format) {
    List<SnapshotFormat> offered = SnapshotFormat.offeredBy(manifest);
    if (!offered.contains(format)) {
      throw new SnapshotException(
          Kind.NOT_OFFERED,
          "snapshot "
              + manifest.getVersion()
              + ": format "
              + format
              + " (expected: one that it offers: "
              + offered.stream().map(SnapshotFormat::toString).collect(Collectors.joining(", "))
              + ")");
    }
  }

  private Path directory(SnapshotManifest manifest, SnapshotFormat format) {
    String version = Long.toString(manifest.getVersion());
    return cacheDir.resolve(
        format == SnapshotFormat.SAFETENSORS ? version : version + "-" + format);
  }

  /** Walks back to a version that is here, or stands alone, and forward again from there. */
  private void build(SnapshotManifest manifest, SnapshotFormat format, Path target)
      throws IOException {
    Deque<SnapshotManifest> chain = new ArrayDeque<>();
    Optional<FetchedSnapshot> base = Optional.empty();
    SnapshotManifest next = manifest;
    while (base.isEmpty()) {
      chain.push(next);
      // Its differences may all be another format's.
      if (!hasDifferences(next, format)) {
        break;
      }
      next = base(next);
      Path here = directory(next, format);
      if (Files.isDirectory(here) && same(here, next, format)) {
        base = Optional.of(new FetchedSnapshot(next, here, format));
      }
    }
    Optional<PartialDirectory> before = Optional.empty();
    try {
      while (!chain.isEmpty()) {
        SnapshotManifest one = chain.pop();
        PartialDirectory partial = PartialDirectory.create(cacheDir);
        try {
          new SnapshotAssembly(stores, one, format, base, kept, partial.path()).run();
        } finally {
          close(before);
          before = Optional.of(partial);
        }
        base = Optional.of(new FetchedSnapshot(one, partial.path(), format));
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

  private static boolean hasDifferences(SnapshotManifest manifest, SnapshotFormat format) {
    return format.files(manifest).stream().anyMatch(file -> !file.getBlocks().isEmpty());
  }

  private void requireRoom(SnapshotManifest manifest, SnapshotFormat format) throws IOException {
    // Differences are put together beside their blocks and the version they are from.
    int times = hasDifferences(manifest, format) ? 3 : 1;
    long needed =
        times * format.files(manifest).stream().mapToLong(SnapshotFile::getSizeBytes).sum();
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

  private static boolean same(Path directory, SnapshotManifest manifest, SnapshotFormat format)
      throws IOException {
    List<SnapshotFile> files = format.files(manifest);
    for (SnapshotFile file : files) {
      Path path = directory.resolve(file.getPath());
      if (!Files.isRegularFile(path)
          || Files.size(path) != file.getSizeBytes()
          || !Digests.ofFile(path).equals(file.getSha256())) {
        return false;
      }
    }
    try (Stream<Path> found = Files.walk(directory)) {
      return found.filter(Files::isRegularFile).count() == files.size();
    }
  }

  private void clearAbandoned() throws IOException {
    for (Path entry : entries()) {
      if (entry.getFileName().toString().startsWith(PartialDirectory.PREFIX)) {
        PartialDirectory.deleteIfAbandoned(entry, kept);
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
