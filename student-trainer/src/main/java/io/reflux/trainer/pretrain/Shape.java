package io.reflux.trainer.pretrain;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;

/**
 * Size of a new Llama model, as people write it: {@code
 * vocab=1024,hidden=256,layers=4,heads=8,kv-heads=4,ffn=704}.
 *
 * @param vocabularySize empty to take that of the tokenizer at hand
 * @param maxPositions longest sequence, {@code context}
 * @param tiedEmbeddings whether the output projection is the embedding, {@code tied}
 */
public record Shape(
    OptionalInt vocabularySize,
    int hiddenSize,
    int layers,
    int heads,
    int keyValueHeads,
    int headSize,
    int intermediateSize,
    int maxPositions,
    boolean tiedEmbeddings) {
  private static final int DEFAULT_MAX_POSITIONS = 1024;
  private static final int LARGEST = 1 << 24;
  private static final double ROPE_THETA = 10_000;
  private static final double NORM_EPSILON = 1e-5;

  /** Keys of the text form; those without a default first. */
  private static final List<String> KEYS =
      List.of(
          "hidden", "layers", "heads", "vocab", "kv-heads", "head-dim", "ffn", "context", "tied");

  public Shape {
    require(hiddenSize > 0 && layers > 0 && heads > 0, "hidden, layers, heads", "positive");
    require(
        keyValueHeads > 0 && heads % keyValueHeads == 0,
        "kv-heads: " + keyValueHeads,
        "a divisor of heads, " + heads);
    require(
        headSize > 0 && headSize % 2 == 0, "head-dim: " + headSize, "even: positions turn pairs");
    require(intermediateSize > 0, "ffn: " + intermediateSize, "positive");
    require(maxPositions > 1, "context: " + maxPositions, "2 or more");
  }

  /**
   * Reads the text form. Required are hidden, layers and heads; kv-heads is heads, head-dim is
   * hidden / heads, ffn is 8/3 of hidden rounded up to 16, context 1024 and tied true by default.
   *
   * @throws ModelException one line that names the part, its value and what was expected
   */
  public static Shape parse(String text) {
    Map<String, String> parts = parts(text);
    for (String key : KEYS.subList(0, 3)) {
      require(parts.containsKey(key), "shape: " + text, key + "=… among its parts");
    }
    int hidden = number(parts, "hidden", 0);
    int heads = number(parts, "heads", 0);
    if (!parts.containsKey("head-dim")) {
      require(hidden % heads == 0, "hidden: " + hidden, "a multiple of heads, " + heads);
    }
    String tied = parts.getOrDefault("tied", "true");
    require(tied.equals("true") || tied.equals("false"), "tied: " + tied, "true or false");
    int vocabulary = number(parts, "vocab", -1);
    return new Shape(
        vocabulary < 0 ? OptionalInt.empty() : OptionalInt.of(vocabulary),
        hidden,
        number(parts, "layers", 0),
        heads,
        number(parts, "kv-heads", heads),
        number(parts, "head-dim", hidden / heads),
        number(parts, "ffn", (hidden * 8 / 3 + 15) / 16 * 16),
        number(parts, "context", DEFAULT_MAX_POSITIONS),
        tied.equals("true"));
  }

  /** Whether a text is meant as a shape rather than as a path. */
  public static boolean looksLikeShape(String text) {
    return text.contains("=") && KEYS.contains(text.substring(0, text.indexOf('=')).strip());
  }

  /**
   * The configuration of a Llama of this shape.
   *
   * @param vocabulary ids of the tokenizer; must be the shape's own if it has one
   */
  public ModelConfig config(int vocabulary, OptionalInt bosTokenId, List<Integer> eosTokenIds) {
    require(
        vocabularySize.isEmpty() || vocabularySize.getAsInt() == vocabulary,
        "vocab: " + vocabularySize.orElse(0),
        "the tokenizer's, " + vocabulary);
    return new ModelConfig(
        Architecture.LLAMA,
        vocabulary,
        hiddenSize,
        intermediateSize,
        layers,
        heads,
        keyValueHeads,
        headSize,
        maxPositions,
        NORM_EPSILON,
        ROPE_THETA,
        null,
        tiedEmbeddings,
        false,
        false,
        OptionalInt.empty(),
        bosTokenId,
        eosTokenIds);
  }

  /** The text form with every part spelled out. */
  @Override
  public String toString() {
    Map<String, Object> parts = new LinkedHashMap<>();
    vocabularySize.ifPresent(size -> parts.put("vocab", size));
    parts.put("hidden", hiddenSize);
    parts.put("layers", layers);
    parts.put("heads", heads);
    parts.put("kv-heads", keyValueHeads);
    parts.put("head-dim", headSize);
    parts.put("ffn", intermediateSize);
    parts.put("context", maxPositions);
    parts.put("tied", tiedEmbeddings);
    StringBuilder text = new StringBuilder();
    parts.forEach((key, value) -> text.append(key).append('=').append(value).append(','));
    return text.substring(0, text.length() - 1);
  }

  private static Map<String, String> parts(String text) {
    Map<String, String> parts = new TreeMap<>();
    for (String part : Arrays.stream(text.split(",")).map(String::strip).toList()) {
      int equals = part.indexOf('=');
      String key = equals < 0 ? part : part.substring(0, equals).strip();
      require(equals > 0 && KEYS.contains(key), "shape: " + part, "NAME=VALUE, NAME of " + KEYS);
      String before = parts.put(key, part.substring(equals + 1).strip());
      require(before == null, "shape: " + text, key + " once");
    }
    return parts;
  }

  private static int number(Map<String, String> parts, String key, int absent) {
    String value = parts.get(key);
    if (value == null) {
      return absent;
    }
    require(
        value.matches("[1-9][0-9]{0,8}") && Integer.parseInt(value) <= LARGEST,
        key + ": " + value,
        "a whole number from 1 to " + LARGEST);
    return Integer.parseInt(value);
  }

  private static void require(boolean holds, String what, String expected) {
    if (!holds) {
      throw new ModelException(what + " (expected: " + expected + ")");
    }
  }
}
