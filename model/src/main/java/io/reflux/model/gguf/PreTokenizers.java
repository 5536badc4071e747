package io.reflux.model.gguf;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.model.ModelException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * llama.cpp's names for what cuts text into words. It has the expressions built in and takes none
 * from a file, so a tokenizer that it has no name for cannot be written: it would read text
 * otherwise without a word.
 */
final class PreTokenizers {
  /** By the expression that tokenizer.json splits at. */
  private static final Map<String, String> BY_EXPRESSION =
      Map.of(
          "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
              + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          "llama-bpe",
          "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
              + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          "qwen2",
          "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
              + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
              + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
              + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}"
              + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
          "tekken");

  private PreTokenizers() {}

  /**
   * The name of a byte-level tokenizer's.
   *
   * @throws ModelException if there is none
   */
  static String name(Path file, JsonNode tokenizer) {
    List<String> steps = new ArrayList<>();
    JsonNode pre = tokenizer.path("pre_tokenizer");
    Iterable<JsonNode> parts =
        pre.path("type").asText().equals("Sequence") ? pre.path("pretokenizers") : List.of(pre);
    for (JsonNode part : parts) {
      steps.add(step(part));
    }
    String name =
        switch (String.join(", ", steps)) {
          case "words" -> "gpt-2";
          case "digits, words" -> "smollm";
          default ->
              steps.size() == 2 && steps.get(1).equals("bytes")
                  ? BY_EXPRESSION.get(steps.get(0))
                  : null;
        };
    if (name == null) {
      throw new ModelException(
          "%s: pre_tokenizer: %s (expected: one that llama.cpp has, of GPT-2, SmolLM, Llama 3,"
                  .formatted(file, abbreviated(steps.toString()))
              + " Qwen or Mistral Nemo)");
    }
    return name;
  }

  /** Whether a SentencePiece tokenizer puts a space before text. */
  static boolean addsSpace(JsonNode tokenizer) {
    JsonNode pre = tokenizer.path("pre_tokenizer");
    if (pre.path("type").asText().equals("Metaspace")) {
      return pre.has("prepend_scheme")
          ? !pre.path("prepend_scheme").asText().equals("never")
          : pre.path("add_prefix_space").asBoolean(true);
    }
    JsonNode normalizer = tokenizer.path("normalizer");
    Iterable<JsonNode> parts =
        normalizer.has("normalizers") ? normalizer.path("normalizers") : List.of(normalizer);
    for (JsonNode part : parts) {
      if (part.path("type").asText().equals("Prepend")) {
        return true;
      }
    }
    return false;
  }

  private static String step(JsonNode part) {
    String type = part.path("type").asText("none");
    return switch (type) {
      case "ByteLevel" ->
          part.path("add_prefix_space").asBoolean()
              ? "ByteLevel with a space in front"
              : part.path("use_regex").asBoolean(true) ? "words" : "bytes";
      case "Digits" -> part.path("individual_digits").asBoolean() ? "digits" : "numbers";
      case "Split" -> part.path("pattern").path("Regex").asText("Split");
      default -> type;
    };
  }

  private static String abbreviated(String text) {
    return text.length() <= 100 ? text : text.substring(0, 100) + "…";
  }
}
