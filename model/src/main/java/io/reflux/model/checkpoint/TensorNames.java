package io.reflux.model.checkpoint;

import java.util.ArrayList;
import java.util.List;

/** Hugging Face's names for the tensors of a Llama-family model, and the shapes they must have. */
public final class TensorNames {
  /** Token embeddings, [vocabularySize, hiddenSize]. */
  public static final String EMBEDDING = "model.embed_tokens.weight";

  /** Gain of the last norm, [hiddenSize]. */
  public static final String FINAL_NORM = "model.norm.weight";

  /** Output projection, [vocabularySize, hiddenSize]; absent when tied to the embeddings. */
  public static final String HEAD = "lm_head.weight";

  /** Ends the name of the scales that stand beside a matrix of few bits in a file. */
  static final String SCALES_SUFFIX = ".scales";

  private TensorNames() {}

  /** Where the output projection is read from: {@link #HEAD}, or the embeddings when tied. */
  public static String head(ModelConfig config) {
    return config.tiedEmbeddings() ? EMBEDDING : HEAD;
  }

  /** [hiddenSize]. */
  public static String inputNorm(int layer) {
    return layer(layer, "input_layernorm.weight");
  }

  /** [heads · headSize, hiddenSize]. */
  public static String query(int layer) {
    return layer(layer, "self_attn.q_proj.weight");
  }

  /** [keyValueHeads · headSize, hiddenSize]. */
  public static String key(int layer) {
    return layer(layer, "self_attn.k_proj.weight");
  }

  /** [keyValueHeads · headSize, hiddenSize]. */
  public static String value(int layer) {
    return layer(layer, "self_attn.v_proj.weight");
  }

  /** [hiddenSize, heads · headSize]. */
  public static String output(int layer) {
    return layer(layer, "self_attn.o_proj.weight");
  }

  /** [heads · headSize], when the configuration has attention biases. */
  public static String queryBias(int layer) {
    return layer(layer, "self_attn.q_proj.bias");
  }

  /** [keyValueHeads · headSize], when the configuration has attention biases. */
  public static String keyBias(int layer) {
    return layer(layer, "self_attn.k_proj.bias");
  }

  /** [keyValueHeads · headSize], when the configuration has attention biases. */
  public static String valueBias(int layer) {
    return layer(layer, "self_attn.v_proj.bias");
  }

  /** [headSize], shared by the heads, when the configuration norms queries and keys. */
  public static String queryNorm(int layer) {
    return layer(layer, "self_attn.q_norm.weight");
  }

  /** [headSize], shared by the heads, when the configuration norms queries and keys. */
  public static String keyNorm(int layer) {
    return layer(layer, "self_attn.k_norm.weight");
  }

  /** [hiddenSize]. */
  public static String postAttentionNorm(int layer) {
    return layer(layer, "post_attention_layernorm.weight");
  }

  /** [intermediateSize, hiddenSize]. */
  public static String gate(int layer) {
    return layer(layer, "mlp.gate_proj.weight");
  }

  /** [intermediateSize, hiddenSize]. */
  public static String up(int layer) {
    return layer(layer, "mlp.up_proj.weight");
  }

  /** [hiddenSize, intermediateSize]. */
  public static String down(int layer) {
    return layer(layer, "mlp.down_proj.weight");
  }

  /**
   * Every tensor that a model of this shape has, in the order a forward pass meets them. The dtype
   * is F32 throughout: how they are stored is not the configuration's business.
   */
  public static List<TensorInfo> expected(ModelConfig config) {
    long hidden = config.hiddenSize();
    long queries = (long) config.heads() * config.headSize();
    long keyValues = (long) config.keyValueHeads() * config.headSize();
    long intermediate = config.intermediateSize();
    long vocabulary = config.vocabularySize();
    List<TensorInfo> tensors = new ArrayList<>();
    tensors.add(tensor(EMBEDDING, vocabulary, hidden));
    for (int layer = 0; layer < config.layers(); layer++) {
      tensors.add(tensor(inputNorm(layer), hidden));
      tensors.add(tensor(query(layer), queries, hidden));
      tensors.add(tensor(key(layer), keyValues, hidden));
      tensors.add(tensor(value(layer), keyValues, hidden));
      if (config.attentionBias()) {
        tensors.add(tensor(queryBias(layer), queries));
        tensors.add(tensor(keyBias(layer), keyValues));
        tensors.add(tensor(valueBias(layer), keyValues));
      }
      if (config.qkNorm()) {
        tensors.add(tensor(queryNorm(layer), config.headSize()));
        tensors.add(tensor(keyNorm(layer), config.headSize()));
      }
      tensors.add(tensor(output(layer), hidden, queries));
      tensors.add(tensor(postAttentionNorm(layer), hidden));
      tensors.add(tensor(gate(layer), intermediate, hidden));
      tensors.add(tensor(up(layer), intermediate, hidden));
      tensors.add(tensor(down(layer), hidden, intermediate));
    }
    tensors.add(tensor(FINAL_NORM, hidden));
    if (!config.tiedEmbeddings()) {
      tensors.add(tensor(HEAD, vocabulary, hidden));
    }
    return List.copyOf(tensors);
  }

  private static String layer(int layer, String name) {
    return "model.layers." + layer + "." + name;
  }

  private static TensorInfo tensor(String name, long... shape) {
    List<Long> dimensions = new ArrayList<>(shape.length);
    for (long dimension : shape) {
      dimensions.add(dimension);
    }
    return new TensorInfo(name, DType.F32, dimensions);
  }
}
