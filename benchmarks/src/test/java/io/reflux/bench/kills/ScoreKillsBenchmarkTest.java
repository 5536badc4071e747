package io.reflux.bench.kills;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.TinyTeacher;
import io.reflux.bench.kafka.RequestMaker;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ScoreKillsBenchmarkTest {
  private static final ScoreKillsBenchmark.Size TINY =
      new ScoreKillsBenchmark.Size(1, 64, 200, 500, new RequestMaker.Lengths(8, 0.5, 2, 20));

  @TempDir private Path folder;

  @Test
  void countsOneLabelARequestOverAKill() throws Exception {
    Path teacher = TinyTeacher.write(folder);
    Result result =
        new ScoreKillsBenchmark(TINY)
            .run(
                BenchmarkOptions.of(true).withTeacher(teacher),
                new PrintWriter(Writer.nullWriter()));
    assertThat(result.failures()).isEmpty();
    assertThat(value(result, "kills")).isEqualTo(1);
    assertThat(value(result, "labels")).isPositive().isEqualTo(value(result, "requests"));
    assertThat(value(result, "lost")).isZero();
    assertThat(value(result, "doubled")).isZero();
    assertThat(value(result, "dead_letters")).isZero();
  }

  private static double value(Result result, String key) {
    return result.figures().get(key).value();
  }
}
