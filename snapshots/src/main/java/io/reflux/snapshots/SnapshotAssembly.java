package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotBlock;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.SnapshotStore.Wanted;
import io.reflux.snapshots.delta.DeltaException;
import io.reflux.snapshots.delta.FileDelta;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Puts the files of one format of a snapshot into a directory: whole ones as they are, others from
 * the blocks of their differences and the base that these are from. Each is held to the manifest's
 * digest.
 */
final class SnapshotAssembly {
  private final SnapshotStores stores;
  private final SnapshotManifest manifest;
  private final SnapshotFormat format;
  private final Optional<FetchedSnapshot> base;
  private final KeptObjects kept;
  private final Path directory;

  /** Objects by their store and name: files and blocks of equal content are brought once. */
  private final Map<String, Map<String, Wanted>> wanted = new LinkedHashMap<>();

  /**
   * @param format one that the manifest offers
   * @param base what the format's differences are from; empty if it has none
   * @param kept what need not be brought
   * @param directory empty
   */
  SnapshotAssembly(
      SnapshotStores stores,
      SnapshotManifest manifest,
      SnapshotFormat format,
      Optional<FetchedSnapshot> base,
      KeptObjects kept,
      Path directory) {
    this.stores = stores;
    this.manifest = manifest;
    this.format = format;
    this.base = base;
    this.kept = kept;
    this.directory = directory;
  }

  /** Returns when every file is there, verified and on the disk. */
  void run() throws IOException {
    List<SnapshotFile> files = format.files(manifest);
    Path objects = Files.createDirectory(directory.resolve(".objects"));
    for (SnapshotFile file : files) {
      SnapshotStore store = stores.of(file.getStore(), name(file));
      if (file.getBlocks().isEmpty()) {
        want(file, StoredObject.of(file), name(file), objects);
      } else {
        for (SnapshotBlock block : file.getBlocks()) {
          want(file, block(store, file, block), name(file) + ", a block of it", objects);
        }
      }
    }
    for (Map.Entry<String, Map<String, Wanted>> store : wanted.entrySet()) {
      stores
          .of(store.getKey(), "snapshot " + manifest.getVersion())
          .get(List.copyOf(store.getValue().values()));
    }
    Map<String, Path> built = new HashMap<>();
    for (SnapshotFile file : files) {
      Path target = directory.resolve(file.getPath());
      Files.createDirectories(target.getParent());
      Path same = built.putIfAbsent(file.getSha256(), target);
      if (same != null) {
        Files.copy(same, target);
      } else if (file.getBlocks().isEmpty()) {
        Files.move(objects.resolve(file.getSha256()), target);
      } else {
        rebuild(file, objects, target);
      }
      SnapshotFiles.verify(name(file), target, file.getSizeBytes(), file.getSha256());
    }
    SnapshotFiles.deleteRecursively(objects);
  }

  private void want(SnapshotFile file, StoredObject object, String name, Path objects)
      throws IOException {
    Path target = objects.resolve(object.sha256());
    if (Files.exists(target) || kept.give(object, target)) {
      return;
    }
    wanted
        .computeIfAbsent(file.getStore(), kind -> new LinkedHashMap<>())
        .putIfAbsent(object.sha256(), new Wanted(name, object, target));
  }

  private static StoredObject block(SnapshotStore store, SnapshotFile file, SnapshotBlock block) {
    return new StoredObject(
        block.getSha256(),
        block.getSizeBytes(),
        store.pieces(block.getSizeBytes()),
        StoredObject.placeOf(file));
  }

  private void rebuild(SnapshotFile file, Path objects, Path target) throws IOException {
    FetchedSnapshot from = base.orElseThrow();
    SnapshotFile old =
        from.manifest().getFiles().stream()
            .filter(candidate -> candidate.getPath().equals(file.getPath()))
            .findFirst()
            .orElseThrow(
                () ->
                    new SnapshotException(
                        Kind.BAD_DELTA,
                        name(file)
                            + ": differences from version "
                            + from.version()
                            + " (expected: a version that has such a file)"));
    Iterator<SnapshotBlock> blocks = new ArrayList<>(file.getBlocks()).iterator();
    try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(target))) {
      FileDelta.decode(
          from.directory().resolve(file.getPath()),
          HexFormat.of().parseHex(old.getSha256()),
          file.getBlocks().size(),
          () -> Files.readAllBytes(objects.resolve(blocks.next().getSha256())),
          file.getSizeBytes(),
          out);
    } catch (DeltaException e) {
      throw new SnapshotException(
          Kind.BAD_DELTA,
          name(file) + ": differences from version " + from.version() + ": " + e.getMessage(),
          e);
    }
    SnapshotFiles.force(target);
  }

  private String name(SnapshotFile file) {
    return "snapshot " + manifest.getVersion() + ", file " + file.getPath();
  }
}
