package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotBlock;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Content;
import io.reflux.snapshots.StoredObject.Place;
import io.reflux.snapshots.delta.DeltaException;
import io.reflux.snapshots.delta.FileDelta;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Puts the files of a snapshot into a store: as differences from the version before where that
 * pays, else whole.
 *
 * <p>A file that an earlier version brought whole, such as the tokenizer, is put again only if it
 * is not to be found any more. To put it anyway would do harm beside the cost: the chunk topic is
 * compacted, and the older version's chunks would move away from where its manifest says.
 *
 * <p>Differences need the bytes of the version before, which are kept in a directory of the
 * publisher's. Whatever is amiss with them, a whole snapshot goes out instead.
 */
final class SnapshotShipper {
  private static final Logger log = LoggerFactory.getLogger(SnapshotShipper.class);

  /** Differences that save less than this are not worth a base that has to be there. */
  private static final double WORTH = 0.9;

  private static final String BASE = "base-";
  private static final String PART = ".part-";

  private final SnapshotStore store;
  private final int fullEvery;
  private final Optional<Path> workDirectory;

  /**
   * @param fullEvery one of so many versions is whole; 1 for all of them
   * @param workDirectory where the last version is kept to be built on; without one, all are whole
   */
  SnapshotShipper(SnapshotStore store, int fullEvery, Optional<Path> workDirectory) {
    this.store = store;
    this.fullEvery = fullEvery;
    this.workDirectory = workDirectory;
  }

  /**
   * What was put.
   *
   * @param base the version that differences are from; empty if all files are whole
   */
  record Shipment(List<SnapshotFile> files, Optional<Long> base) {}

  /** The version before, with its bytes. */
  private record Base(SnapshotManifest manifest, Path directory) {}

  /** Puts the files; all are durable when this returns. */
  Shipment ship(Path modelDirectory, List<String> paths, SnapshotCatalog.Listing published) {
    Map<String, SnapshotFile> standing = published.wholeFiles(store.kind());
    Optional<Base> base = base(published);
    List<SnapshotFile> files = new ArrayList<>();
    for (String path : paths) {
      Path source = modelDirectory.resolve(path);
      try {
        SnapshotFile file = ship(source, path, standing, base);
        files.add(file);
        // Formats may have the same file, such as the tokenizer.
        if (file.getBlocks().isEmpty()) {
          standing.put(file.getSha256(), file);
        }
      } catch (IOException e) {
        throw SnapshotFiles.unreadable(source, e);
      }
    }
    boolean builds = files.stream().anyMatch(file -> !file.getBlocks().isEmpty());
    return new Shipment(
        files, builds ? base.map(from -> from.manifest().getVersion()) : Optional.empty());
  }

  /** Keeps a version that is published, so that the next can build on it. */
  void keep(SnapshotManifest manifest, Path modelDirectory) {
    if (workDirectory.isEmpty() || fullEvery <= 1) {
      return;
    }
    Path root = workDirectory.get();
    try {
      Files.createDirectories(root);
      clear(root);
      Path part = Files.createDirectory(root.resolve(PART + UUID.randomUUID()));
      for (SnapshotFile file : manifest.getFiles()) {
        Path copy = part.resolve(file.getPath());
        Files.createDirectories(copy.getParent());
        Files.copy(modelDirectory.resolve(file.getPath()), copy);
      }
      Files.move(part, root.resolve(BASE + manifest.getVersion()));
    } catch (IOException e) {
      log.warn(
          "version {} is not kept in {}, so the next snapshot is a whole one: {}",
          manifest.getVersion(),
          root,
          e.toString());
    }
  }

  private static void clear(Path root) throws IOException {
    try (Stream<Path> entries = Files.list(root)) {
      for (Path entry : entries.toList()) {
        String name = entry.getFileName().toString();
        if (name.startsWith(BASE) || name.startsWith(PART)) {
          SnapshotFiles.deleteRecursively(entry);
        }
      }
    }
  }

  /** The version before, if differences from it may be told and its bytes are here. */
  private Optional<Base> base(SnapshotCatalog.Listing published) {
    if (workDirectory.isEmpty() || fullEvery <= 1) {
      return Optional.empty();
    }
    long latest = published.highestVersion();
    Path directory = workDirectory.get().resolve(BASE + latest);
    return published
        .find(latest)
        .filter(manifest -> Files.isDirectory(directory))
        .filter(manifest -> published.differencesInARow(manifest) + 1 < fullEvery)
        // Who can read one store may not be able to read another.
        .filter(
            manifest ->
                manifest.getFiles().stream().allMatch(file -> file.getStore().equals(store.kind())))
        .map(manifest -> new Base(manifest, directory));
  }

  private SnapshotFile ship(
      Path source, String path, Map<String, SnapshotFile> standing, Optional<Base> base)
      throws IOException {
    long size = Files.size(source);
    String sha256 = Digests.ofFile(source);
    SnapshotFile before = standing.get(sha256);
    if (before != null
        && before.getSizeBytes() == size
        && before.getChunks() == store.pieces(size)
        && store.holds(StoredObject.of(before))) {
      return SnapshotFile.newBuilder(before).setPath(path).build();
    }
    // What formats share is small, and each of them would need a base of its own for it.
    if (base.isPresent() && size > 0 && SnapshotFormat.ofPath(path).isPresent()) {
      Optional<SnapshotFile> differences = shipDifferences(source, path, size, sha256, base.get());
      if (differences.isPresent()) {
        return differences.get();
      }
    }
    Place place = store.put(List.of(new Content(sha256, size, source)));
    return file(path, size, sha256, store.pieces(size), place).build();
  }

  private SnapshotFile.Builder file(
      String path, long size, String sha256, int pieces, Place place) {
    return SnapshotFile.newBuilder()
        .setPath(path)
        .setSizeBytes(size)
        .setSha256(sha256)
        .setChunks(pieces)
        .setChunkPartition(place.partition())
        .setFirstChunkOffset(place.first())
        .setLastChunkOffset(place.last())
        .setStore(store.kind());
  }

  private Optional<SnapshotFile> shipDifferences(
      Path source, String path, long size, String sha256, Base base) throws IOException {
    Path old = base.directory().resolve(path);
    Optional<SnapshotFile> published =
        base.manifest().getFiles().stream().filter(f -> f.getPath().equals(path)).findFirst();
    if (published.isEmpty()
        || !Files.isRegularFile(old)
        || !Digests.ofFile(old).equals(published.get().getSha256())) {
      return Optional.empty();
    }
    byte[] baseSha256 = HexFormat.of().parseHex(published.get().getSha256());
    Path scratch =
        Files.createDirectory(workDirectory.orElseThrow().resolve(PART + UUID.randomUUID()));
    try {
      List<Content> blocks = new ArrayList<>();
      FileDelta.encode(old, baseSha256, source, block -> blocks.add(write(block, scratch)));
      long total = blocks.stream().mapToLong(Content::sizeBytes).sum();
      if (total >= WORTH * size) {
        return Optional.empty();
      }
      requireRebuilt(old, baseSha256, blocks, source, size, sha256);
      Place place = store.put(blocks);
      int pieces = blocks.stream().mapToInt(block -> store.pieces(block.sizeBytes())).sum();
      return Optional.of(
          file(path, size, sha256, pieces, place)
              .setBlocks(
                  blocks.stream()
                      .map(block -> new SnapshotBlock(block.sha256(), block.sizeBytes()))
                      .toList())
              .build());
    } finally {
      SnapshotFiles.deleteRecursively(scratch);
    }
  }

  private static Content write(byte[] block, Path scratch) throws IOException {
    MessageDigest digest = Digests.sha256();
    digest.update(block);
    String sha256 = Digests.hex(digest);
    return new Content(sha256, block.length, Files.write(scratch.resolve(sha256), block));
  }

  /** Nothing goes out that would not come back as it was. */
  private static void requireRebuilt(
      Path old, byte[] baseSha256, List<Content> blocks, Path source, long size, String sha256)
      throws IOException {
    MessageDigest digest = Digests.sha256();
    Iterator<Content> each = blocks.iterator();
    try (OutputStream out = new DigestOutputStream(OutputStream.nullOutputStream(), digest)) {
      FileDelta.decode(
          old,
          baseSha256,
          blocks.size(),
          () -> Files.readAllBytes(each.next().source()),
          size,
          out);
    } catch (DeltaException e) {
      throw new SnapshotException(Kind.BAD_DELTA, "snapshot: " + source + ": " + e.getMessage(), e);
    }
    if (!Digests.hex(digest).equals(sha256)) {
      throw SnapshotFiles.changed(source);
    }
  }
}
