package io.reflux.bench.swap;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.TinyTeacher;
import io.reflux.bench.serve.BenchStudent;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SwapBenchmarkTest {
  private static final SwapBenchmark.Size TINY =
      new SwapBenchmark.Size(
          new BenchStudent.Shape(512, 32, 64, 1, 4, 2),
          128,
          4,
          2,
          new StreamLoad.Size(2, 8, 12),
          50,
          // What four swaps say of memory and gaps is no matter.
          new SwapBenchmark.Bounds(10, 1000));

  @TempDir private Path folder;

  @Test
  void swapsUnderLoadFailNoRequestAndAreDrawn() throws Exception {
    Path plot = folder.resolve("swap.svg");
    Result result =
        new SwapBenchmark(TINY)
            .run(
                BenchmarkOptions.of(true)
                    .withTeacher(TinyTeacher.write(folder.resolve("teacher")))
                    .withPlot(plot),
                new PrintWriter(Writer.nullWriter()));
    assertThat(result.failures()).isEmpty();
    assertThat(result.figures()).containsKeys("memory_growth", "gap_ratio");
    assertThat(value(result, "swaps")).isEqualTo(4);
    assertThat(value(result, "requests")).isGreaterThan(8);
    assertThat(value(result, "requests_failed")).isZero();
    assertThat(value(result, "answers_changed")).isZero();
    assertThat(value(result, "rss_after_last")).isBetween(50.0, 2048.0);
    assertThat(value(result, "models_in_memory")).isBetween(1.0, 3.0);
    assertThat(result.tables().get(0).rows()).hasSize(2);
    assertThat(plot).content().contains("Seconds a swap");
  }

  private static double value(Result result, String key) {
    return result.figures().get(key).value();
  }
}
