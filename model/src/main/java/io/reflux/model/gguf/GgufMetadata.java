package io.reflux.model.gguf;

import io.reflux.model.ModelException;
import io.reflux.model.ModelText;
import io.reflux.model.chat.ChatTemplate;
import io.reflux.model.chat.SpecialTokens;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/**
 * What a file says of its model, under the keys that llama.cpp reads. Keys of our own, from {@code
 * reflux.}, hold what it has no key for.
 */
final class GgufMetadata {
  static final String ARCHITECTURE = "general.architecture";
  static final String ALIGNMENT = "general.alignment";
  static final String TOKENS = "tokenizer.ggml.tokens";
  static final String CLASS_NAME = "reflux.architecture";
  static final String SLIDING_WINDOW = "reflux.sliding_window";
  static final String MAX_POSITIONS = "reflux.max_positions";
  static final String BOS = "reflux.bos_token_id";
  static final String EOS = "reflux.eos_token_ids";
  static final String LLAMA3 = "reflux.rope_scaling.";

  private static final int QUANTISATION_VERSION = 2;

  private GgufMetadata() {}

  /**
   * Of a model.
   *
   * @return values by key: String, Integer (unsigned 32-bit), Float, Boolean, or a list of one of
   *     these
   */
  static Map<String, Object> of(
      ModelConfig config, ModelText text, GgufVocabulary vocabulary, GgufType type) {
    Map<String, Object> metadata = new LinkedHashMap<>();
    String name = architecture(config);
    metadata.put(ARCHITECTURE, name);
    metadata.put("general.type", "model");
    metadata.put("general.name", name + " " + sizeLabel(config));
    metadata.put("general.size_label", sizeLabel(config));
    metadata.put("general.file_type", type.fileType());
    metadata.put("general.quantization_version", QUANTISATION_VERSION);
    metadata.put(ALIGNMENT, GgufWriter.ALIGNMENT);
    shape(metadata, name + ".", config);
    own(metadata, config);
    tokenizer(metadata, config, text, vocabulary);
    return metadata;
  }

  /** Mistral is to llama.cpp what Llama is. */
  static String architecture(ModelConfig config) {
    return switch (config.architecture()) {
      case LLAMA, MISTRAL -> "llama";
      case QWEN2 -> "qwen2";
      case QWEN3 -> "qwen3";
    };
  }

  private static void shape(Map<String, Object> metadata, String prefix, ModelConfig config) {
    // llama.cpp has no window in these architectures; up to its size there is no difference.
    int positions =
        Math.min(config.maxPositions(), config.slidingWindow().orElse(Integer.MAX_VALUE));
    metadata.put(prefix + "vocab_size", config.vocabularySize());
    metadata.put(prefix + "context_length", positions);
    metadata.put(prefix + "embedding_length", config.hiddenSize());
    metadata.put(prefix + "block_count", config.layers());
    metadata.put(prefix + "feed_forward_length", config.intermediateSize());
    metadata.put(prefix + "attention.head_count", config.heads());
    metadata.put(prefix + "attention.head_count_kv", config.keyValueHeads());
    metadata.put(prefix + "attention.key_length", config.headSize());
    metadata.put(prefix + "attention.value_length", config.headSize());
    metadata.put(prefix + "attention.layer_norm_rms_epsilon", (float) config.rmsNormEpsilon());
    metadata.put(prefix + "rope.dimension_count", config.headSize());
    metadata.put(prefix + "rope.freq_base", (float) config.ropeTheta());
    RopeScaling scaling = config.ropeScaling();
    if (scaling != null && scaling.kind() == RopeScaling.Kind.LINEAR) {
      metadata.put(prefix + "rope.scaling.type", "linear");
      metadata.put(prefix + "rope.scaling.factor", (float) scaling.factor());
    }
    if (GgufTensors.hasRopeFactors(config)
        && config.architecture() != Architecture.LLAMA
        && config.architecture() != Architecture.MISTRAL) {
      throw new ModelException(
          "rope_scaling: llama3 in %s (expected: none or linear; llama.cpp knows no other there)"
              .formatted(config.architecture().className()));
    }
  }

  private static void own(Map<String, Object> metadata, ModelConfig config) {
    metadata.put(CLASS_NAME, config.architecture().className());
    metadata.put(MAX_POSITIONS, config.maxPositions());
    config.slidingWindow().ifPresent(window -> metadata.put(SLIDING_WINDOW, window));
    config.bosTokenId().ifPresent(id -> metadata.put(BOS, id));
    metadata.put(EOS, config.eosTokenIds());
    RopeScaling scaling = config.ropeScaling();
    if (GgufTensors.hasRopeFactors(config)) {
      metadata.put(LLAMA3 + "factor", (float) scaling.factor());
      metadata.put(LLAMA3 + "low_freq_factor", (float) scaling.lowFrequencyFactor());
      metadata.put(LLAMA3 + "high_freq_factor", (float) scaling.highFrequencyFactor());
      metadata.put(LLAMA3 + "original_max_positions", scaling.originalMaxPositions());
    }
  }

  private static void tokenizer(
      Map<String, Object> metadata, ModelConfig config, ModelText text, GgufVocabulary vocabulary) {
    int end =
        text.turnEndId()
            .orElseThrow(
                () ->
                    new ModelException(
                        text.directory()
                            + ": no end token (expected: one; llama.cpp would take id 11)"));
    metadata.put("tokenizer.ggml.model", vocabulary.model());
    vocabulary.preTokenizer().ifPresent(pre -> metadata.put("tokenizer.ggml.pre", pre));
    metadata.put(TOKENS, vocabulary.tokens());
    metadata.put("tokenizer.ggml.token_type", new Integers(vocabulary.types()));
    if (!vocabulary.scores().isEmpty()) {
      metadata.put("tokenizer.ggml.scores", vocabulary.scores());
      metadata.put("tokenizer.ggml.add_space_prefix", vocabulary.spacePrefix());
    } else {
      metadata.put("tokenizer.ggml.merges", vocabulary.merges());
    }
    OptionalInt bos = vocabulary.bos().isPresent() ? vocabulary.bos() : config.bosTokenId();
    // Left out, it would be a token of llama.cpp's choice.
    metadata.put("tokenizer.ggml.bos_token_id", bos.orElse(end));
    metadata.put("tokenizer.ggml.eos_token_id", end);
    // Further ends of a response, under the two keys there are for them.
    List<Integer> others = text.stopIds().stream().filter(id -> id != end).sorted().toList();
    String[] keys = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    for (int i = 0; i < Math.min(keys.length, others.size()); i++) {
      metadata.put(keys[i], others.get(i));
    }
    special(metadata, text, "unk_token", "tokenizer.ggml.unknown_token_id");
    special(metadata, text, "pad_token", "tokenizer.ggml.padding_token_id");
    metadata.put("tokenizer.ggml.add_bos_token", vocabulary.bos().isPresent());
    metadata.put("tokenizer.ggml.add_eos_token", vocabulary.addsEos());
    text.chatTemplate()
        .map(ChatTemplate::source)
        .ifPresent(source -> metadata.put("tokenizer.chat_template", source));
  }

  private static void special(
      Map<String, Object> metadata, ModelText text, String name, String key) {
    String token = SpecialTokens.load(text.directory()).get(name);
    if (token != null) {
      text.tokenizer().id(token).ifPresent(id -> metadata.put(key, id));
    }
  }

  /** Signed 32-bit integers, which is what llama.cpp wants the types of tokens to be. */
  record Integers(List<Integer> values) {}

  private static String sizeLabel(ModelConfig config) {
    long parameters = config.parameters();
    return parameters >= 1_000_000_000
        ? Math.round(parameters / 1e8) / 10.0 + "B"
        : parameters >= 1_000_000
            ? Math.round(parameters / 1e5) / 10.0 + "M"
            : Math.round(parameters / 1e2) / 10.0 + "K";
  }
}
