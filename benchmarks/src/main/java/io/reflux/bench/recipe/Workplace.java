package io.reflux.bench.recipe;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;

/**
 * Where finished arms are written as soon as they are done, so that an interrupted run goes on from
 * them. Arms of other settings have other folders.
 */
public final class Workplace {
  private static final ObjectMapper MAPPER =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  private final Path folder;

  /**
   * @param settings all that figures depend on
   */
  public Workplace(Path directory, String settings) throws IOException {
    folder = directory.resolve(hash(settings));
    Files.createDirectories(folder);
    Files.writeString(folder.resolve("settings.txt"), settings + System.lineSeparator());
  }

  /** The teacher's directory, there or not. */
  Path teacher() {
    return folder.resolve("teacher");
  }

  /** Figures of an arm that was finished before. */
  Optional<Map<String, Double>> read(String arm, long seed) throws IOException {
    Path file = file(arm, seed);
    return Files.exists(file)
        ? Optional.of(MAPPER.readValue(file.toFile(), new TypeReference<Map<String, Double>>() {}))
        : Optional.empty();
  }

  void write(String arm, long seed, Map<String, Double> figures) throws IOException {
    Path whole = file(arm, seed);
    Path part = whole.resolveSibling(whole.getFileName() + ".part");
    Files.write(part, MAPPER.writeValueAsBytes(figures));
    Files.move(part, whole, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
  }

  private Path file(String arm, long seed) {
    return folder.resolve(arm.replaceAll("[^A-Za-z0-9.]+", "-") + "." + seed + ".json");
  }

  private static String hash(String settings) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(settings.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, 8);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java has SHA-256", e);
    }
  }
}
