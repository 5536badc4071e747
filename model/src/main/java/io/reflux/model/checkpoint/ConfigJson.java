package io.reflux.model.checkpoint;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * config.json, with the defaults that transformers gives to what is left out. What this project
 * cannot compute is refused, never ignored.
 */
public final class ConfigJson {
  static final long MAX_BYTES = 4 << 20;

  private final Path file;
  private final ObjectNode json;
  private final Architecture architecture;

  private ConfigJson(Path file, ObjectNode json) {
    this.file = file;
    this.json = json;
    this.architecture = architecture();
  }

  /** What a config.json says. */
  record Parsed(ModelConfig config, Optional<Quantisation> quantisation) {}

  /** How the matrices of a snapshot are packed. */
  record Quantisation(WeightFormat format, int blockSize) {}

  /**
   * Reads config.json, and the end-of-sequence ids of generation_config.json when it stands beside
   * it.
   */
  static Parsed read(Path directory) {
    Path file = directory.resolve("config.json");
    ConfigJson config = new ConfigJson(file, JsonFiles.readObject(file, MAX_BYTES));
    Set<Integer> eosIds = new LinkedHashSet<>(config.eosIds());
    eosIds.addAll(TextConfig.generationEosIds(directory));
    return new Parsed(config.modelConfig(List.copyOf(eosIds)), config.quantisation());
  }

  /**
   * The config.json of a model; the same model gives the same bytes.
   *
   * @param dtype of the weights beside it; I8, I4 and F8_E4M3 say that matrices are packed
   * @param blockSize used with I8 and I4 only
   */
  static byte[] write(ModelConfig config, DType dtype, int blockSize) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.putArray("architectures").add(config.architecture().className());
    json.put("model_type", config.architecture().modelType());
    json.put("vocab_size", config.vocabularySize());
    json.put("hidden_size", config.hiddenSize());
    json.put("intermediate_size", config.intermediateSize());
    json.put("num_hidden_layers", config.layers());
    json.put("num_attention_heads", config.heads());
    json.put("num_key_value_heads", config.keyValueHeads());
    json.put("head_dim", config.headSize());
    json.put("hidden_act", "silu");
    json.put("max_position_embeddings", config.maxPositions());
    json.put("rms_norm_eps", config.rmsNormEpsilon());
    json.put("rope_theta", config.ropeTheta());
    json.set("rope_scaling", ropeScaling(config.ropeScaling()));
    json.put("tie_word_embeddings", config.tiedEmbeddings());
    writeBiasAndWindow(config, json);
    json.put("attention_dropout", 0.0);
    json.put("initializer_range", 0.02);
    json.put("use_cache", true);
    if (config.bosTokenId().isPresent()) {
      json.put("bos_token_id", config.bosTokenId().getAsInt());
    } else {
      json.putNull("bos_token_id");
    }
    if (config.eosTokenIds().isEmpty()) {
      json.putNull("eos_token_id");
    } else if (config.eosTokenIds().size() == 1) {
      json.put("eos_token_id", config.eosTokenIds().get(0));
    } else {
      ArrayNode ids = json.putArray("eos_token_id");
      config.eosTokenIds().forEach(ids::add);
    }
    json.put(
        "torch_dtype",
        switch (dtype) {
          case F16 -> "float16";
          case BF16 -> "bfloat16";
          case F32, I8, I4, F8_E4M3 -> "float32";
        });
    if (!dtype.isPlain()) {
      ObjectNode reflux = json.putObject("reflux");
      reflux.put("quantisation", WeightFormat.of(dtype).toString());
      if (dtype != DType.F8_E4M3) {
        reflux.put("block_size", blockSize);
      }
    }
    return print(json);
  }

  /** Pretty-printed with line feeds and a closing one, on every platform. */
  static byte[] print(JsonNode json) {
    try {
      String text =
          new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT).writeValueAsString(json);
      return (text.replace("\r\n", "\n") + "\n").getBytes(java.nio.charset.StandardCharsets.UTF_8);
    } catch (JsonProcessingException e) {
      throw new AssertionError("a tree of JSON nodes can be printed", e);
    }
  }

  private static void writeBiasAndWindow(ModelConfig config, ObjectNode json) {
    OptionalInt window = config.slidingWindow();
    switch (config.architecture()) {
      case LLAMA -> {
        json.put("attention_bias", false);
        json.put("mlp_bias", false);
      }
      case MISTRAL -> {
        if (window.isPresent()) {
          json.put("sliding_window", window.getAsInt());
        } else {
          json.putNull("sliding_window");
        }
      }
      case QWEN2, QWEN3 -> {
        if (config.architecture() == Architecture.QWEN3) {
          json.put("attention_bias", false);
        }
        json.put("use_sliding_window", window.isPresent());
        if (window.isPresent()) {
          json.put("sliding_window", window.getAsInt());
          json.put("max_window_layers", 0);
        } else {
          json.putNull("sliding_window");
          json.put("max_window_layers", config.layers());
        }
      }
    }
  }

  private static JsonNode ropeScaling(RopeScaling scaling) {
    if (scaling == null) {
      return JsonNodeFactory.instance.nullNode();
    }
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    json.put("factor", scaling.factor());
    if (scaling.kind() == RopeScaling.Kind.LLAMA3) {
      json.put("low_freq_factor", scaling.lowFrequencyFactor());
      json.put("high_freq_factor", scaling.highFrequencyFactor());
      json.put("original_max_position_embeddings", scaling.originalMaxPositions());
    }
    json.put("rope_type", scaling.kind() == RopeScaling.Kind.LLAMA3 ? "llama3" : "linear");
    return json;
  }

  private Architecture architecture() {
    JsonNode named = json.path("architectures").path(0);
    String supported =
        Arrays.stream(Architecture.values())
            .map(Architecture::className)
            .collect(Collectors.joining(", "));
    for (Architecture candidate : Architecture.values()) {
      boolean matches =
          named.isTextual()
              ? candidate.className().equals(named.textValue())
              : candidate.modelType().equals(json.path("model_type").textValue());
      if (matches) {
        return candidate;
      }
    }
    throw new ModelException(
        named.isTextual()
            ? "%s: architectures: %s (expected: one of %s)"
                .formatted(file, printable(named), supported)
            : "%s: model_type: %s (expected: llama, mistral, qwen2 or qwen3)"
                .formatted(file, printable(json.path("model_type"))));
  }

  private ModelConfig modelConfig(List<Integer> eosIds) {
    refuseUnsupported();
    int hiddenSize = integer("hidden_size");
    int heads = integer("num_attention_heads");
    int layers = integer("num_hidden_layers");
    return new ModelConfig(
        architecture,
        integer("vocab_size"),
        hiddenSize,
        integer("intermediate_size"),
        layers,
        heads,
        keyValueHeads(heads),
        headSize(hiddenSize, heads),
        integer(
            "max_position_embeddings",
            switch (architecture) {
              case LLAMA -> 2048;
              case MISTRAL -> 131_072;
              case QWEN2, QWEN3 -> 32_768;
            }),
        number(json, "rms_norm_eps", 1e-6),
        ropeTheta(),
        ropeScaling(),
        bool("tie_word_embeddings", false),
        architecture == Architecture.QWEN2,
        architecture == Architecture.QWEN3,
        slidingWindow(layers),
        bosId(),
        eosIds);
  }

  private void refuseUnsupported() {
    String activation = json.path("hidden_act").asText("silu");
    if (!activation.equals("silu")) {
      throw unsupported("hidden_act", json.get("hidden_act"), "silu");
    }
    // In Llama and Qwen3 this would bias the output projection too; Qwen2's bias is unconditional.
    if (architecture != Architecture.QWEN2 && bool("attention_bias", false)) {
      throw unsupported("attention_bias", json.get("attention_bias"), "false");
    }
    if (bool("mlp_bias", false)) {
      throw unsupported("mlp_bias", json.get("mlp_bias"), "false");
    }
    if (number(json, "partial_rotary_factor", 1) != 1) {
      throw unsupported("partial_rotary_factor", json.get("partial_rotary_factor"), "1");
    }
    if (json.hasNonNull("quantization_config")) {
      throw unsupported(
          "quantization_config.quant_method",
          json.get("quantization_config").path("quant_method"),
          "none: f32, f16 or bf16 weights, or a Reflux snapshot");
    }
  }

  /** Left out is not the same as null: transformers' own default has 8 or 32, null means heads. */
  private int keyValueHeads(int heads) {
    int leftOut =
        switch (architecture) {
          case LLAMA -> heads;
          case MISTRAL -> 8;
          case QWEN2, QWEN3 -> 32;
        };
    return json.has("num_key_value_heads") ? integer("num_key_value_heads", heads) : leftOut;
  }

  private int headSize(int hiddenSize, int heads) {
    if (architecture == Architecture.QWEN3 && !json.has("head_dim")) {
      return 128;
    }
    if (!json.hasNonNull("head_dim") && (heads < 1 || hiddenSize % heads != 0)) {
      throw new ModelException(
          "%s: hidden_size: %d (expected: a multiple of the %d attention heads)"
              .formatted(file, hiddenSize, heads));
    }
    return integer("head_dim", hiddenSize / Math.max(1, heads));
  }

  /** Newer files keep theta among rope_parameters. */
  private double ropeTheta() {
    double outer = number(json, "rope_theta", 10_000);
    return number(json.path("rope_parameters"), "rope_theta", outer);
  }

  private RopeScaling ropeScaling() {
    String field = json.hasNonNull("rope_parameters") ? "rope_parameters" : "rope_scaling";
    JsonNode scaling = json.path(field);
    if (scaling.isMissingNode() || scaling.isNull()) {
      return null;
    }
    JsonNode type =
        scaling.hasNonNull("rope_type") ? scaling.get("rope_type") : scaling.get("type");
    String name = type == null ? "default" : type.asText();
    return switch (name) {
      case "default" -> null;
      case "linear" ->
          new RopeScaling(RopeScaling.Kind.LINEAR, positive(scaling, field, "factor"), 0, 0, 0);
      case "llama3" -> {
        double low = positive(scaling, field, "low_freq_factor");
        double high = positive(scaling, field, "high_freq_factor");
        if (high <= low) {
          throw new ModelException(
              "%s: %s.high_freq_factor: %s (expected: above low_freq_factor, %s)"
                  .formatted(file, field, high, low));
        }
        yield new RopeScaling(
            RopeScaling.Kind.LLAMA3,
            positive(scaling, field, "factor"),
            low,
            high,
            (int) positive(scaling, field, "original_max_position_embeddings"));
      }
      default -> throw unsupported(field + ".rope_type", type, "default, linear or llama3");
    };
  }

  private OptionalInt slidingWindow(int layers) {
    return switch (architecture) {
      case LLAMA -> OptionalInt.empty();
      case MISTRAL -> {
        if (!json.has("sliding_window")) {
          yield OptionalInt.of(4096);
        }
        yield json.get("sliding_window").isNull()
            ? OptionalInt.empty()
            : OptionalInt.of(integer("sliding_window"));
      }
      case QWEN2, QWEN3 -> qwenSlidingWindow(layers);
    };
  }

  /** Layers from max_window_layers on have the window; here all have it or none. */
  private OptionalInt qwenSlidingWindow(int layers) {
    boolean leftNull = json.has("sliding_window") && json.get("sliding_window").isNull();
    if (!bool("use_sliding_window", false) || leftNull) {
      return OptionalInt.empty();
    }
    int firstWindowed = integer("max_window_layers", 28);
    if (firstWindowed >= layers) {
      return OptionalInt.empty();
    }
    if (firstWindowed > 0) {
      throw unsupported(
          "max_window_layers", json.get("max_window_layers"), "0 or at least " + layers);
    }
    return OptionalInt.of(integer("sliding_window", 4096));
  }

  private OptionalInt bosId() {
    boolean hasDefault = architecture == Architecture.LLAMA || architecture == Architecture.MISTRAL;
    if (!json.has("bos_token_id") && hasDefault) {
      return OptionalInt.of(1);
    }
    return json.hasNonNull("bos_token_id")
        ? OptionalInt.of(integer("bos_token_id"))
        : OptionalInt.empty();
  }

  private List<Integer> eosIds() {
    boolean hasDefault = architecture == Architecture.LLAMA || architecture == Architecture.MISTRAL;
    if (!json.has("eos_token_id") && hasDefault) {
      return List.of(2);
    }
    return ids(file, json.path("eos_token_id"), "eos_token_id");
  }

  private Optional<Quantisation> quantisation() {
    JsonNode reflux = json.path("reflux");
    if (!reflux.hasNonNull("quantisation")) {
      return Optional.empty();
    }
    WeightFormat format = format(reflux.get("quantisation"));
    if (format == WeightFormat.FP8) {
      return Optional.of(new Quantisation(format, 0));
    }
    JsonNode blockSize = reflux.path("block_size");
    if (!blockSize.isInt() || blockSize.intValue() < 1 || blockSize.intValue() > 1 << 20) {
      throw unsupported("reflux.block_size", blockSize, "a whole number, at least 1");
    }
    if (format == WeightFormat.INT4 && blockSize.intValue() % 2 != 0) {
      throw unsupported("reflux.block_size", blockSize, "an even number");
    }
    return Optional.of(new Quantisation(format, blockSize.intValue()));
  }

  private WeightFormat format(JsonNode name) {
    for (WeightFormat format : WeightFormat.values()) {
      if (format != WeightFormat.NONE && format.toString().equals(name.asText())) {
        return format;
      }
    }
    throw unsupported("reflux.quantisation", name, "int8, int4 or fp8");
  }

  static List<Integer> ids(Path file, JsonNode node, String field) {
    if (node.isMissingNode() || node.isNull()) {
      return List.of();
    }
    List<JsonNode> nodes = new ArrayList<>();
    if (node.isArray()) {
      node.forEach(nodes::add);
    } else {
      nodes.add(node);
    }
    List<Integer> ids = new ArrayList<>();
    for (JsonNode id : nodes) {
      if (!id.isInt() || id.intValue() < 0) {
        throw new ModelException(
            "%s: %s: %s (expected: a token id or a list of them)"
                .formatted(file, field, printable(node)));
      }
      if (!ids.contains(id.intValue())) {
        ids.add(id.intValue());
      }
    }
    return ids;
  }

  private int integer(String field) {
    if (!json.hasNonNull(field)) {
      throw new ModelException("%s: %s: missing (expected: a whole number)".formatted(file, field));
    }
    return integer(field, 0);
  }

  private int integer(String field, int whenAbsent) {
    JsonNode node = json.path(field);
    if (node.isMissingNode() || node.isNull()) {
      return whenAbsent;
    }
    if (!node.isInt()) {
      throw unsupported(field, node, "a whole number");
    }
    return node.intValue();
  }

  private double number(JsonNode object, String field, double whenAbsent) {
    JsonNode node = object.path(field);
    if (node.isMissingNode() || node.isNull()) {
      return whenAbsent;
    }
    if (!node.isNumber()) {
      throw unsupported(field, node, "a number");
    }
    return node.doubleValue();
  }

  private double positive(JsonNode object, String parent, String field) {
    double value = number(object, field, Double.NaN);
    if (!(value > 0 && value < 1e9)) {
      throw unsupported(parent + "." + field, object.path(field), "a number above 0");
    }
    return value;
  }

  private boolean bool(String field, boolean whenAbsent) {
    JsonNode node = json.path(field);
    if (node.isMissingNode() || node.isNull()) {
      return whenAbsent;
    }
    if (!node.isBoolean()) {
      throw unsupported(field, node, "true or false");
    }
    return node.booleanValue();
  }

  private ModelException unsupported(String field, JsonNode value, String expected) {
    return new ModelException(
        "%s: %s: %s (expected: %s)".formatted(file, field, printable(value), expected));
  }

  /** A value of a hostile file may be long or hold line breaks. */
  private static String printable(JsonNode value) {
    if (value == null || value.isMissingNode()) {
      return "missing";
    }
    String text = value.isTextual() ? value.textValue() : value.toString();
    String line = text.replaceAll("\\p{Cntrl}+", " ");
    return line.length() <= 80 ? line : line.substring(0, 80) + "…";
  }
}
