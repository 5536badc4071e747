package io.reflux.model.gguf;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.reference.RotaryFrequencies;
import java.util.ArrayList;
import java.util.List;

/** What llama.cpp calls the tensors of a checkpoint, and in which order it wants their rows. */
final class GgufTensors {
  /** What the angles of Llama 3's rotation are divided by, [headSize / 2]. */
  static final String ROPE_FACTORS = "rope_freqs.weight";

  static final String EMBEDDING = "token_embd.weight";
  static final String HEAD = "output.weight";

  private GgufTensors() {}

  /**
   * One tensor.
   *
   * @param source name in the checkpoint
   * @param name in the file
   * @param shape outermost dimension first
   * @param rotatedHeads heads whose rows pair up neighbours in the file and halves in the
   *     checkpoint; 0 where rows stay as they are
   */
  record Mapped(String source, String name, List<Long> shape, int rotatedHeads) {
    /** The checkpoint's row that stands at a row of the file. */
    int sourceRow(int row) {
      if (rotatedHeads == 0) {
        return row;
      }
      int headSize = (int) (shape.get(0) / rotatedHeads);
      int within = row % headSize;
      return row - within + within / 2 + within % 2 * (headSize / 2);
    }
  }

  /** Every tensor of a checkpoint, in the order they stand in a file. */
  static List<Mapped> of(ModelConfig config) {
    List<Mapped> mapped = new ArrayList<>();
    // The other architectures rotate halves in llama.cpp too.
    boolean pairs =
        config.architecture() == Architecture.LLAMA
            || config.architecture() == Architecture.MISTRAL;
    for (TensorInfo tensor : TensorNames.expected(config)) {
      int heads = 0;
      if (pairs && tensor.name().endsWith(".q_proj.weight")) {
        heads = config.heads();
      } else if (pairs && tensor.name().endsWith(".k_proj.weight")) {
        heads = config.keyValueHeads();
      }
      mapped.add(new Mapped(tensor.name(), name(tensor.name()), tensor.shape(), heads));
    }
    return mapped;
  }

  /** Whether the rotation's angles need a tensor of their own. */
  static boolean hasRopeFactors(ModelConfig config) {
    return config.ropeScaling() != null && config.ropeScaling().kind() == RopeScaling.Kind.LLAMA3;
  }

  /** What {@link #ROPE_FACTORS} holds. */
  static float[] ropeFactors(ModelConfig config) {
    double[] scaled = RotaryFrequencies.radiansPerPosition(config);
    float[] factors = new float[scaled.length];
    for (int i = 0; i < factors.length; i++) {
      double plain = Math.pow(config.ropeTheta(), -2.0 * i / config.headSize());
      factors[i] = (float) (plain / scaled[i]);
    }
    return factors;
  }

  private static String name(String source) {
    return switch (source) {
      case TensorNames.EMBEDDING -> EMBEDDING;
      case TensorNames.FINAL_NORM -> "output_norm.weight";
      case TensorNames.HEAD -> HEAD;
      default -> {
        String[] parts = source.split("\\.", 4);
        int end = parts[3].lastIndexOf('.');
        yield "blk." + parts[2] + "." + part(parts[3].substring(0, end)) + parts[3].substring(end);
      }
    };
  }

  private static String part(String part) {
    return switch (part) {
      case "input_layernorm" -> "attn_norm";
      case "self_attn.q_proj" -> "attn_q";
      case "self_attn.k_proj" -> "attn_k";
      case "self_attn.v_proj" -> "attn_v";
      case "self_attn.q_norm" -> "attn_q_norm";
      case "self_attn.k_norm" -> "attn_k_norm";
      case "self_attn.o_proj" -> "attn_output";
      case "post_attention_layernorm" -> "ffn_norm";
      case "mlp.gate_proj" -> "ffn_gate";
      case "mlp.up_proj" -> "ffn_up";
      case "mlp.down_proj" -> "ffn_down";
      default -> throw new IllegalArgumentException("tensor: " + part);
    };
  }
}
