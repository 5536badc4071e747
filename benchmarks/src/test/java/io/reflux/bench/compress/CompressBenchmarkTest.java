package io.reflux.bench.compress;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.TinyTeacher;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CompressBenchmarkTest {
  private static final CompressBenchmark.Size TINY =
      new CompressBenchmark.Size(new Subject.Size(30, 20), 1);

  @TempDir private Path folder;

  @Test
  void measuresEveryWayOnItsFiles() throws Exception {
    Path plot = folder.resolve("compress.svg");

    Result result =
        new CompressBenchmark(TINY)
            .run(
                BenchmarkOptions.of(true)
                    .withTeacher(TinyTeacher.write(folder.resolve("teacher")))
                    .withPlot(plot),
                new PrintWriter(Writer.nullWriter()));

    assertThat(result.failures()).isEmpty();
    Result.Table methods = result.tables().get(0);
    Map<Object, List<Object>> rows =
        methods.rows().stream().collect(Collectors.toMap(row -> row.get(0), row -> row));
    assertThat(rows.keySet())
        .contains("f32", "int8 rtn", "int4 rtn", "fp8", "neurons:0.75", "kv:0.5", "layers:0.75")
        .contains("int8 gptq", "int8 quantease", "int4 gptq", "int4 quantease")
        .contains("GGUF q8_0", "GGUF q4_0");
    assertThat((double) result.figures().get("f32_kl").value()).isLessThan(1e-6);
    assertThat(result.figures().get("int8_rtn_size_ratio").value()).isBetween(0.2, 0.6);
    assertThat(result.figures().get("int8_rtn_kl").value())
        .isLessThan(result.figures().get("int4_rtn_kl").value());
    assertThat(result.figures().get("int4_quantease_error_ratio").value())
        .isLessThan(result.figures().get("int4_gptq_error_ratio").value())
        .isLessThan(1);
    assertThat(result.figures().get("int8_rtn_agreement").value()).isGreaterThan(0.9);
    Result.Table errors = result.tables().get(1);
    assertThat(errors.columns()).startsWith("matrix", "int8 rtn");
    // Seven matrices of two layers, and the head.
    assertThat(errors.rows()).hasSize(15);
    assertThat(plot).content().contains("int4 rtn", "pruned, not yet trained again");
  }
}
