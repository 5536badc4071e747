package io.reflux.serving.sidecar;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The folder that a runtime reads: {@code versions/N} for each version, and {@code current}, a
 * symbolic link to one of them. A version's directory appears whole, by one rename, and is never
 * changed; {@code current}, once there, is never missing and never points to less than a whole one.
 * What nobody else should look at is in {@code .reflux}.
 *
 * <p>For one thread, and by a lock for one process.
 */
final class VersionFolder implements AutoCloseable {
  private static final Pattern NAME = Pattern.compile("([1-9][0-9]{0,17})(?:-[0-9]+)?");
  private static final String STAGING = ".staging-";
  private static final JsonMapper JSON = new JsonMapper();

  private final Path folder;
  private final Path versions;
  private final Path own;
  private final Path current;
  private final Path takenFile;
  private final FileChannel lock;
  private Optional<Taken> taken;

  /**
   * What the runtime took last.
   *
   * @param name of its directory
   */
  record Taken(long version, String name, String fingerprint) {}

  private VersionFolder(Path folder, FileChannel lock) throws IOException {
    this.folder = folder;
    this.versions = folder.resolve("versions");
    this.own = folder.resolve(".reflux");
    this.current = folder.resolve("current");
    this.takenFile = own.resolve("taken.json");
    this.lock = lock;
    Files.createDirectories(versions);
    this.taken = read();
    clearStaging();
  }

  /**
   * Takes a folder into use, made if need be.
   *
   * @throws RefluxException one line if it cannot be used, or another sidecar uses it
   */
  static VersionFolder open(Path path) {
    Path folder = path.toAbsolutePath().normalize();
    Path own = folder.resolve(".reflux");
    Path link = folder.resolve("current");
    FileChannel lock = null;
    boolean opened = false;
    try {
      Files.createDirectories(own);
      if (Files.exists(link, LinkOption.NOFOLLOW_LINKS) && !Files.isSymbolicLink(link)) {
        throw new RefluxException(link + ": no link (expected: a symbolic link, or nothing)");
      }
      lock =
          FileChannel.open(
              own.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      if (lock.tryLock() == null) {
        throw inUse(folder);
      }
      VersionFolder made = new VersionFolder(folder, lock);
      opened = true;
      return made;
    } catch (OverlappingFileLockException e) {
      throw inUse(folder);
    } catch (IOException e) {
      throw new RefluxException(
          folder + ": " + e + " (expected: a folder that can be written to)", e);
    } finally {
      if (!opened) {
        close(lock);
      }
    }
  }

  private static RefluxException inUse(Path folder) {
    return new RefluxException(folder + ": in use (expected: one sidecar a folder)");
  }

  /** For the sidecar's own files. */
  Path own() {
    return own;
  }

  /** The link. */
  Path current() {
    return current;
  }

  /** What the runtime took last; empty before the first. */
  Optional<Taken> taken() {
    return taken;
  }

  /** Where a version's directory is. */
  Path directory(String name) {
    return versions.resolve(name);
  }

  /** The directory that the link points to; empty before the first. */
  Optional<String> pointedTo() {
    try {
      return Files.isSymbolicLink(current)
          ? Optional.of(Files.readSymbolicLink(current).getFileName().toString())
          : Optional.empty();
    } catch (IOException e) {
      throw storage("read " + current, e);
    }
  }

  /**
   * Lays out a version. One that is there already, with the same files, stays as it is; one of the
   * same number with others gets a name of its own, because a runtime may be reading it.
   *
   * @param files where each file's bytes are, by its path in the version's directory
   * @return the name of its directory
   */
  String stage(long version, Map<String, Path> files) {
    String number = Long.toString(version);
    try {
      String name = number;
      for (int i = 2; Files.exists(versions.resolve(name)); i++) {
        if (holds(versions.resolve(name), files)) {
          return name;
        }
        name = number + "-" + i;
      }
      Path staging = versions.resolve(STAGING + number);
      Disk.delete(staging);
      Files.createDirectory(staging);
      for (Map.Entry<String, Path> file : new TreeMap<>(files).entrySet()) {
        Disk.linkOrCopy(file.getValue(), staging.resolve(file.getKey()));
      }
      forceDirectories(staging);
      Files.move(staging, versions.resolve(name), StandardCopyOption.ATOMIC_MOVE);
      Disk.force(versions);
      return name;
    } catch (IOException e) {
      throw storage("lay out version " + version + " in " + versions, e);
    }
  }

  /** Points the link to a version's directory, in one step for whoever looks. */
  void flip(String name) {
    if (pointedTo().filter(name::equals).isPresent()) {
      return;
    }
    Path next = folder.resolve(".current-next");
    try {
      Files.deleteIfExists(next);
      Files.createSymbolicLink(next, Path.of("versions", name));
      Files.move(next, current, StandardCopyOption.ATOMIC_MOVE);
      Disk.force(folder);
    } catch (IOException e) {
      throw storage("point " + current + " to " + name, e);
    }
  }

  /** Remembers what the runtime took. */
  void take(Taken now) {
    ObjectNode node = JSON.createObjectNode();
    node.put("version", now.version());
    node.put("directory", now.name());
    node.put("fingerprint", now.fingerprint());
    try {
      Disk.write(takenFile, JSON.writeValueAsBytes(node));
    } catch (IOException e) {
      throw storage("write " + takenFile, e);
    }
    taken = Optional.of(now);
  }

  /** Deletes all but the newest versions; what is current, or was taken last, stays in any case. */
  void prune(int keep) {
    Optional<String> pointedTo = pointedTo();
    try {
      List<String> names = new ArrayList<>();
      for (Path entry : entries()) {
        if (NAME.matcher(entry.getFileName().toString()).matches()) {
          names.add(entry.getFileName().toString());
        }
      }
      names.sort(Comparator.comparingLong(VersionFolder::number).reversed());
      names.sort(
          Comparator.comparing(
              name ->
                  pointedTo.filter(name::equals).isEmpty()
                      && taken.map(Taken::name).filter(name::equals).isEmpty()));
      for (String name : names.subList(Math.min(keep, names.size()), names.size())) {
        // Aside first: nobody who lists the folder takes half of it for a version.
        Path aside = versions.resolve(STAGING + "old-" + name);
        Files.move(versions.resolve(name), aside, StandardCopyOption.ATOMIC_MOVE);
        Disk.delete(aside);
      }
    } catch (IOException e) {
      throw storage("clear " + versions, e);
    }
  }

  /** Lets the folder go. */
  @Override
  public void close() {
    close(lock);
  }

  private static void close(FileChannel lock) {
    if (lock != null) {
      try {
        lock.close();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private Optional<Taken> read() throws IOException {
    if (!Files.exists(takenFile)) {
      return Optional.empty();
    }
    JsonNode node = JSON.readTree(Files.readAllBytes(takenFile));
    String name = node.path("directory").asText();
    Matcher matcher = NAME.matcher(name);
    if (!matcher.matches() || !node.path("version").isIntegralNumber()) {
      throw new RefluxException(
          takenFile + ": " + node + " (expected: the version that was taken last)");
    }
    return Files.isDirectory(versions.resolve(name))
        ? Optional.of(
            new Taken(node.path("version").asLong(), name, node.path("fingerprint").asText()))
        : Optional.empty();
  }

  /** What a killed sidecar left. */
  private void clearStaging() throws IOException {
    for (Path entry : entries()) {
      if (entry.getFileName().toString().startsWith(STAGING)) {
        Disk.delete(entry);
      }
    }
  }

  private List<Path> entries() throws IOException {
    try (Stream<Path> list = Files.list(versions)) {
      return list.toList();
    }
  }

  /** Whether a directory has these files, byte by byte, and no others. */
  private static boolean holds(Path directory, Map<String, Path> files) throws IOException {
    for (Map.Entry<String, Path> file : files.entrySet()) {
      Path there = directory.resolve(file.getKey());
      // Mostly two names of one file.
      if (!Files.isRegularFile(there)
          || (!Files.isSameFile(there, file.getValue())
              && Files.mismatch(there, file.getValue()) >= 0)) {
        return false;
      }
    }
    try (Stream<Path> found = Files.walk(directory)) {
      return found.filter(Files::isRegularFile).count() == files.size();
    }
  }

  private static void forceDirectories(Path root) throws IOException {
    List<Path> directories;
    try (Stream<Path> walk = Files.walk(root)) {
      directories = walk.filter(Files::isDirectory).toList();
    }
    for (Path directory : directories) {
      Disk.force(directory);
    }
  }

  private static long number(String name) {
    Matcher matcher = NAME.matcher(name);
    return matcher.matches() ? Long.parseLong(matcher.group(1)) : 0;
  }

  private static SnapshotException storage(String what, IOException e) {
    return new SnapshotException(
        SnapshotException.Kind.STORAGE, "sidecar: cannot " + what + ": " + e, e);
  }
}
