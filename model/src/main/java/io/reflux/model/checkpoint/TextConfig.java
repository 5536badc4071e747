package io.reflux.model.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.ModelException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What config.json says about text alone, whatever the architecture: also of models that this
 * project cannot compute.
 *
 * @param vocabularySize ids that the model's head has, padding included
 * @param maxPositions longest sequence; empty where config.json does not say
 * @param eosTokenIds those of config.json, then those of generation_config.json
 */
public record TextConfig(int vocabularySize, OptionalInt maxPositions, List<Integer> eosTokenIds) {

  public TextConfig {
    eosTokenIds = List.copyOf(eosTokenIds);
  }

  /**
   * Reads config.json, and generation_config.json when it stands beside it.
   *
   * @throws ModelException naming the file and field, if it is missing or makes no sense
   */
  public static TextConfig load(Path directory) {
    Path file = directory.resolve("config.json");
    ObjectNode json = JsonFiles.readObject(file, ConfigJson.MAX_BYTES);
    // Models that also see or hear keep what concerns text one level down.
    JsonNode inner = json.path("text_config");
    JsonNode vocabulary = either(json, inner, "vocab_size");
    if (!vocabulary.isInt() || vocabulary.intValue() < 1) {
      throw new ModelException(
          "%s: vocab_size: %s (expected: a whole number, at least 1)".formatted(file, vocabulary));
    }
    JsonNode positions = either(json, inner, "max_position_embeddings");
    Set<Integer> eosIds =
        new LinkedHashSet<>(
            ConfigJson.ids(file, either(json, inner, "eos_token_id"), "eos_token_id"));
    eosIds.addAll(generationEosIds(directory));
    return new TextConfig(
        vocabulary.intValue(),
        positions.isInt() && positions.intValue() > 0
            ? OptionalInt.of(positions.intValue())
            : OptionalInt.empty(),
        List.copyOf(eosIds));
  }

  /** SHA-256 of config.json's bytes in lower-case hex. */
  public static String fingerprint(Path directory) {
    byte[] bytes = JsonFiles.readBytes(directory.resolve("config.json"), ConfigJson.MAX_BYTES);
    return HexFormat.of().formatHex(Fingerprints.sha256().digest(bytes));
  }

  /** End-of-sequence ids of generation_config.json; none where there is no such file. */
  static List<Integer> generationEosIds(Path directory) {
    Path generation = directory.resolve("generation_config.json");
    return Files.exists(generation)
        ? ConfigJson.ids(
            generation,
            JsonFiles.readObject(generation, ConfigJson.MAX_BYTES).path("eos_token_id"),
            "eos_token_id")
        : List.of();
  }

  private static JsonNode either(JsonNode outer, JsonNode inner, String field) {
    return outer.hasNonNull(field) ? outer.get(field) : inner.path(field);
  }
}
