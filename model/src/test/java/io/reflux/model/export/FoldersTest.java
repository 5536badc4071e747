package io.reflux.model.export;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.evaluate.Fidelity;
import io.reflux.model.runtime.ExchangeSession;
import io.reflux.model.runtime.RuntimeOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Folders of the product's teacher in few bits, read back. */
class FoldersTest {
  private static final Path TEACHER =
      Path.of("..", "deploy", "src", "main", "resources", "teacher");
  private static final List<String> TEXTS =
      List.of("where is my card?", "I want to cancel my order 1234", "hello");

  @TempDir private Path folder;

  @ParameterizedTest
  @EnumSource
  void graphSaysWhatTheModelSays(WeightFormat format) {
    LanguageModel model = quantised(format);
    OnnxFolder.write(folder.resolve("onnx"), model);
    Fidelity fidelity = fidelity(model);
    try (ExchangeSession session =
        new ExchangeSession(folder.resolve("onnx/model.onnx"), model.config())) {
      Fidelity.Marks marks = fidelity.of(session::logits);
      assertThat(marks.kl()).isCloseTo(0, within(1e-5));
      assertThat(marks.agreement()).isEqualTo(1);
      assertThat(marks.perplexityChange()).isCloseTo(0, within(1e-5));
    }
  }

  @Test
  void configurationNamesWhatTheGraphHas() throws IOException {
    LanguageModel model = LanguageModel.load(TEACHER);
    OnnxFolder.write(folder, model);
    JsonNode json = new ObjectMapper().readTree(folder.resolve("genai_config.json").toFile());
    JsonNode decoder = json.at("/model/decoder");
    assertThat(decoder.at("/filename").asText()).isEqualTo("model.onnx");
    assertThat(decoder.at("/inputs/past_key_names").asText()).isEqualTo("past_key_values.%d.key");
    assertThat(decoder.at("/outputs/present_value_names").asText()).isEqualTo("present.%d.value");
    assertThat(decoder.at("/num_hidden_layers").asInt()).isEqualTo(model.config().layers());
    assertThat(decoder.at("/num_key_value_heads").asInt())
        .isEqualTo(model.config().keyValueHeads());
    assertThat(json.at("/model/type").asText()).isEqualTo("llama");
    assertThat(json.at("/model/eos_token_id/0").asInt()).isIn(model.stopIds());
    assertThat(json.at("/model/context_length").asInt()).isEqualTo(model.config().maxPositions());
    assertThat(folder.resolve("tokenizer.json"))
        .hasSameBinaryContentAs(TEACHER.resolve("tokenizer.json"));
  }

  @Test
  void sameModelGivesTheSameBytes() {
    LanguageModel model = quantised(WeightFormat.INT4);
    for (String name : List.of("one", "other")) {
      OnnxFolder.write(folder.resolve(name + "/onnx"), model);
      HfFolder.write(folder.resolve(name + "/hf"), model);
    }
    for (String file :
        List.of("onnx/model.onnx", "onnx/genai_config.json", "hf/model.safetensors")) {
      assertThat(folder.resolve("one").resolve(file))
          .hasSameBinaryContentAs(folder.resolve("other").resolve(file));
    }
  }

  @ParameterizedTest
  @EnumSource
  void checkpointIsPlainAndNear(WeightFormat format) throws IOException {
    LanguageModel model = quantised(format);
    HfFolder.write(folder.resolve("hf"), model);
    LanguageModel plain = LanguageModel.load(folder.resolve("hf"));
    assertThat(plain.weights().tensors()).extracting(TensorInfo::dtype).containsOnly(DType.BF16);
    assertThat(new ObjectMapper().readTree(Files.readAllBytes(folder.resolve("hf/config.json"))))
        .noneMatch(value -> value.toString().contains("quant"));
    Fidelity.Marks marks = fidelity(model).of(plain.config(), plain.weights());
    assertThat(marks.kl()).isLessThan(2e-3);
    assertThat(plain.tokenizerFingerprint()).isEqualTo(model.tokenizerFingerprint());
  }

  private LanguageModel quantised(WeightFormat format) {
    LanguageModel teacher = LanguageModel.load(TEACHER);
    Weights weights = Quantiser.of(format).quantise(teacher.config(), teacher.weights());
    LanguageModel.save(folder.resolve("model"), teacher.config(), weights, format.dtype(), TEACHER);
    return LanguageModel.load(folder.resolve("model"));
  }

  private static Fidelity fidelity(LanguageModel model) {
    List<int[]> texts = TEXTS.stream().map(model::promptIds).toList();
    return Fidelity.prepare(model.config(), model.weights(), texts, RuntimeOptions.DEFAULT);
  }
}
