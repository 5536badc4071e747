package io.reflux.bench.score;

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

class ScoreBenchmarkTest {
  private static final RandomTeachers.Size SMALL =
      new RandomTeachers.Size(1000, 32, 64, 1, 2, 1, 256);

  private static final ScoreBenchmark.Size TINY =
      new ScoreBenchmark.Size(
          new RequestMaker.Lengths(8, 0.5, 2, 20),
          new EndToEnd.Size(12, 1),
          SMALL,
          new EndToEnd.Size(6, 1),
          new InGraphTopK.Size(SMALL, 2, 16, 5, 1, 1),
          new ScoringMemory.Size(SMALL, 2, 32, 5, 1));

  @TempDir private Path folder;

  @Test
  void measuresEveryKey() throws Exception {
    Path teacher = TinyTeacher.write(folder);
    Result result =
        new ScoreBenchmark(TINY)
            .run(
                BenchmarkOptions.of(true).withTeacher(teacher),
                new PrintWriter(Writer.nullWriter()));
    assertThat(result.figures())
        .containsKeys(
            "end_to_end_ratio",
            "end_to_end_ratio_100m",
            "in_graph_topk_speedup",
            "memory_ratio_128k",
            "memory_ratio_128k_copy_out");
    for (String key :
        new String[] {
          "end_to_end_ratio",
          "end_to_end_tokens_per_second",
          "batch_fill_100m",
          "label_latency",
          "in_graph_topk_speedup",
          "memory_before"
        }) {
      assertThat(result.figures().get(key).value()).as(key).isPositive().isFinite();
    }
    assertThat(result.figures().get("padding_share").value()).isBetween(0.0, 1.0);
    assertThat(result.failures()).isEmpty();
  }
}
