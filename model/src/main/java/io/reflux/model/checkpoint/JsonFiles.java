package io.reflux.model.checkpoint;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.ModelException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Reads the JSON files of a model directory, which nobody vouches for. */
public final class JsonFiles {
  private static final int MAX_DEPTH = 64;

  private JsonFiles() {}

  /** A factory that refuses deep nesting and repeated names. */
  static JsonFactory factory() {
    return JsonFactory.builder()
        .streamReadConstraints(
            StreamReadConstraints.builder()
                .maxNestingDepth(MAX_DEPTH)
                .maxStringLength(64 << 20)
                .maxNumberLength(400)
                .build())
        .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
        .build();
  }

  /**
   * The object in a file.
   *
   * @param maxBytes larger files are refused unread
   * @throws ModelException naming the file, if it is missing, too large or not a JSON object
   */
  public static ObjectNode readObject(Path file, long maxBytes) {
    return parseObject(file, readBytes(file, maxBytes));
  }

  /**
   * All of a file.
   *
   * @param maxBytes larger files are refused unread
   * @throws ModelException naming the file, if it is missing, unreadable or too large
   */
  public static byte[] readBytes(Path file, long maxBytes) {
    try {
      long size = Files.size(file);
      if (size > maxBytes) {
        throw new ModelException(
            "%s: %d bytes (expected: at most %d)".formatted(file, size, maxBytes));
      }
      return Files.readAllBytes(file);
    } catch (NoSuchFileException e) {
      throw new ModelException(file + ": no such file", e);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  /** The object in bytes that came from a file. */
  public static ObjectNode parseObject(Path file, byte[] bytes) {
    try {
      JsonNode node = new ObjectMapper(factory()).readTree(bytes);
      if (node instanceof ObjectNode object) {
        return object;
      }
      throw new ModelException(
          "%s: %s (expected: a JSON object)"
              .formatted(
                  file, node == null || node.isMissingNode() ? "nothing" : node.getNodeType()));
    } catch (JsonProcessingException e) {
      throw new ModelException(file + ": not JSON: " + oneLine(e), e);
    } catch (IOException e) {
      throw new ModelException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }

  static String oneLine(JsonProcessingException e) {
    String where =
        e.getLocation() == null
            ? ""
            : " (line %d, column %d)"
                .formatted(e.getLocation().getLineNr(), e.getLocation().getColumnNr());
    return e.getOriginalMessage().lines().findFirst().orElse("malformed") + where;
  }
}
