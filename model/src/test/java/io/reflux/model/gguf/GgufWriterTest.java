package io.reflux.model.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Halves;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.Quantiser;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class GgufWriterTest {
  @TempDir private Path folder;

  @ParameterizedTest
  @EnumSource(GgufModels.class)
  void everyArchitectureComesBackAsItWas(GgufModels kind) {
    LanguageModel model = kind.save(folder.resolve("model"));
    Path file = folder.resolve("model.gguf");

    GgufWriter.write(file, model, GgufType.F32);

    Checkpoint back = GgufCheckpoint.load(file);
    assertThat(back.config()).isEqualTo(model.config());
    assertThat(back.weights().fingerprint())
        .isEqualTo(MemoryWeights.copyOf(model.weights()).fingerprint());
  }

  @Test
  void saysWhatLlamaCppAsksFor() {
    LanguageModel model = GgufModels.LLAMA.save(folder.resolve("model"));
    Path file = folder.resolve("model.gguf");

    GgufWriter.write(file, model, GgufType.Q8_0);

    Map<String, Object> metadata = GgufFile.open(file).metadata();
    assertThat(metadata)
        .containsEntry("general.architecture", "llama")
        .containsEntry("general.alignment", 32L)
        .containsEntry("general.file_type", 7L)
        .containsEntry("general.quantization_version", 2L)
        .containsEntry("llama.block_count", 2L)
        .containsEntry("llama.context_length", 128L)
        .containsEntry("llama.embedding_length", 64L)
        .containsEntry("llama.feed_forward_length", 96L)
        .containsEntry("llama.attention.head_count", 4L)
        .containsEntry("llama.attention.head_count_kv", 2L)
        .containsEntry("llama.attention.key_length", 16L)
        .containsEntry("llama.rope.dimension_count", 16L)
        .containsEntry("llama.rope.freq_base", 10_000.0)
        .containsEntry("llama.attention.layer_norm_rms_epsilon", (double) 1e-5f)
        .containsEntry("tokenizer.ggml.model", "gpt2")
        .containsEntry("tokenizer.ggml.pre", "gpt-2")
        .containsEntry("tokenizer.ggml.bos_token_id", 0L)
        .containsEntry("tokenizer.ggml.eos_token_id", 1L)
        .containsEntry("tokenizer.ggml.add_bos_token", true)
        .containsEntry("tokenizer.ggml.add_eos_token", false);
    int vocabulary = model.config().vocabularySize();
    List<?> tokens = (List<?>) metadata.get("tokenizer.ggml.tokens");
    List<?> types = (List<?>) metadata.get("tokenizer.ggml.token_type");
    assertThat(tokens).hasSize(vocabulary).doesNotHaveDuplicates();
    assertThat(tokens.get(1)).isEqualTo("<|end|>");
    assertThat(tokens.get(vocabulary - 1)).isEqualTo("[PAD" + (vocabulary - 1) + "]");
    assertThat(types.get(1)).isEqualTo(3L);
    assertThat(types.get(2)).isEqualTo(1L);
    assertThat(types.get(vocabulary - 1)).isEqualTo(5L);
    assertThat((List<?>) metadata.get("tokenizer.ggml.merges")).isNotEmpty();
  }

  @ParameterizedTest
  @EnumSource(GgufType.class)
  void tensorsAreWhatTheTypeMakesOfThem(GgufType type) {
    LanguageModel model = GgufModels.MISTRAL.save(folder.resolve("model"));
    Path file = folder.resolve("model.gguf");

    GgufWriter.write(file, model, type);

    Weights back = GgufCheckpoint.load(file).weights();
    for (TensorInfo tensor : TensorNames.expected(model.config())) {
      float[] wanted = model.weights().floats(tensor.name());
      float[] got = back.floats(tensor.name());
      if (tensor.shape().size() < 2) {
        assertThat(got).isEqualTo(wanted);
        continue;
      }
      for (int i = 0; i < wanted.length; i += 32) {
        double largest = 0;
        for (int j = i; j < i + 32; j++) {
          largest = Math.max(largest, Math.abs(wanted[j]));
        }
        for (int j = i; j < i + 32; j++) {
          switch (type) {
            case F32 -> assertThat(got[j]).isEqualTo(wanted[j]);
            case F16 ->
                assertThat(got[j]).isEqualTo(Halves.fromFloat16(Halves.toFloat16(wanted[j])));
            // Half a step, and what the scale loses as a float16: 2^-11 of at most 127 steps.
            case Q8_0 ->
                assertThat(Math.abs(got[j] - wanted[j]))
                    .isLessThanOrEqualTo((float) (largest / 127 * 0.57));
            // A whole step at the end that has one integer fewer.
            case Q4_0 ->
                assertThat(Math.abs(got[j] - wanted[j]))
                    .isLessThanOrEqualTo((float) (largest / 8 * 1.005));
          }
        }
      }
    }
  }

  @Test
  void fourBitIntegersOfAQuantiserStayAsTheyAre() {
    LanguageModel model = GgufModels.LLAMA.save(folder.resolve("model"));
    Weights int4 = Quantiser.of(WeightFormat.INT4).quantise(model.config(), model.weights());
    Path file = folder.resolve("model.gguf");

    GgufWriter.write(file, model.config(), int4, model.text(), GgufType.Q4_0);

    Weights back = GgufCheckpoint.load(file).weights();
    for (TensorInfo tensor : int4.tensors()) {
      // Whose scales are float16 numbers already.
      if (tensor.dtype() == DType.I4) {
        assertThat(back.floats(tensor.name()))
            .as(tensor.name())
            .isEqualTo(int4.floats(tensor.name()));
      }
    }
  }

  @Test
  void integersOfAQuantiserStayAsTheyAre() {
    LanguageModel model = GgufModels.LLAMA.save(folder.resolve("model"));
    Weights int8 = Quantiser.of(WeightFormat.INT8).quantise(model.config(), model.weights());
    Path file = folder.resolve("model.gguf");

    GgufWriter.write(file, model.config(), int8, model.text(), GgufType.Q8_0);

    Weights back = GgufCheckpoint.load(file).weights();
    for (TensorInfo tensor : int8.tensors()) {
      if (tensor.shape().size() == 2) {
        QuantisedMatrix wanted = int8.quantised(tensor.name()).orElseThrow();
        QuantisedMatrix got = back.quantised(tensor.name()).orElseThrow();
        assertThat(got.values()).as(tensor.name()).isEqualTo(wanted.values());
        assertThat(got.scales()).as(tensor.name()).isEqualTo(halves(wanted.scales()));
      }
    }
  }

  @Test
  void rowsThatAreNoMultipleOfABlockAreHalves() {
    LanguageModel model = GgufModels.QWEN3.save(folder.resolve("model"));
    ModelConfig odd = withIntermediate(model.config(), 40);
    Path file = folder.resolve("model.gguf");

    GgufWriter.write(file, odd, RandomModel.weights(odd, 1), model.text(), GgufType.Q4_0);

    Map<String, GgufFile.Tensor> tensors = GgufFile.open(file).tensors();
    assertThat(tensors.get("blk.0.ffn_down.weight").type()).isEqualTo(GgufType.F16);
    assertThat(tensors.get("blk.0.ffn_up.weight").type()).isEqualTo(GgufType.Q4_0);
    assertThat(tensors.get("blk.0.attn_q_norm.weight").type()).isEqualTo(GgufType.F32);
  }

  @Test
  void theSameModelGivesTheSameBytes() throws IOException {
    LanguageModel model = GgufModels.LLAMA_WITH_LLAMA3_ROTATION.save(folder.resolve("model"));
    Path first = folder.resolve("first.gguf");
    Path second = folder.resolve("elsewhere").resolve("second.gguf");

    GgufWriter.write(first, model, GgufType.Q4_0);
    GgufWriter.write(second, model, GgufType.Q4_0);

    assertThat(Files.mismatch(first, second)).isEqualTo(-1);
  }

  @Test
  void failureLeavesTheOldFileAndNoOther() throws IOException {
    LanguageModel model = GgufModels.LLAMA.save(folder.resolve("model"));
    Path file = folder.resolve("out").resolve("model.gguf");
    GgufWriter.write(file, model, GgufType.F32);
    byte[] before = Files.readAllBytes(file);
    MemoryWeights.Builder diverged = MemoryWeights.builder();
    for (TensorInfo tensor : model.weights().tensors()) {
      float[] floats = model.weights().floats(tensor.name());
      if (tensor.name().equals(TensorNames.down(1))) {
        Arrays.fill(floats, 5, 6, Float.NaN);
      }
      diverged.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }

    assertThatThrownBy(
            () ->
                GgufWriter.write(
                    file, model.config(), diverged.build(), model.text(), GgufType.F32))
        .isInstanceOf(ModelException.class)
        .hasMessage(TensorNames.down(1) + ": NaN at element 5 (expected: finite weights)");

    assertThat(Files.readAllBytes(file)).isEqualTo(before);
    try (var files = Files.list(file.getParent())) {
      assertThat(files).containsExactly(file);
    }
  }

  @Test
  void tokenizerThatLlamaCppHasNotIsRefused() throws IOException {
    Path directory = folder.resolve("model");
    GgufModels.LLAMA.save(directory);
    Path tokenizer = directory.resolve("tokenizer.json");
    String json = Files.readString(tokenizer, StandardCharsets.UTF_8);
    Files.writeString(
        tokenizer, json.replaceFirst("\"use_regex\" : true", "\"use_regex\" : false"));
    LanguageModel model = LanguageModel.load(directory);

    assertThatThrownBy(() -> GgufWriter.write(folder.resolve("model.gguf"), model, GgufType.F32))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("pre_tokenizer: [bytes] (expected: one that llama.cpp has");
  }

  private static float[] halves(float[] floats) {
    float[] halves = new float[floats.length];
    for (int i = 0; i < floats.length; i++) {
      halves[i] = Halves.fromFloat16(Halves.toFloat16(floats[i]));
    }
    return halves;
  }

  private static ModelConfig withIntermediate(ModelConfig config, int size) {
    return new ModelConfig(
        config.architecture(),
        config.vocabularySize(),
        config.hiddenSize(),
        size,
        config.layers(),
        config.heads(),
        config.keyValueHeads(),
        config.headSize(),
        config.maxPositions(),
        config.rmsNormEpsilon(),
        config.ropeTheta(),
        config.ropeScaling(),
        config.tiedEmbeddings(),
        config.attentionBias(),
        config.qkNorm(),
        config.slidingWindow(),
        config.bosTokenId(),
        config.eosTokenIds());
  }
}
