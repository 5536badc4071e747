package io.reflux.model.chat;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.model.checkpoint.JsonFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/** The tokens that tokenizer_config.json and special_tokens_map.json give names to. */
public final class SpecialTokens {
  private static final long MAX_BYTES = 16 << 20;
  private static final List<String> NAMES =
      List.of(
          "bos_token",
          "eos_token",
          "unk_token",
          "sep_token",
          "pad_token",
          "cls_token",
          "mask_token");

  private SpecialTokens() {}

  /**
   * Reads them; tokenizer_config.json has the last word.
   *
   * @return texts by name, such as {@code eos_token}; those that are not set are left out
   */
  public static SortedMap<String, String> load(Path directory) {
    SortedMap<String, String> tokens = new TreeMap<>();
    for (String file : List.of("special_tokens_map.json", "tokenizer_config.json")) {
      Path path = directory.resolve(file);
      if (!Files.exists(path)) {
        continue;
      }
      JsonNode json = JsonFiles.readObject(path, MAX_BYTES);
      for (String name : NAMES) {
        JsonNode token = json.path(name);
        JsonNode text = token.isObject() ? token.path("content") : token;
        if (text.isTextual()) {
          tokens.put(name, text.textValue());
        }
      }
    }
    return tokens;
  }
}
