package io.reflux.bench.serve;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.TinyTeacher;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ServeBenchmarkTest {
  private static final ServeBenchmark.Size TINY =
      new ServeBenchmark.Size(
          new BenchStudent.Shape(512, 64, 96, 2, 4, 2), 256, 8, 100, 12, 4, 0, 1);

  @TempDir private Path folder;

  @Test
  void measuresEveryKeyAndTheAnswersAreLlamaCpps() throws Exception {
    Result result =
        new ServeBenchmark(TINY)
            .run(
                BenchmarkOptions.of(true).withTeacher(TinyTeacher.write(folder)),
                new PrintWriter(Writer.nullWriter()));
    assertThat(result.figures())
        .containsKeys(
            "decode_ratio_1",
            "decode_ratio_8",
            "ttft_ratio",
            "server_overhead",
            "prefix_ttft_ratio",
            "kv_int8_decode_ratio_8");
    assertThat(result.failures()).isEmpty();
    assertThat(result.figures().get("greedy_equal").value()).isEqualTo(4);
    assertThat(result.figures().get("prefix_ttft_ratio").value()).isGreaterThanOrEqualTo(1);
    assertThat(result.figures().get("kv_int8_kl").value()).isBetween(0.0, 0.01);
    assertThat(result.figures().get("server_tokens_per_second").value()).isPositive();
  }
}
