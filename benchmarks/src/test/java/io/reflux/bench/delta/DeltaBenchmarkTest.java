package io.reflux.bench.delta;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.TinyTeacher;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DeltaBenchmarkTest {
  @TempDir Path temp;

  @Test
  void slowerLearningTakesFewerBytes() throws Exception {
    DeltaBenchmark.Size tiny =
        new DeltaBenchmark.Size(
            "hidden=32,layers=1,heads=2,kv-heads=1,ffn=64", 12, 2, 4, 1, List.of(2, 4));
    Result result =
        new DeltaBenchmark(tiny)
            .run(
                BenchmarkOptions.of(true).withTeacher(TinyTeacher.write(temp)),
                new PrintWriter(Writer.nullWriter()));
    double fast = result.figures().get("defaults_settled_i8_2_ratio").value();
    double slow = result.figures().get("rate_1e_5_i8_2_ratio").value();
    assertThat(fast).isLessThan(1).isGreaterThan(slow);
    assertThat(slow).isPositive();
    // Five ways, two formats, two intervals.
    assertThat(result.tables().get(0).rows()).hasSize(20);
  }
}
