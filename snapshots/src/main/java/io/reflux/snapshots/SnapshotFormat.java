package io.reflux.snapshots;

import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.service.RefluxException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * In what form a snapshot offers its weights; a fleet chooses one, and downloads only that one's
 * files.
 *
 * <p>To which format a file belongs is in its path. Weights at the root are safetensors; the files
 * of another format are in a folder of its name; every other file is shared by all.
 */
public enum SnapshotFormat {
  /** What every snapshot has, and what Reflux itself serves and trains from. */
  SAFETENSORS(""),
  /** A plain bfloat16 checkpoint, for whatever reads Hugging Face's. */
  HF("hf"),
  /** A decoder graph with its weights, for ONNX Runtime. */
  ONNX("onnx"),
  /** A file for llama.cpp and its kin. */
  GGUF("gguf");

  private final String folder;

  SnapshotFormat(String folder) {
    this.folder = folder;
  }

  /**
   * The format of a name, such as {@code onnx}.
   *
   * @throws RefluxException one line that lists the names
   */
  public static SnapshotFormat parse(String name) {
    return Arrays.stream(values())
        .filter(format -> format.toString().equals(name.strip().toLowerCase(Locale.ROOT)))
        .findFirst()
        .orElseThrow(
            () ->
                new RefluxException(
                    "format: "
                        + name
                        + " (expected: "
                        + Arrays.stream(values())
                            .map(SnapshotFormat::toString)
                            .collect(Collectors.joining(", "))
                        + ")"));
  }

  /** The format that a path belongs to in a snapshot that offers it; empty where it is shared. */
  public static Optional<SnapshotFormat> ofPath(String path) {
    Set<String> all = Arrays.stream(values()).map(Enum::toString).collect(Collectors.toSet());
    String owner = owner(all, path);
    return owner.isEmpty() ? Optional.empty() : Optional.of(parse(owner));
  }

  /** Those that a snapshot offers and this build knows, in the order of their declaration. */
  public static List<SnapshotFormat> offeredBy(SnapshotManifest manifest) {
    return Arrays.stream(values())
        .filter(
            format -> format == SAFETENSORS || manifest.getFormats().contains(format.toString()))
        .toList();
  }

  /**
   * The format that owns a path, by name, also if this build does not know it.
   *
   * @param offered names of the formats that the snapshot offers
   * @return empty for a file that all share
   */
  static String owner(Set<String> offered, String path) {
    int slash = path.indexOf('/');
    if (slash < 0) {
      boolean weights = path.endsWith(".safetensors") || path.endsWith(".safetensors.index.json");
      return weights ? SAFETENSORS.toString() : "";
    }
    String first = path.substring(0, slash);
    // A folder that no offered format is named by is like any other file.
    return offered.contains(first) && !first.equals(SAFETENSORS.toString()) ? first : "";
  }

  /** The folder of a snapshot that holds its files; empty for the snapshot's own. */
  public String folder() {
    return folder;
  }

  /**
   * What a fleet that chose it downloads of a snapshot: its own files, and those that all share.
   * Files of formats that this build does not know are nobody's here.
   */
  public List<SnapshotFile> files(SnapshotManifest manifest) {
    Set<String> offered = new HashSet<>(manifest.getFormats());
    return manifest.getFiles().stream()
        .filter(
            file -> {
              String owner = owner(offered, file.getPath());
              return owner.isEmpty() || owner.equals(toString());
            })
        .toList();
  }

  /** The bytes of the files that are its own. */
  public long ownBytes(SnapshotManifest manifest) {
    Set<String> offered = new HashSet<>(manifest.getFormats());
    return manifest.getFiles().stream()
        .filter(file -> owner(offered, file.getPath()).equals(toString()))
        .mapToLong(SnapshotFile::getSizeBytes)
        .sum();
  }

  /** Its name in manifests and settings. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
