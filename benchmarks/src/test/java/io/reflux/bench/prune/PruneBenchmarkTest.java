package io.reflux.bench.prune;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.recipe.RecipeSize;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PruneBenchmarkTest {
  private static final RecipeSize RECIPE =
      new RecipeSize(
          "vocab=300,hidden=16,layers=1,heads=2,kv-heads=1,ffn=32",
          1,
          "hidden=16,layers=1,heads=2,kv-heads=1,ffn=32",
          100,
          15,
          10,
          5,
          1,
          1,
          1,
          List.of(4e-3),
          1024,
          1,
          2,
          new RecipeSize.Drift(1, 1, 1, 1, 1, 1));

  private static final PruneSize TINY =
      new PruneSize(
          RECIPE,
          "hidden=16,layers=2,heads=4,kv-heads=2,ffn=64",
          List.of(Way.of("slowly", "neurons:0.5@0,kv:0.5@500"), Way.of("layers", "layers:0.5@0")),
          6000,
          3000,
          4e-3,
          1024,
          500,
          1,
          2,
          new PruneSize.Speed(
              "vocab=300,hidden=16,layers=1,heads=4,kv-heads=2,ffn=64", List.of(20), 4, 1));

  @TempDir private Path folder;

  @Test
  void everyWayIsHeldAgainstTheDenseStudentOfItsSeedAndRepeats() throws Exception {
    StringWriter progress = new StringWriter();
    Result result = run(progress);
    assertThat(result.figures())
        .containsKeys(
            "pruned_share",
            "perplexity_ratio",
            "slowly_agreement_ratio",
            "slowly_perplexity_ratio",
            "layers_kl_ratio",
            "prefill_ratio_20",
            "decode_ratio_20",
            "decode_ratio",
            "attention_prefill_ratio_20");
    assertThat(result.conditions().get("chosen")).isIn("slowly", "layers");
    Result.Table ways = result.tables().get(0);
    assertThat(ways.rows().stream().map(row -> row.get(0)))
        .containsExactly("dense, before", "dense, gone on", "slowly", "layers");
    // Half of the neurons of two layers, 3 x 16 x 32 weights each, and half of the groups.
    int weights = ways.columns().indexOf("weights");
    long dense = (long) ways.rows().get(0).get(weights);
    assertThat(ways.rows().get(2).get(weights)).isEqualTo(dense - 2 * (1536 + 384));
    int kl = ways.columns().indexOf("kl_ratio");
    assertThat(ways.rows().stream().map(row -> row.get(kl)).skip(2)).doesNotContainNull();

    try (var files = Files.walk(folder)) {
      for (Path file : files.filter(f -> f.endsWith("slowly.1.json")).toList()) {
        Files.delete(file);
      }
    }
    StringWriter again = new StringWriter();
    assertThat(run(again).tables().get(0)).isEqualTo(ways);
    assertThat(again.toString()).contains("slowly, seed 1, done:", "layers, seed 1, done before:");
  }

  private Result run(StringWriter progress) throws Exception {
    return new PruneBenchmark(TINY)
        .run(BenchmarkOptions.of(true).withWork(folder), new PrintWriter(progress, true));
  }
}
