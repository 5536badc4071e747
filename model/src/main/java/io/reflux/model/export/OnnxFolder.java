package io.reflux.model.export;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.onnx.DecodeGraph;
import io.reflux.model.onnx.ExchangeGraph;
import io.reflux.model.onnx.GraphOptions;
import io.reflux.model.onnx.OnnxModel;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * A model as ONNX Runtime's users have it: {@code model.onnx}, with {@code model.onnx.data} where
 * the weights are large; {@code genai_config.json}, by which ONNX Runtime GenAI opens the folder
 * (its reference, docs/genai/reference/config.md); and the tokenizer's files.
 *
 * <p>Matrices of 8 and 4 bits are multiplied by {@code com.microsoft.MatMulNBits}; those of 8-bit
 * floats stay such in the file and are widened by {@code DequantizeLinear}; plain ones are float32.
 */
public final class OnnxFolder {
  /** The graph's file. */
  public static final String MODEL = "model.onnx";

  private static final String GENAI = "genai_config.json";

  private OnnxFolder() {}

  /**
   * Writes the folder.
   *
   * @param folder made if need be; files of the same names are replaced
   * @throws ModelException one line, if it cannot be written
   */
  public static void write(Path folder, LanguageModel model) {
    try {
      Files.createDirectories(folder);
      OnnxModel graph =
          ExchangeGraph.build(
              model.config(), model.weights(), GraphOptions.inMemory().withDataIn(folder));
      Files.write(folder.resolve(MODEL), graph.bytes());
      Files.write(folder.resolve(GENAI), genai(model));
    } catch (IOException e) {
      throw new ModelException(folder + ": cannot be written: " + e.getMessage(), e);
    }
    LanguageModel.copyText(model.directory(), folder);
  }

  private static byte[] genai(LanguageModel model) throws JsonProcessingException {
    ModelConfig config = model.config();
    List<Integer> ends = model.stopIds().stream().sorted().toList();
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode root = mapper.createObjectNode();
    ObjectNode described = root.putObject("model");
    config.bosTokenId().ifPresent(id -> described.put("bos_token_id", id));
    described.put("context_length", config.maxPositions());
    ObjectNode decoder = described.putObject("decoder");
    ObjectNode session = decoder.putObject("session_options");
    session.put("log_id", "onnxruntime-genai");
    session.putArray("provider_options");
    if (WeightFormat.of(model.weights()) == WeightFormat.FP8) {
      // Widened once, when the graph is loaded, and not at every run.
      session.put("session.disable_quant_qdq", "1");
    }
    decoder.put("filename", MODEL);
    decoder.put("head_size", DecodeGraph.cacheHeadSize(config));
    decoder.put("hidden_size", config.hiddenSize());
    names(decoder);
    decoder.put("num_attention_heads", config.heads());
    decoder.put("num_hidden_layers", config.layers());
    decoder.put("num_key_value_heads", config.keyValueHeads());
    ArrayNode eos = described.putArray("eos_token_id");
    ends.forEach(eos::add);
    described.put("pad_token_id", ends.isEmpty() ? config.bosTokenId().orElse(0) : ends.get(0));
    described.put("type", config.architecture().modelType());
    described.put("vocab_size", config.vocabularySize());
    ObjectNode search = root.putObject("search");
    search.put("do_sample", false);
    search.put("max_length", config.maxPositions());
    search.put("min_length", 0);
    search.put("num_beams", 1);
    search.put("num_return_sequences", 1);
    search.put("past_present_share_buffer", true);
    search.put("repetition_penalty", 1.0);
    search.put("temperature", 1.0);
    search.put("top_k", 50);
    search.put("top_p", 1.0);
    String text = mapper.writerWithDefaultPrettyPrinter().writeValueAsString(root);
    return (text.replace("\r\n", "\n") + "\n").getBytes(StandardCharsets.UTF_8);
  }

  private static void names(ObjectNode decoder) {
    ObjectNode inputs = decoder.putObject("inputs");
    inputs.put("input_ids", ExchangeGraph.IDS);
    inputs.put("attention_mask", ExchangeGraph.MASK);
    inputs.put("position_ids", ExchangeGraph.POSITIONS);
    inputs.put("past_key_names", "past_key_values.%d.key");
    inputs.put("past_value_names", "past_key_values.%d.value");
    ObjectNode outputs = decoder.putObject("outputs");
    outputs.put("logits", ExchangeGraph.LOGITS);
    outputs.put("present_key_names", "present.%d.key");
    outputs.put("present_value_names", "present.%d.value");
  }
}
