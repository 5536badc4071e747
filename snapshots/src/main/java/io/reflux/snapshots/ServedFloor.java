package io.reflux.snapshots;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.time.Instant;

/** The move behind which a channel's reader does not go, kept in a small JSON file. */
final class ServedFloor {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path file;
  private final String channel;
  private long version;
  private Instant movedAt;

  private ServedFloor(Path file, String channel, long version, Instant movedAt) {
    this.file = file;
    this.channel = channel;
    this.version = version;
    this.movedAt = movedAt;
  }

  /** A missing file is a floor of 0; an unreadable one is an error, never a floor of 0. */
  static ServedFloor load(Path file, String channel) {
    if (!Files.exists(file)) {
      return new ServedFloor(file, channel, 0, Instant.MIN);
    }
    try {
      JsonNode state = JSON.readTree(Files.readAllBytes(file));
      JsonNode version = state.path("version");
      if (!version.isIntegralNumber() || !channel.equals(state.path("channel").asText())) {
        throw new RefluxException(
            file + ": " + state + " (expected: a version of channel " + channel + ")");
      }
      // Files of earlier builds have no time.
      JsonNode movedAt = state.path("moved_at");
      return new ServedFloor(
          file,
          channel,
          version.asLong(),
          movedAt.isIntegralNumber() ? Instant.ofEpochMilli(movedAt.asLong()) : Instant.MIN);
    } catch (IOException e) {
      throw new RefluxException(
          file + ": " + e.getMessage() + " (expected: the version served last)", e);
    }
  }

  boolean allows(SnapshotPointer pointer) {
    return pointer.getVersion() >= version || pointer.getRollback();
  }

  /** Whether it is no earlier move than the one taken last. */
  boolean isCurrent(SnapshotPointer pointer) {
    return !pointer.getMovedAt().isBefore(movedAt);
  }

  Instant movedAt() {
    return movedAt;
  }

  long version() {
    return version;
  }

  Path file() {
    return file;
  }

  /** On the disk when this returns, whole or not at all. */
  void served(SnapshotPointer pointer) {
    if (pointer.getVersion() == version && pointer.getMovedAt().equals(movedAt)) {
      return;
    }
    ObjectNode state = JSON.createObjectNode();
    state.put("channel", channel);
    state.put("version", pointer.getVersion());
    state.put("manifest_sha256", pointer.getManifestSha256());
    state.put("moved_at", pointer.getMovedAt().toEpochMilli());
    Path next = file.resolveSibling(file.getFileName() + ".next");
    try {
      Files.createDirectories(file.toAbsolutePath().getParent());
      Files.write(next, JSON.writeValueAsBytes(state));
      try (FileChannel written = FileChannel.open(next, StandardOpenOption.WRITE)) {
        written.force(true);
      }
      Files.move(next, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new SnapshotException(
          SnapshotException.Kind.STORAGE, file + ": cannot be written: " + e, e);
    }
    version = pointer.getVersion();
    movedAt = pointer.getMovedAt();
  }
}
