package io.reflux.cli;

import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.FetchedSnapshot;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotFetcher;
import io.reflux.snapshots.SnapshotFormat;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Versions that a command looks at, in a directory that goes when it is done. */
final class FetchedCopies implements AutoCloseable {
  private final SnapshotFetcher fetcher;
  private final Path directory;

  FetchedCopies(SnapshotAccess access) {
    this(access, temporary(null));
  }

  private FetchedCopies(SnapshotAccess access, Path directory) {
    this.directory = directory;
    this.fetcher = new SnapshotFetcher(access, directory);
  }

  /** Downloads and verifies what Reflux itself uses. */
  FetchedSnapshot fetch(SnapshotManifest manifest) {
    return fetch(manifest, SnapshotFormat.SAFETENSORS);
  }

  /** Downloads and verifies. */
  FetchedSnapshot fetch(SnapshotManifest manifest, SnapshotFormat format) {
    return fetcher.fetch(manifest.getVersion(), format);
  }

  /** Appears under its name only whole and verified, by one rename. */
  static void export(
      SnapshotAccess access, SnapshotManifest manifest, SnapshotFormat format, Path target) {
    requireNew("--out", target);
    Path parent = target.toAbsolutePath().normalize().getParent();
    if (parent == null || !Files.isDirectory(parent)) {
      throw new RefluxException("--out: " + target + " (expected: in a directory that is there)");
    }
    // Beside it, for a rename goes nowhere else.
    try (FetchedCopies copies = new FetchedCopies(access, temporary(parent))) {
      Path fetched = copies.fetch(manifest, format).directory();
      Files.move(fetched, target.toAbsolutePath().normalize(), StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new RefluxException("--out: " + target + ": " + e.getMessage(), e);
    }
  }

  static void requireNew(String option, Path target) {
    if (Files.exists(target)) {
      throw new RefluxException(option + ": " + target + " exists (expected: a new directory)");
    }
  }

  @Override
  public void close() {
    try (Stream<Path> walk = Files.walk(directory)) {
      List<Path> paths = walk.sorted(Comparator.reverseOrder()).toList();
      for (Path path : paths) {
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path temporary(Path parent) {
    try {
      return parent == null
          ? Files.createTempDirectory("reflux-snapshots-")
          : Files.createTempDirectory(parent, ".reflux-export-");
    } catch (IOException e) {
      throw new RefluxException("temporary directory: " + e.getMessage(), e);
    }
  }
}
