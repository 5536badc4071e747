package io.reflux.devstack;

import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * A directory that one owner at a time holds, with a few values that outlive it.
 *
 * <p>The lock is the operating system's, so a killed owner leaves none behind.
 */
final class DataDirectory implements AutoCloseable {
  private final Path directory;
  private final Path file;
  private final FileChannel channel;
  private final Map<String, String> values = new TreeMap<>();

  private DataDirectory(Path directory, String name, FileChannel channel) {
    this.directory = directory;
    this.file = directory.resolve(name + ".properties");
    this.channel = channel;
  }

  /**
   * Creates the directory if needed and takes it.
   *
   * @param name names the lock and the file of values, so that two owners with different names can
   *     share a directory
   */
  static DataDirectory open(Path directory, String name) {
    Path absolute = directory.toAbsolutePath().normalize();
    FileChannel channel = null;
    DataDirectory taken = null;
    try {
      Files.createDirectories(absolute);
      channel =
          FileChannel.open(
              absolute.resolve(name + ".lock"),
              StandardOpenOption.CREATE,
              StandardOpenOption.WRITE);
      if (!lock(channel)) {
        throw new RefluxException(
            "data directory: "
                + absolute
                + " (expected: not in use; another process or broker holds it)");
      }
      taken = new DataDirectory(absolute, name, channel);
      taken.load();
      return taken;
    } catch (IOException e) {
      taken = null;
      throw new RefluxException(
          "data directory: " + absolute + " (expected: a writable directory): " + e, e);
    } finally {
      if (taken == null && channel != null) {
        closeQuietly(channel);
      }
    }
  }

  private static boolean lock(FileChannel channel) throws IOException {
    try {
      FileLock lock = channel.tryLock();
      return lock != null;
    } catch (OverlappingFileLockException e) {
      return false; // held by this very JVM
    }
  }

  Path path() {
    return directory;
  }

  /** Where {@link #put} keeps its values. */
  Path file() {
    return file;
  }

  Optional<String> get(String key) {
    return Optional.ofNullable(values.get(key));
  }

  /** The port kept under {@code key}, 0 if none. */
  int port(String key) {
    String value = values.get(key);
    if (value == null) {
      return 0;
    }
    try {
      int port = Integer.parseInt(value);
      Ports.requireValid(key + " in " + file, port);
      return port;
    } catch (NumberFormatException e) {
      throw new RefluxException(key + " in " + file + ": " + value + " (expected: a port)", e);
    }
  }

  void put(String key, String value) {
    if (value.equals(values.put(key, value))) {
      return;
    }
    // Whole file, then rename: a crash leaves the old values or the new ones.
    StringBuilder text = new StringBuilder();
    values.forEach((k, v) -> text.append(k).append('=').append(v).append('\n'));
    Path next = directory.resolve(file.getFileName() + ".next");
    try {
      Files.writeString(next, text);
      Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new RefluxException(file + ": cannot be written: " + e, e);
    }
  }

  private void load() throws IOException {
    if (!Files.exists(file)) {
      return;
    }
    for (String line : Files.readAllLines(file)) {
      int equals = line.indexOf('=');
      if (equals > 0 && !line.startsWith("#")) {
        values.put(line.substring(0, equals).trim(), line.substring(equals + 1).trim());
      }
    }
  }

  @Override
  public void close() {
    closeQuietly(channel); // gives the lock back
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      channel.close();
    } catch (IOException e) {
      // Nothing was written through it: closing only gives the lock back, and so does the exit.
    }
  }
}
