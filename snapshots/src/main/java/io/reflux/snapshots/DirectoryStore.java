package io.reflux.snapshots;

import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.StoredObject.Place;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Stream;

/**
 * Objects as files of a directory that publishers and fleets share, {@code ab/abcdef…} by their
 * names. A file gets its name only when all of it is on the disk, and its directory's entry is
 * before the store says so.
 */
final class DirectoryStore implements SnapshotStore {
  static final String KIND = "dir";
  private static final String PART = ".part-";
  private static final int SHA256_HEX = 64;

  private final Path root;

  /**
   * @param root made if missing, though not its parent: a mount that is away is no empty store
   */
  DirectoryStore(Path root) {
    this.root = root.toAbsolutePath();
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public int pieces(long sizeBytes) {
    return sizeBytes == 0 ? 0 : 1;
  }

  /** Reads all of it: a disk may lose bytes. */
  @Override
  public boolean holds(StoredObject object) {
    Path file = file(object.sha256());
    try {
      return Files.isRegularFile(file)
          && Files.size(file) == object.sizeBytes()
          && Digests.ofFile(file).equals(object.sha256());
    } catch (IOException e) {
      throw failure(e);
    }
  }

  @Override
  public Place put(List<Content> contents) {
    try {
      if (!Files.isDirectory(root)) {
        Files.createDirectory(root);
      }
      for (Content content : contents) {
        put(content);
      }
      return Place.UNKNOWN;
    } catch (NoSuchFileException e) {
      throw new SnapshotException(
          Kind.STORE, this + ": " + e.getMessage() + " is missing (expected: a directory)", e);
    } catch (IOException e) {
      throw failure(e);
    }
  }

  private void put(Content content) throws IOException {
    Path target = file(content.sha256());
    StoredObject object = new StoredObject(content.sha256(), content.sizeBytes(), 1, Place.UNKNOWN);
    if (holds(object)) {
      // Its age is from its last use, or tidying up would take it from under a publisher.
      Files.setLastModifiedTime(target, FileTime.from(Instant.now()));
      return;
    }
    Files.createDirectories(target.getParent());
    Path part = target.resolveSibling(PART + UUID.randomUUID());
    try {
      copy(content, part);
      SnapshotFiles.force(part);
      Files.move(part, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
      SnapshotFiles.force(target.getParent());
      SnapshotFiles.force(root);
    } finally {
      Files.deleteIfExists(part);
    }
  }

  private static void copy(Content content, Path part) throws IOException {
    MessageDigest digest = Digests.sha256();
    long size;
    try (InputStream in = Files.newInputStream(content.source());
        OutputStream out =
            new DigestOutputStream(
                Files.newOutputStream(part, StandardOpenOption.CREATE_NEW), digest)) {
      size = in.transferTo(out);
    }
    if (size != content.sizeBytes() || !Digests.hex(digest).equals(content.sha256())) {
      throw SnapshotFiles.changed(content.source());
    }
  }

  @Override
  public void get(List<Wanted> wanted) {
    for (Wanted one : wanted) {
      Path file = file(one.object().sha256());
      try {
        if (!Files.isRegularFile(file)) {
          throw new SnapshotException(
              Kind.MISSING_CHUNK,
              one.name() + ": no " + file + " (expected: there, unless it was tidied away)");
        }
        Files.copy(file, one.target());
        SnapshotFiles.force(one.target());
        SnapshotFiles.verify(
            one.name() + ", from " + this,
            one.target(),
            one.object().sizeBytes(),
            one.object().sha256());
      } catch (IOException e) {
        throw failure(e);
      }
    }
  }

  @Override
  public Map<String, Instant> list() {
    Map<String, Instant> objects = new HashMap<>();
    if (!Files.isDirectory(root)) {
      return objects;
    }
    try (Stream<Path> files = Files.walk(root, 2)) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        String name = file.getFileName().toString();
        if (name.length() == SHA256_HEX) {
          objects.put(name, Files.getLastModifiedTime(file).toInstant());
        }
      }
      return objects;
    } catch (IOException e) {
      throw failure(e);
    }
  }

  @Override
  public void delete(Set<String> sha256s) {
    try {
      for (String sha256 : sha256s) {
        Files.deleteIfExists(file(sha256));
      }
    } catch (IOException e) {
      throw failure(e);
    }
  }

  @Override
  public void close() {}

  @Override
  public String toString() {
    return "dir:" + root;
  }

  private Path file(String sha256) {
    return root.resolve(sha256.substring(0, 2)).resolve(sha256);
  }

  private SnapshotException failure(IOException e) {
    return new SnapshotException(Kind.STORE, this + ": " + e, e);
  }
}
