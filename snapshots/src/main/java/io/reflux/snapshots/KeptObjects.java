package io.reflux.snapshots;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.stream.Stream;

/**
 * What came whole before a process was killed: files and blocks, each named by the SHA-256 of its
 * content, so that the next download need not bring them again. Nothing that is not whole is ever
 * asked for, for nobody wants its name.
 */
final class KeptObjects {
  private final Path directory;

  KeptObjects(Path directory) {
    this.directory = directory;
  }

  /** Takes over everything that an abandoned download has. */
  void takeFrom(Path abandoned) throws IOException {
    if (!Files.isDirectory(abandoned)) {
      return;
    }
    List<Path> files;
    try (Stream<Path> walk = Files.walk(abandoned)) {
      files = walk.filter(Files::isRegularFile).toList();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    Files.createDirectories(directory);
    for (Path file : files) {
      Files.move(
          file, directory.resolve(Digests.ofFile(file)), StandardCopyOption.REPLACE_EXISTING);
    }
  }

  /**
   * Puts an object where it is wanted.
   *
   * @return false if it is not here
   */
  boolean give(StoredObject object, Path target) throws IOException {
    Path kept = directory.resolve(object.sha256());
    if (!Files.isRegularFile(kept) || Files.size(kept) != object.sizeBytes()) {
      return false;
    }
    try {
      Files.move(kept, target);
    } catch (NoSuchFileException e) {
      // Another process has found it first.
      return false;
    }
    SnapshotFiles.force(target);
    return true;
  }

  void clear() throws IOException {
    SnapshotFiles.deleteRecursively(directory);
  }
}
