package io.reflux.model.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ConfigJsonTest {
  private static final String SIZES =
      "\"vocab_size\":100,\"hidden_size\":64,\"intermediate_size\":96,"
          + "\"num_hidden_layers\":3,\"num_attention_heads\":8";

  @TempDir Path directory;

  @Property(tries = 200)
  void whatIsWrittenIsRead(@ForAll Architecture architecture, @ForAll long seed)
      throws IOException {
    ModelConfig config = RandomModel.config(architecture, seed);
    Path temporary = Files.createTempDirectory("config");
    Files.write(temporary.resolve("config.json"), ConfigJson.write(config, DType.F32, 0));

    assertThat(ConfigJson.read(temporary).config()).isEqualTo(config);
    assertThat(ConfigJson.read(temporary).quantisation()).isEmpty();
  }

  @Test
  void llama2HasTheDefaultsOfItsClass() throws IOException {
    ModelConfig config = read("{\"architectures\":[\"LlamaForCausalLM\"]," + SIZES + "}");

    assertThat(config.architecture()).isEqualTo(Architecture.LLAMA);
    assertThat(config.keyValueHeads()).isEqualTo(8);
    assertThat(config.headSize()).isEqualTo(8);
    assertThat(config.maxPositions()).isEqualTo(2048);
    assertThat(config.rmsNormEpsilon()).isEqualTo(1e-6);
    assertThat(config.ropeTheta()).isEqualTo(10_000);
    assertThat(config.ropeScaling()).isNull();
    assertThat(config.tiedEmbeddings()).isFalse();
    assertThat(config.attentionBias()).isFalse();
    assertThat(config.qkNorm()).isFalse();
    assertThat(config.slidingWindow()).isEmpty();
    assertThat(config.bosTokenId()).hasValue(1);
    assertThat(config.eosTokenIds()).containsExactly(2);
  }

  @Test
  void llama3ScalesItsPositionsAndHasSeveralEnds() throws IOException {
    Files.writeString(directory.resolve("generation_config.json"), "{\"eos_token_id\":[7,9,8]}");
    ModelConfig config =
        read(
            """
            {"architectures":["LlamaForCausalLM"],%s,"num_key_value_heads":2,"head_dim":16,
             "rope_theta":500000.0,"tie_word_embeddings":true,"bos_token_id":5,
             "eos_token_id":[6,7],"pretraining_tp":1,
             "rope_scaling":{"factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
               "original_max_position_embeddings":8192,"rope_type":"llama3"}}
            """
                .formatted(SIZES));

    assertThat(config.ropeScaling())
        .isEqualTo(new RopeScaling(RopeScaling.Kind.LLAMA3, 8, 1, 4, 8192));
    assertThat(config.headSize()).isEqualTo(16);
    assertThat(config.tiedEmbeddings()).isTrue();
    assertThat(config.eosTokenIds()).containsExactly(6, 7, 9, 8);
  }

  @Test
  void newerFilesKeepThetaAmongRopeParameters() throws IOException {
    ModelConfig config =
        read(
            "{\"model_type\":\"llama\","
                + SIZES
                + ",\"rope_parameters\":{\"rope_theta\":25000,\"rope_type\":\"linear\",\"factor\":4}}");

    assertThat(config.ropeTheta()).isEqualTo(25_000);
    assertThat(config.ropeScaling().kind()).isEqualTo(RopeScaling.Kind.LINEAR);
    assertThat(config.ropeScaling().factor()).isEqualTo(4);
  }

  @Test
  void olderFilesCallTheKindOfScalingType() throws IOException {
    ModelConfig config =
        read(
            "{\"model_type\":\"llama\","
                + SIZES
                + ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0}}");

    assertThat(config.ropeScaling().factor()).isEqualTo(2);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {"''|4096", ",\"sliding_window\":null|0", ",\"sliding_window\":128|128"})
  void mistralHasAWindowUnlessItSaysNull(String field, int window) throws IOException {
    ModelConfig config = read("{\"architectures\":[\"MistralForCausalLM\"]," + SIZES + field + "}");

    assertThat(config.slidingWindow())
        .isEqualTo(window == 0 ? OptionalInt.empty() : OptionalInt.of(window));
    assertThat(config.keyValueHeads()).isEqualTo(8);
    assertThat(config.maxPositions()).isEqualTo(131_072);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"use_sliding_window\":false,\"sliding_window\":128,\"max_window_layers\":0|0",
        "\"use_sliding_window\":true,\"sliding_window\":128,\"max_window_layers\":3|0",
        "\"use_sliding_window\":true,\"sliding_window\":128,\"max_window_layers\":0|128",
        "\"use_sliding_window\":true,\"sliding_window\":null,\"max_window_layers\":0|0",
        "\"use_sliding_window\":true,\"max_window_layers\":0|4096",
        "\"use_sliding_window\":true|0"
      })
  void qwenHasAWindowWhereItSaysSo(String fields, int window) throws IOException {
    ModelConfig config =
        read(
            "{\"architectures\":[\"Qwen2ForCausalLM\"],\"num_key_value_heads\":4,"
                + SIZES
                + ","
                + fields
                + "}");

    assertThat(config.slidingWindow())
        .isEqualTo(window == 0 ? OptionalInt.empty() : OptionalInt.of(window));
    assertThat(config.attentionBias()).isTrue();
    assertThat(config.bosTokenId()).isEmpty();
    assertThat(config.eosTokenIds()).isEmpty();
  }

  @Test
  void qwen3NormsQueriesAndKeysOf128() throws IOException {
    ModelConfig config =
        read(
            "{\"architectures\":[\"Qwen3ForCausalLM\"],\"num_key_value_heads\":4,\"eos_token_id\":9,"
                + SIZES
                + "}");

    assertThat(config.qkNorm()).isTrue();
    assertThat(config.attentionBias()).isFalse();
    assertThat(config.headSize()).isEqualTo(128);
    assertThat(config.eosTokenIds()).containsExactly(9);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "\"architectures\":[\"GPT2LMHeadModel\"]|architectures: GPT2LMHeadModel (expected: one of Llama",
        "\"model_type\":\"gemma2\"|model_type: gemma2",
        "\"hidden_act\":\"gelu\"|hidden_act: gelu (expected: silu)",
        "\"mlp_bias\":true|mlp_bias: true (expected: false)",
        "\"attention_bias\":true|attention_bias: true (expected: false)",
        "\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2}|rope_scaling.rope_type: yarn",
        "\"rope_scaling\":{\"rope_type\":\"linear\"}|rope_scaling.factor: missing",
        "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,"
            + "\"high_freq_factor\":1,\"original_max_position_embeddings\":32}|high_freq_factor: 1.0",
        "\"partial_rotary_factor\":0.5|partial_rotary_factor: 0.5",
        "\"quantization_config\":{\"quant_method\":\"gptq\"}|quant_method: gptq",
        "\"hidden_size\":\"big\"|hidden_size: big (expected: a whole number)",
        "\"hidden_size\":null|hidden_size: missing",
        "\"hidden_size\":65|hidden_size: 65 (expected: a multiple of the 8",
        "\"num_key_value_heads\":3|num_key_value_heads: 3 (expected: a divisor of the 8",
        "\"num_key_value_heads\":0|num_key_value_heads: 0",
        "\"num_attention_heads\":0|expected",
        "\"num_hidden_layers\":2000000000|num_hidden_layers: 2000000000",
        "\"vocab_size\":-1|vocab_size: -1",
        "\"vocab_size\":99999999999|vocab_size: 99999999999",
        "\"head_dim\":7|head_dim: 7 (expected: an even number)",
        "\"rms_norm_eps\":0|rms_norm_eps: 0.0",
        "\"eos_token_id\":\"x\"|eos_token_id: x",
        "\"eos_token_id\":[1,-2]|eos_token_id: [1,-2]",
        "\"tie_word_embeddings\":\"yes\"|tie_word_embeddings: yes",
        "\"reflux\":{\"quantisation\":\"int3\"}|reflux.quantisation: int3",
        "\"reflux\":{\"quantisation\":\"int8\"}|reflux.block_size: missing"
      })
  void whatCannotBeComputedIsRefusedByName(String field, String expected) throws IOException {
    String name = field.substring(0, field.indexOf(':') + 1);
    String base =
        (name.equals("\"model_type\":") ? "" : "\"architectures\":[\"LlamaForCausalLM\"],") + SIZES;
    String without = base.replaceAll(java.util.regex.Pattern.quote(name) + "[^,]+,?", "");
    String json = "{" + field + (without.isEmpty() ? "" : ",") + without + "}";
    String clean = json.replace(",}", "}");

    assertThatThrownBy(() -> read(clean))
        .as(clean)
        .isInstanceOf(ModelException.class)
        .message()
        .contains("config.json: ")
        .contains(expected)
        .doesNotContain("\n");
  }

  @ParameterizedTest
  @CsvSource({"'',nothing", "'[]',ARRAY", "'{',not JSON", "'{\"a\":1,\"a\":2}',Duplicate"})
  void whatIsNoObjectIsRefused(String json, String expected) {
    assertThatThrownBy(() -> read(json))
        .isInstanceOf(ModelException.class)
        .message()
        .contains("config.json: ")
        .containsIgnoringCase(expected)
        .doesNotContain("\n");
  }

  @Test
  void missingFileIsNamed() {
    assertThatThrownBy(() -> ConfigJson.read(directory))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("config.json: no such file");
  }

  @Test
  void parametersAreCountedOnceWhenTied() throws IOException {
    ModelConfig tied =
        read("{\"model_type\":\"llama\",\"tie_word_embeddings\":true," + SIZES + "}");
    ModelConfig untied = read("{\"model_type\":\"llama\"," + SIZES + "}");

    assertThat(untied.parameters() - tied.parameters()).isEqualTo(100 * 64);
    assertThat(TensorNames.expected(tied))
        .extracting(TensorInfo::name)
        .doesNotContain("lm_head.weight");
    assertThat(List.of(TensorNames.head(tied), TensorNames.head(untied)))
        .containsExactly(TensorNames.EMBEDDING, TensorNames.HEAD);
  }

  private ModelConfig read(String json) throws IOException {
    Files.writeString(directory.resolve("config.json"), json);
    return ConfigJson.read(directory).config();
  }
}
