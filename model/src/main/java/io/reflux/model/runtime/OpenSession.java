package io.reflux.model.runtime;

import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A session together with the directory that its weights may be mapped from.
 *
 * @param directory deleted on close; null for none
 */
record OpenSession(OrtSession session, Path directory) implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(OpenSession.class);

  @Override
  public void close() {
    try {
      session.close();
    } catch (OrtException e) {
      throw OrtSessions.failure("session: cannot be closed", e);
    } finally {
      deleteDirectory(directory);
    }
  }

  /** What cannot be deleted is left to the system's cleaning of temporary files. */
  static void deleteDirectory(Path directory) {
    if (directory == null) {
      return;
    }
    try (Stream<Path> files = Files.list(directory)) {
      List<Path> inside = files.toList();
      for (Path file : inside) {
        Files.delete(file);
      }
      Files.delete(directory);
    } catch (IOException | UncheckedIOException e) {
      log.warn("{}: temporary graph data could not be deleted: {}", directory, e.toString());
    }
  }
}
