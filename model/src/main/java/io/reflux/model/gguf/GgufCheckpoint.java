package io.reflux.model.gguf;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;

/**
 * Turns a GGUF file back into the checkpoint it was written from, rows in the checkpoint's order,
 * so that what ships can be held against what it was made of, and measured. The tokenizer stays
 * behind.
 */
public final class GgufCheckpoint {
  private GgufCheckpoint() {}

  /**
   * Opens a file as {@link GgufWriter} writes it; others of the same architectures where they say
   * all that is needed. Weights stay in the file until they are asked for.
   *
   * @throws ModelException naming the file and what does not fit
   */
  public static Checkpoint load(Path path) {
    GgufFile file = GgufFile.open(path);
    ModelConfig config;
    try {
      config = new Reader(file).config();
    } catch (ModelException e) {
      // What a configuration cannot be is said of config.json.
      String said = e.getMessage().replaceFirst("^config\\.json: ", "");
      throw said.startsWith(path + ": ") ? e : new ModelException(path + ": " + said, e);
    }
    return new Checkpoint(config, new GgufWeights(file, config));
  }

  private record Reader(GgufFile file) {
    ModelConfig config() {
      Architecture architecture = architecture();
      String prefix = file.text(GgufMetadata.ARCHITECTURE).orElse("") + ".";
      int hidden = integer(prefix + "embedding_length");
      int heads = integer(prefix + "attention.head_count");
      int headSize = integer(prefix + "attention.key_length", hidden / Math.max(1, heads));
      return new ModelConfig(
          architecture,
          vocabulary(),
          hidden,
          integer(prefix + "feed_forward_length"),
          integer(prefix + "block_count"),
          heads,
          integer(prefix + "attention.head_count_kv", heads),
          headSize,
          integer(GgufMetadata.MAX_POSITIONS, integer(prefix + "context_length")),
          shortest(number(prefix + "attention.layer_norm_rms_epsilon")),
          shortest(number(prefix + "rope.freq_base")),
          scaling(prefix),
          !file.tensors().containsKey(GgufTensors.HEAD),
          architecture == Architecture.QWEN2,
          architecture == Architecture.QWEN3,
          optional(GgufMetadata.SLIDING_WINDOW),
          optional(GgufMetadata.BOS),
          ends());
    }

    private Architecture architecture() {
      String name = file.text(GgufMetadata.ARCHITECTURE).orElse("none");
      String className = file.text(GgufMetadata.CLASS_NAME).orElse("");
      for (Architecture architecture : Architecture.values()) {
        boolean own = architecture.className().equals(className);
        boolean foreign = className.isEmpty() && architecture.modelType().equals(name);
        if (own || foreign) {
          return architecture;
        }
      }
      throw new ModelException(
          "%s: %s: %s (expected: llama, qwen2 or qwen3)"
              .formatted(file.path(), GgufMetadata.ARCHITECTURE, name));
    }

    private int vocabulary() {
      GgufFile.Tensor embedding = file.tensors().get(GgufTensors.EMBEDDING);
      if (embedding == null || embedding.shape().get(0) > Integer.MAX_VALUE) {
        throw new ModelException(
            "%s: %s: %s (expected: one row a token)"
                .formatted(
                    file.path(),
                    GgufTensors.EMBEDDING,
                    embedding == null ? "missing" : embedding.shape()));
      }
      return embedding.shape().get(0).intValue();
    }

    private RopeScaling scaling(String prefix) {
      if (file.tensors().containsKey(GgufTensors.ROPE_FACTORS)) {
        return new RopeScaling(
            RopeScaling.Kind.LLAMA3,
            shortest(number(GgufMetadata.LLAMA3 + "factor")),
            shortest(number(GgufMetadata.LLAMA3 + "low_freq_factor")),
            shortest(number(GgufMetadata.LLAMA3 + "high_freq_factor")),
            integer(GgufMetadata.LLAMA3 + "original_max_positions"));
      }
      String type = file.text(prefix + "rope.scaling.type").orElse("none");
      return switch (type) {
        case "none" -> null;
        case "linear" ->
            new RopeScaling(
                RopeScaling.Kind.LINEAR, shortest(number(prefix + "rope.scaling.factor")), 0, 0, 0);
        default ->
            throw new ModelException(
                "%s: %srope.scaling.type: %s (expected: none or linear)"
                    .formatted(file.path(), prefix, type));
      };
    }

    private List<Integer> ends() {
      Object ids = file.metadata().get(GgufMetadata.EOS);
      if (ids instanceof List<?> list) {
        return list.stream().map(id -> whole(GgufMetadata.EOS, id)).toList();
      }
      return optional("tokenizer.ggml.eos_token_id").stream().boxed().toList();
    }

    private OptionalInt optional(String key) {
      Object value = file.metadata().get(key);
      return value == null ? OptionalInt.empty() : OptionalInt.of(whole(key, value));
    }

    private int integer(String key) {
      return whole(key, file.metadata().get(key));
    }

    private int integer(String key, int whenAbsent) {
      return file.metadata().containsKey(key) ? integer(key) : whenAbsent;
    }

    private int whole(String key, Object value) {
      if (value instanceof Long number && number >= 0 && number <= Integer.MAX_VALUE) {
        return number.intValue();
      }
      throw new ModelException(
          "%s: %s: %s (expected: a whole number)"
              .formatted(file.path(), key, value == null ? "missing" : value));
    }

    private double number(String key) {
      Object value = file.metadata().get(key);
      if (value instanceof Double number) {
        return number;
      }
      throw new ModelException(
          "%s: %s: %s (expected: a number)"
              .formatted(file.path(), key, value == null ? "missing" : value));
    }

    /** The file has float32 where config.json has a decimal: 1e-5, not 9.99999974737875E-6. */
    private static double shortest(double value) {
      return Double.parseDouble(Float.toString((float) value));
    }
  }
}
