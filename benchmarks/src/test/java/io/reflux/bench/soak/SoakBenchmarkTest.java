package io.reflux.bench.soak;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.TinyTeacher;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SoakBenchmarkTest {
  private static final SoakBenchmark.Size SHORT =
      new SoakBenchmark.Size(
          Duration.ofSeconds(12),
          Duration.ofMillis(500),
          4,
          Map.of("snapshot-interval", "4s", "student", "hidden=16,layers=1,heads=2,ffn=32"),
          // What twelve seconds say of memory is no matter.
          new SoakVerdict.Bounds(0.5, 4096, 1, 100_000));

  @TempDir private Path folder;

  @Test
  void runsTheLoopAndDrawsIt() throws Exception {
    Path plot = folder.resolve("soak.svg");
    Result result =
        new SoakBenchmark(SHORT)
            .run(
                BenchmarkOptions.of(true)
                    .withTeacher(TinyTeacher.write(folder.resolve("teacher")))
                    .withPlot(plot),
                new PrintWriter(Writer.nullWriter()));
    assertThat(result.failures()).isEmpty();
    assertThat(result.figures())
        .containsKeys("rss_slope", "rss_growth", "lag_peak", "snapshots_served", "dead_letters");
    assertThat(result.figures().get("rss_median").value()).isBetween(30.0, 4096.0);
    assertThat(result.figures().get("snapshots_served").value()).isPositive();
    assertThat(result.tables().get(0).rows()).hasSizeGreaterThan(5);
    assertThat(plot).content().contains("Trainer's memory");
  }
}
