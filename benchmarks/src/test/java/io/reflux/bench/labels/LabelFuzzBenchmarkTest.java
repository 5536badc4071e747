package io.reflux.bench.labels;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import java.io.PrintWriter;
import java.io.Writer;
import org.junit.jupiter.api.Test;

class LabelFuzzBenchmarkTest {
  @Test
  void countsEveryCaseAndTriesTheSameAgain() throws Exception {
    Result result = fuzz(50_000);
    assertThat(result.failures()).isEmpty();
    assertThat(value(result, "cases")).isEqualTo(50_000);
    assertThat(value(result, "violations")).isZero();
    assertThat(value(result, "rejected") + value(result, "accepted_consistent")).isEqualTo(50_000);
    assertThat(value(result, "rejected")).isGreaterThan(30_000);
    assertThat(value(fuzz(50_000), "rejected")).isEqualTo(value(result, "rejected"));
  }

  private static Result fuzz(long cases) throws Exception {
    return new LabelFuzzBenchmark()
        .run(BenchmarkOptions.of(true).withCases(cases), new PrintWriter(Writer.nullWriter()));
  }

  private static double value(Result result, String key) {
    return result.figures().get(key).value();
  }
}
