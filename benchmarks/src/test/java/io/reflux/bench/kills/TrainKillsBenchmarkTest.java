package io.reflux.bench.kills;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.TinyTeacher;
import java.io.PrintWriter;
import java.io.Writer;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainKillsBenchmarkTest {
  private static final TrainKillsBenchmark.Size TINY = new TrainKillsBenchmark.Size(2, 150, 32, 20);

  @TempDir private Path folder;

  @Test
  void endsWithTheWeightsOfRunsWithoutKills() throws Exception {
    Path teacher = TinyTeacher.write(folder);
    Result result =
        new TrainKillsBenchmark(TINY)
            .run(
                BenchmarkOptions.of(true).withTeacher(teacher),
                new PrintWriter(Writer.nullWriter()));
    assertThat(result.failures()).isEmpty();
    assertThat(value(result, "kills")).isEqualTo(2);
    assertThat(value(result, "kills_on_live_traffic")).isEqualTo(1);
    assertThat(value(result, "runs_that_differ")).isZero();
    assertThat(value(result, "live_requests")).isPositive();
  }

  private static double value(Result result, String key) {
    return result.figures().get(key).value();
  }
}
