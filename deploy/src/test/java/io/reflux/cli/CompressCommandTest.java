package io.reflux.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.gguf.GgufCheckpoint;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine;

class CompressCommandTest {
  private static final Path TEACHER = Path.of("src/main/resources/teacher");

  @TempDir private Path folder;
  private Path texts;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeEach
  void someTexts() throws IOException {
    texts = folder.resolve("texts.jsonl");
    assertThat(reflux("generate-traffic", "--out", texts.toString(), "--count", "60")).isZero();
  }

  @Test
  void writesLessAndMeasuresIt() throws IOException {
    Path small = folder.resolve("small");
    Path json = folder.resolve("figures.json");

    assertThat(
            compress("int8", small, "--calibration", texts.toString(), "--json", json.toString()))
        .as(err.toString())
        .isZero();

    LanguageModel written = LanguageModel.load(small);
    assertThat(WeightFormat.of(written.weights())).isEqualTo(WeightFormat.INT8);
    JsonNode figures = new ObjectMapper().readTree(json.toFile());
    assertThat(figures.path("written").path("bytes").asLong())
        .isEqualTo(Files.size(small.resolve("model.safetensors")));
    assertThat(figures.path("original").path("bytes").asLong())
        .isEqualTo(Files.size(TEACHER.resolve("model.safetensors")));
    assertThat(figures.path("kl").asDouble()).isBetween(0.0, 0.01);
    assertThat(figures.path("agreement").asDouble()).isGreaterThan(0.97);
    assertThat(Math.abs(figures.path("perplexity_change").asDouble())).isLessThan(0.01);
    assertThat(figures.path("written").path("decode_tokens_per_second").asDouble()).isPositive();
    assertThat(out.toString()).contains("comparing on 12 other texts", "top-1 agreement");
  }

  @Test
  void partsGoFirstThenBitsThenTheFormat() {
    Path small = folder.resolve("small");

    assertThat(
            compress(
                "gguf:q8_0,int8,neurons:0.5,kv-groups:0.5",
                small,
                "--method",
                "gptq",
                "--calibration",
                texts.toString()))
        .as(err.toString())
        .isZero();

    var written = GgufCheckpoint.load(small.resolve("model-q8_0.gguf"));
    assertThat(written.config().intermediateSize()).isEqualTo(352);
    assertThat(written.config().keyValueHeads()).isEqualTo(2);
    assertThat(WeightFormat.of(written.weights())).isEqualTo(WeightFormat.INT8);
    assertThat(out.toString())
        .containsSubsequence("pruning to 4 layers, 352 neurons", "quantising to int8 by gptq");
  }

  @Test
  void withoutTextsSizeAndSpeedAreLeft() {
    assertThat(compress("gguf:q4_0", folder.resolve("small"))).as(err.toString()).isZero();

    assertThat(out.toString()).contains("decode tokens/s", "need texts: --calibration");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          int5            |                | --target: int5 (expected: int8, int4, fp8, neurons:SHARE,
          int8,int4       |                | --target: int8 and int4 (expected: one of int8, int4 and fp8)
          int4,gguf:q8_0  |                | --target: int4 and gguf:q8_0 (expected: int8 with q8_0
          gguf:q5_1       |                | --target: gguf:q5_1 (expected: gguf: with f32, f16, q8_0 or q4_0)
          neurons:1.5     |                | --target: pruning target: neurons:1.5 (expected: a share above 0
          neurons:0.5     |                | --calibration: missing (expected: a file, for pruning)
          int4            | --method=gptq  | --calibration: missing (expected: a file, for gptq)
          gguf:q4_0       | --method=gptq  | --method: gptq (expected: with --target int8, int4 or fp8)
          int4            | --method=best  | --method: best (expected: rtn, gptq or quantease)
          int8            | --lines=0      | --lines: 0 (expected: 1 or more)
          """)
  void whatCannotBeIsSaidBeforeAnythingIsDone(String target, String option, String message) {
    List<String> more = new ArrayList<>();
    if (option != null) {
      more.add(option);
    }
    Path small = folder.resolve("small");

    assertThat(compress(target, small, more.toArray(String[]::new))).isEqualTo(1);

    assertThat(err.toString()).startsWith("reflux: " + message);
    assertThat(err.toString().strip()).doesNotContain("\n");
    assertThat(small).doesNotExist();
  }

  @Test
  void folderWithFilesIsLeftAlone() throws IOException {
    Path full = Files.createDirectory(folder.resolve("full"));
    Files.writeString(full.resolve("notes.txt"), "mine");

    assertThat(compress("int8", full)).isEqualTo(1);

    assertThat(err.toString())
        .startsWith("reflux: --out: " + full + ": has files (expected: a new directory");
    assertThat(full.resolve("notes.txt")).hasContent("mine");
  }

  private int compress(String target, Path directory, String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "compress",
                "--model",
                TEACHER.toString(),
                "--target",
                target,
                "--out",
                directory.toString()));
    arguments.addAll(List.of(more));
    return reflux(arguments.toArray(String[]::new));
  }

  private int reflux(String... arguments) {
    CommandLine line = Reflux.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return line.execute(arguments);
  }
}
