package io.reflux.model.checkpoint;

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
  }
}
