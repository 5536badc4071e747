package io.reflux.snapshots;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.UUID;

/**
 * A download in progress. A lock on a file beside it says that its process lives, so what a killed
 * one left can be told from what another one is just writing.
 */
final class PartialDirectory implements AutoCloseable {
  static final String PREFIX = ".partial-";
  private static final String LOCK_SUFFIX = ".lock";

  private final Path path;
  private final Path lockFile;
  private final FileChannel lockChannel;

  private PartialDirectory(Path path, Path lockFile, FileChannel lockChannel) {
    this.path = path;
    this.lockFile = lockFile;
    this.lockChannel = lockChannel;
  }

  static PartialDirectory create(Path parent) throws IOException {
    Path path = parent.resolve(PREFIX + UUID.randomUUID());
    Path lockFile = lockOf(path);
    FileChannel channel =
        FileChannel.open(lockFile, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
    try {
      channel.lock();
      // After the lock: a directory without a held lock counts as abandoned.
      Files.createDirectory(path);
      return new PartialDirectory(path, lockFile, channel);
    } catch (IOException e) {
      channel.close();
      Files.deleteIfExists(lockFile);
      throw e;
    }
  }

  /**
   * @param kept takes over what is whole
   */
  static void deleteIfAbandoned(Path directory, KeptObjects kept) throws IOException {
    Path lockFile = lockOf(directory);
    try (FileChannel channel =
            FileChannel.open(lockFile, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock lock = channel.tryLock()) {
      if (lock != null) {
        kept.takeFrom(directory);
        SnapshotFiles.deleteRecursively(directory);
        Files.deleteIfExists(lockFile);
      }
    } catch (OverlappingFileLockException e) {
      // Held within this very process: in use.
      return;
    }
  }

  Path path() {
    return path;
  }

  /** Deletes what is left: nothing, if the directory was renamed. */
  @Override
  public void close() throws IOException {
    try {
      SnapshotFiles.deleteRecursively(path);
    } finally {
      lockChannel.close();
      Files.deleteIfExists(lockFile);
    }
  }

  private static Path lockOf(Path directory) {
    return directory.resolveSibling(directory.getFileName() + LOCK_SUFFIX);
  }
}
