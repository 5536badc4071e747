package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;
import java.util.List;
import java.util.OptionalInt;

/**
 * The shape of a Llama-family model, as in Hugging Face's config.json.
 *
 * @param attentionBias whether q, k and v carry a bias (Qwen2)
 * @param qkNorm whether q and k heads are RMS-normalised before the rotation (Qwen3)
 * @param ropeScaling null when positions are not scaled
 * @param slidingWindow positions that a token sees, itself included; empty sees all
 * @param bosTokenId empty when the model has none
 * @param eosTokenIds any of these ends a response
 */
public record ModelConfig(
    Architecture architecture,
    int vocabularySize,
    int hiddenSize,
    int intermediateSize,
    int layers,
    int heads,
    int keyValueHeads,
    int headSize,
    int maxPositions,
    double rmsNormEpsilon,
    double ropeTheta,
    RopeScaling ropeScaling,
    boolean tiedEmbeddings,
    boolean attentionBias,
    boolean qkNorm,
    OptionalInt slidingWindow,
    OptionalInt bosTokenId,
    List<Integer> eosTokenIds) {

  /** Supported members of the family. */
  public enum Architecture {
    LLAMA("LlamaForCausalLM", "llama"),
    MISTRAL("MistralForCausalLM", "mistral"),
    QWEN2("Qwen2ForCausalLM", "qwen2"),
    QWEN3("Qwen3ForCausalLM", "qwen3");

    private final String className;
    private final String modelType;

    Architecture(String className, String modelType) {
      this.className = className;
      this.modelType = modelType;
    }

    /** The entry of config.json's architectures. */
    public String className() {
      return className;
    }

    /** config.json's model_type. */
    public String modelType() {
      return modelType;
    }
  }

  /**
   * Scaling of rotary positions.
   *
   * @param kind linear or llama3
   * @param lowFrequencyFactor llama3 only
   * @param highFrequencyFactor llama3 only
   * @param originalMaxPositions llama3 only
   */
  public record RopeScaling(
      Kind kind,
      double factor,
      double lowFrequencyFactor,
      double highFrequencyFactor,
      int originalMaxPositions) {
    /** Supported kinds. */
    public enum Kind {
      LINEAR,
      LLAMA3
    }
  }

  public ModelConfig {
    eosTokenIds = List.copyOf(eosTokenIds);
    require("vocab_size", vocabularySize, vocabularySize >= 1, "at least 1");
    require("hidden_size", hiddenSize, hiddenSize >= 1, "at least 1");
    require("intermediate_size", intermediateSize, intermediateSize >= 1, "at least 1");
    require("num_hidden_layers", layers, layers >= 1 && layers <= 10_000, "1 to 10000");
    require("num_attention_heads", heads, heads >= 1, "at least 1");
    require(
        "num_key_value_heads",
        keyValueHeads,
        keyValueHeads >= 1 && heads % keyValueHeads == 0,
        "a divisor of the " + heads + " attention heads");
    require("head_dim", headSize, headSize >= 2 && headSize % 2 == 0, "an even number");
    require("max_position_embeddings", maxPositions, maxPositions >= 1, "at least 1");
    require("rms_norm_eps", rmsNormEpsilon, rmsNormEpsilon > 0 && rmsNormEpsilon < 1, "0 to 1");
    require("rope_theta", ropeTheta, ropeTheta > 0 && ropeTheta < 1e30, "above 0");
    int window = slidingWindow.orElse(1);
    require("sliding_window", window, window >= 1, "at least 1");
    // Sizes whose products overflow would pass the later checks by accident.
    require(
        "head_dim", headSize, (long) heads * headSize <= 1 << 24, "at most 2^24 over all heads");
    require("hidden_size", hiddenSize, hiddenSize <= 1 << 24, "at most 2^24");
    require("intermediate_size", intermediateSize, intermediateSize <= 1 << 26, "at most 2^26");
    require("vocab_size", vocabularySize, vocabularySize <= 1 << 26, "at most 2^26");
  }

  /** Trainable numbers, tied ones once. */
  public long parameters() {
    return TensorNames.expected(this).stream().mapToLong(TensorInfo::elements).sum();
  }

  /** The same model with other counts of what pruning removes; heads keep their size. */
  public ModelConfig resized(int newLayers, int newIntermediate, int newHeads, int newKeyValues) {
    return new ModelConfig(
        architecture,
        vocabularySize,
        hiddenSize,
        newIntermediate,
        newLayers,
        newHeads,
        newKeyValues,
        headSize,
        maxPositions,
        rmsNormEpsilon,
        ropeTheta,
        ropeScaling,
        tiedEmbeddings,
        attentionBias,
        qkNorm,
        slidingWindow,
        bosTokenId,
        eosTokenIds);
  }

  private static void require(String name, Number value, boolean holds, String expected) {
    if (!holds) {
      throw new ModelException(
          "config.json: %s: %s (expected: %s)".formatted(name, value, expected));
    }
  }
}
