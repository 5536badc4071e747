package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotBlock;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.snapshots.SnapshotException.Kind;
import io.reflux.snapshots.delta.DeltaBlock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.FileChannel;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What may be in a snapshot. */
final class SnapshotFiles {
  private static final Pattern SHA256 = Pattern.compile("[0-9a-f]{64}");
  private static final Pattern FORMAT = Pattern.compile("[a-z][a-z0-9-]{0,31}");

  private SnapshotFiles() {}

  /**
   * The files of a model directory that travel, by path. Hidden ones stay at home; links are
   * followed, for Hugging Face's cache is made of them.
   *
   * @return paths relative to the directory, with forward slashes
   */
  static List<String> list(Path modelDirectory) {
    if (!Files.isDirectory(modelDirectory)) {
      throw new SnapshotException(
          Kind.STORAGE, "snapshot: " + modelDirectory + " (expected: a model directory)");
    }
    try (Stream<Path> files = Files.walk(modelDirectory, FileVisitOption.FOLLOW_LINKS)) {
      List<String> paths =
          files
              .filter(Files::isRegularFile)
              .map(modelDirectory::relativize)
              .filter(SnapshotFiles::visible)
              .map(path -> path.toString().replace(path.getFileSystem().getSeparator(), "/"))
              .sorted()
              .toList();
      if (paths.isEmpty()) {
        throw new SnapshotException(
            Kind.STORAGE, "snapshot: no file in " + modelDirectory + " (expected: a model)");
      }
      return paths;
    } catch (IOException e) {
      throw unreadable(modelDirectory, e);
    } catch (UncheckedIOException e) {
      throw unreadable(modelDirectory, e.getCause());
    }
  }

  /** Refuses a manifest that contradicts itself or reaches outside, before a byte is fetched. */
  static void check(SnapshotManifest manifest) {
    String name = "manifest of version " + manifest.getVersion() + ": ";
    if (manifest.getVersion() < 1) {
      throw new SnapshotException(Kind.BAD_MANIFEST, name + "version (expected: at least 1)");
    }
    if (manifest.getFiles().isEmpty()) {
      throw new SnapshotException(Kind.BAD_MANIFEST, name + "no files (expected: at least one)");
    }
    Set<String> seen = new HashSet<>();
    long total = 0;
    for (SnapshotFile file : manifest.getFiles()) {
      checkPath(name, file.getPath());
      if (!seen.add(file.getPath())) {
        throw new SnapshotException(
            Kind.BAD_MANIFEST, name + file.getPath() + " twice (expected: once)");
      }
      long size = file.getSizeBytes();
      int chunks = file.getChunks();
      // A chunk carries at least a byte, so neither figure can make us reserve more than is there.
      if (size < 0 || chunks < 0 || chunks > size || (chunks == 0 && size > 0)) {
        throw new SnapshotException(
            Kind.BAD_MANIFEST,
            name
                + file.getPath()
                + ": "
                + size
                + " bytes in "
                + chunks
                + " chunks (expected: 1 to size chunks, none for an empty file)");
      }
      if (!SHA256.matcher(file.getSha256()).matches()) {
        throw new SnapshotException(
            Kind.BAD_MANIFEST,
            name
                + file.getPath()
                + ": sha256 "
                + file.getSha256()
                + " (expected: 64 lower-case hex digits)");
      }
      checkBlocks(name + file.getPath(), manifest, file);
      if (total > Long.MAX_VALUE - size) {
        throw new SnapshotException(
            Kind.BAD_MANIFEST, name + "total size (expected: below 2^63 bytes)");
      }
      total += size;
    }
    checkFormats(name, manifest.getFormats(), seen);
  }

  /** Refuses formats that are offered without a file of theirs. */
  static void checkFormats(String name, List<String> formats, Collection<String> paths) {
    Set<String> offered = new HashSet<>(formats);
    Set<String> owners = new HashSet<>();
    paths.forEach(path -> owners.add(SnapshotFormat.owner(offered, path)));
    for (String format : formats) {
      if (!FORMAT.matcher(format).matches()) {
        throw new SnapshotException(
            Kind.BAD_MANIFEST,
            name + "a format's name (expected: up to 32 of a-z, 0-9 and -, such as onnx)");
      }
      if (!owners.contains(format)) {
        throw new SnapshotException(
            Kind.BAD_MANIFEST, name + "format " + format + " (expected: with files of its own)");
      }
    }
  }

  /** Refuses a file that is not what its name says. */
  static void verify(String name, Path path, long sizeBytes, String sha256) throws IOException {
    long size = Files.size(path);
    String actual = Digests.ofFile(path);
    if (size != sizeBytes || !actual.equals(sha256)) {
      throw new SnapshotException(
          Kind.CORRUPT_FILE,
          name
              + ": "
              + size
              + " bytes with sha256 "
              + actual
              + " (expected: "
              + sizeBytes
              + " bytes with "
              + sha256
              + ")");
    }
  }

  /** Returns when a file's bytes, or a directory's entries, are on the disk. */
  static void force(Path path) throws IOException {
    boolean directory = Files.isDirectory(path);
    try (FileChannel channel =
        FileChannel.open(path, directory ? StandardOpenOption.READ : StandardOpenOption.WRITE)) {
      channel.force(true);
    }
  }

  static SnapshotException changed(Path source) {
    return new SnapshotException(
        Kind.CORRUPT_FILE,
        "snapshot: " + source + " changed while it was sent (expected: a directory at rest)");
  }

  static void deleteRecursively(Path root) throws IOException {
    if (!Files.exists(root)) {
      return;
    }
    List<Path> paths;
    try (Stream<Path> walk = Files.walk(root)) {
      paths = walk.sorted(Comparator.reverseOrder()).toList();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    for (Path path : paths) {
      Files.deleteIfExists(path);
    }
  }

  private static void checkBlocks(String name, SnapshotManifest manifest, SnapshotFile file) {
    List<SnapshotBlock> blocks = file.getBlocks();
    if (blocks.isEmpty()) {
      return;
    }
    Long base = manifest.getDeltaBase();
    if (base == null || base < 1 || base >= manifest.getVersion()) {
      throw new SnapshotException(
          Kind.BAD_MANIFEST,
          name + ": differences from version " + base + " (expected: from an earlier one)");
    }
    long stretch = DeltaBlock.MAX_STRETCH_BYTES;
    if (blocks.size() != (file.getSizeBytes() + stretch - 1) / stretch) {
      throw new SnapshotException(
          Kind.BAD_MANIFEST,
          name + ": " + blocks.size() + " blocks (expected: one for every " + stretch + " bytes)");
    }
    for (SnapshotBlock block : blocks) {
      boolean sane =
          SHA256.matcher(block.getSha256()).matches()
              && block.getSizeBytes() > 0
              && block.getSizeBytes() <= 2 * stretch;
      if (!sane) {
        throw new SnapshotException(
            Kind.BAD_MANIFEST,
            name
                + ": block "
                + block.getSha256()
                + " of "
                + block.getSizeBytes()
                + " bytes (expected: 64 lower-case hex digits, 1 to "
                + 2 * stretch
                + " bytes)");
      }
    }
  }

  private static void checkPath(String name, String path) {
    boolean safe =
        !path.isEmpty()
            && path.indexOf('\\') < 0
            && path.indexOf(':') < 0
            && path.chars().noneMatch(c -> c < ' ')
            && Stream.of(path.split("/", -1))
                .noneMatch(part -> part.isEmpty() || part.startsWith("."));
    if (!safe) {
      throw new SnapshotException(
          Kind.UNSAFE_PATH,
          name + "path '" + path + "' (expected: a relative path inside the snapshot)");
    }
  }

  private static boolean visible(Path relative) {
    for (Path part : relative) {
      if (part.toString().startsWith(".")) {
        return false;
      }
    }
    return true;
  }

  static SnapshotException unreadable(Path path, IOException e) {
    return new SnapshotException(
        Kind.STORAGE, "snapshot: cannot read " + path + ": " + e.getMessage(), e);
  }
}
