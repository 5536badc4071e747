package io.reflux.bench.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import java.io.PrintWriter;
import java.io.Writer;
import org.junit.jupiter.api.Test;

class TrainBenchmarkTest {
  private static final String SHAPE = "hidden=64,layers=2,heads=4,kv-heads=2,ffn=128";

  private static final TrainBenchmark.Size TINY =
      new TrainBenchmark.Size(
          new WholeStep.Size(SHAPE, 8000, 8, 64, 16, 1, 1),
          new Utilisation.Size(SHAPE, 2000, 2, 64, 1, 256, 0.1),
          new Growth.Size(SHAPE, 2000, 64, 1024, 1));

  @Test
  void measuresEveryKey() throws Exception {
    Result result =
        new TrainBenchmark(TINY)
            .run(BenchmarkOptions.of(true), new PrintWriter(Writer.nullWriter()));
    assertThat(result.figures())
        .containsKeys(
            "memory_ratio", "time_ratio", "loss_memory_ratio", "flops_utilisation", "batch_growth");
    result
        .figures()
        .forEach((key, figure) -> assertThat(figure.value()).as(key).isPositive().isFinite());
    // 504 rows of 8,000 logits are 16 MB a copy: the ordinary trainer cannot hide them.
    assertThat(result.figures().get("loss_memory_ratio").value()).isLessThan(0.8);
    assertThat(result.figures().get("flops_utilisation").value()).isLessThan(1);
    assertThat(result.figures().get("batch_growth").value()).isEqualTo(1);
    assertThat(result.failures()).isEmpty();
  }
}
