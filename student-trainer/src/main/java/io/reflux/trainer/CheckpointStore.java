package io.reflux.trainer;

import io.reflux.schemas.service.RefluxException;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Checkpoints in a directory that one trainer at a time may use. Each is a file of its own, written
 * aside, synced, and renamed, with a SHA-256 at its end; some before it are kept.
 */
final class CheckpointStore implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(CheckpointStore.class);
  private static final String PREFIX = "checkpoint-";
  private static final String SUFFIX = ".reflux";
  private static final String TEMPORARY = "checkpoint.tmp";
  private static final String LOCK = "trainer.lock";
  private static final int DIGEST_BYTES = 32;

  private final Path directory;
  private final FileChannel lockFile;
  private final FileLock lock;
  private final int retention;
  private long newest;

  /**
   * A checkpoint that was read.
   *
   * @param number of the checkpoint; they only grow
   * @param problems newer ones that could not be used, one line each
   */
  record Loaded(long number, Checkpoint checkpoint, List<String> problems) {}

  private CheckpointStore(Path directory, int retention, FileChannel lockFile, FileLock lock) {
    this.directory = directory;
    this.retention = retention;
    this.lockFile = lockFile;
    this.lock = lock;
  }

  /**
   * Takes a directory.
   *
   * @param directory made if need be
   * @param retention newest checkpoints that are kept, 1 or more
   * @throws RefluxException if it cannot be used, or another trainer uses it
   */
  static CheckpointStore open(Path directory, int retention) {
    try {
      Files.createDirectories(directory);
      FileChannel channel =
          FileChannel.open(
              directory.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      FileLock lock = tryLock(channel);
      if (lock == null) {
        channel.close();
        throw new RefluxException(
            "reflux.train.data-dir: " + directory + " is in use by another trainer");
      }
      return new CheckpointStore(directory, retention, channel, lock);
    } catch (IOException e) {
      throw new RefluxException(
          "reflux.train.data-dir: " + directory + " cannot be used: " + e.getMessage(), e);
    }
  }

  private static FileLock tryLock(FileChannel channel) throws IOException {
    try {
      return channel.tryLock();
    } catch (OverlappingFileLockException e) {
      // The other trainer is in this JVM.
      return null;
    }
  }

  /**
   * The newest checkpoint that is whole. One that is not is set aside and named in the log.
   *
   * @throws RefluxException if there are checkpoints and none is whole: starting over in silence
   *     would lose what was learned
   */
  Optional<Loaded> load() {
    List<Path> files = files(directory);
    files.forEach(file -> newest = Math.max(newest, number(file)));
    return newestWhole(
        files,
        (file, problem) -> {
          log.error("Checkpoint {} cannot be used, trying the one before: {}", file, problem);
          setAside(file);
        });
  }

  /**
   * The same of a directory that is left as it is, whether a trainer uses it or not.
   *
   * @throws RefluxException as {@link #load} does
   */
  static Optional<Loaded> peek(Path directory) {
    return Files.isDirectory(directory)
        ? newestWhole(files(directory), (file, problem) -> {})
        : Optional.empty();
  }

  private static Optional<Loaded> newestWhole(List<Path> files, BiConsumer<Path, String> torn) {
    List<String> problems = new ArrayList<>();
    for (int i = files.size() - 1; i >= 0; i--) {
      Path file = files.get(i);
      try {
        return Optional.of(new Loaded(number(file), read(file), List.copyOf(problems)));
      } catch (IOException e) {
        problems.add(file + ": " + e.getMessage());
        torn.accept(file, e.getMessage());
      }
    }
    if (!problems.isEmpty()) {
      throw new RefluxException(
          "reflux.train.data-dir: no whole checkpoint: "
              + String.join("; ", problems)
              + " (expected: one; start with an empty directory to begin anew)");
    }
    return Optional.empty();
  }

  /**
   * Writes a checkpoint and lets go of old ones.
   *
   * @throws IOException if it is not safely on disk; those before are as they were
   */
  void save(Checkpoint checkpoint) throws IOException {
    Path temporary = directory.resolve(TEMPORARY);
    Path target = directory.resolve(PREFIX + "%012d".formatted(newest + 1) + SUFFIX);
    boolean whole = false;
    try {
      write(checkpoint, temporary);
      Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
      syncDirectory();
      whole = true;
    } finally {
      if (!whole) {
        // What others need on a full disk.
        discard(temporary);
      }
    }
    newest++;
    List<Path> files = files(directory);
    for (Path old : files.subList(0, Math.max(0, files.size() - retention))) {
      // One too many is no reason to call the new one failed.
      discard(old);
    }
  }

  private static void write(Checkpoint checkpoint, Path target) throws IOException {
    MessageDigest digest = sha256();
    try (FileChannel channel =
            FileChannel.open(
                target,
                StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING,
                StandardOpenOption.WRITE);
        OutputStream file = Channels.newOutputStream(channel)) {
      DataOutputStream out =
          new DataOutputStream(
              new BufferedOutputStream(new DigestOutputStream(file, digest), 1 << 16));
      CheckpointFormat.write(checkpoint, out);
      out.flush();
      file.write(digest.digest());
      channel.force(true);
    }
  }

  private static void discard(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      log.warn("{} cannot be deleted: {}", file, e.getMessage());
    }
  }

  /** Number of the newest checkpoint; 0 without any. */
  long newest() {
    return newest;
  }

  /** Number of the oldest checkpoint that is kept; 0, the start of all, while none had to go. */
  long oldest() {
    List<Path> files = files(directory);
    return files.size() < retention ? 0 : number(files.get(0));
  }

  @Override
  public void close() {
    try {
      lock.release();
      lockFile.close();
    } catch (IOException e) {
      log.warn("Lock of {}: {}", directory, e.getMessage());
    }
  }

  private static Checkpoint read(Path file) throws IOException {
    long content = Files.size(file) - DIGEST_BYTES;
    if (content < 0) {
      throw new IOException("%d bytes (expected: more)".formatted(content + DIGEST_BYTES));
    }
    MessageDigest digest = sha256();
    try (InputStream in = Files.newInputStream(file)) {
      byte[] buffer = new byte[1 << 16];
      long left = content;
      while (left > 0) {
        int length = in.readNBytes(buffer, 0, (int) Math.min(buffer.length, left));
        if (length == 0) {
          throw new IOException("shorter while it was read");
        }
        digest.update(buffer, 0, length);
        left -= length;
      }
      if (!MessageDigest.isEqual(digest.digest(), in.readNBytes(DIGEST_BYTES))) {
        throw new IOException("its SHA-256 does not hold (expected: a file written to its end)");
      }
    }
    try (DataInputStream in =
        new DataInputStream(new BufferedInputStream(Files.newInputStream(file), 1 << 16))) {
      return CheckpointFormat.read(in);
    }
  }

  private static List<Path> files(Path directory) {
    try (Stream<Path> entries = Files.list(directory)) {
      List<Path> files =
          new ArrayList<>(
              entries
                  .filter(
                      path -> path.getFileName().toString().matches(PREFIX + "\\d{12}" + SUFFIX))
                  .toList());
      Collections.sort(files);
      return files;
    } catch (IOException e) {
      throw new RefluxException(
          "reflux.train.data-dir: " + directory + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static void setAside(Path file) {
    try {
      Files.move(
          file,
          file.resolveSibling(file.getFileName() + ".torn"),
          StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      log.error("Checkpoint {} cannot be set aside: {}", file, e.getMessage());
    }
  }

  private void syncDirectory() throws IOException {
    try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  private static long number(Path file) {
    String name = file.getFileName().toString();
    return Long.parseLong(name.substring(PREFIX.length(), name.length() - SUFFIX.length()));
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JVM has SHA-256", e);
    }
  }
}
