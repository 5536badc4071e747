package io.reflux.bench.recipe;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RecipeBenchmarkTest {
  private static final RecipeSize TINY =
      new RecipeSize(
          "vocab=320,hidden=16,layers=1,heads=2,kv-heads=1,ffn=32",
          1,
          "hidden=16,layers=1,heads=2,kv-heads=1,ffn=32",
          150,
          20,
          40,
          8,
          12_000,
          8_000,
          0.5,
          List.of(4e-3),
          1024,
          1,
          2,
          new RecipeSize.Drift(3, 40, 4, 8, 40, 20));

  @TempDir private Path folder;

  @Test
  void trainsEveryArmAndGoesOnFromWhatIsFinished() throws Exception {
    Path plot = folder.resolve("recipe.svg");
    Result result = run(new StringWriter(), plot);
    assertThat(result.figures())
        .containsKeys(
            "teacher_accuracy",
            "kd_accuracy",
            "sft_accuracy",
            "gap_ratio_kd_sft",
            "kl_ratio_two_stage",
            "kl_ratio_continual_periodic",
            "no_replay_kl_forgotten");
    assertThat(result.tables().stream().map(Result.Table::name))
        .containsExactly("answers", "text_labels", "drift", "teacher_sharpness");
    assertThat(result.tables().get(0).rows()).hasSize(8);
    assertThat(result.tables().get(1).rows()).hasSize(8);
    assertThat(result.tables().get(2).rows()).hasSize(4);
    // No cell is empty: every arm was measured by every figure.
    result
        .tables()
        .forEach(table -> table.rows().forEach(row -> assertThat(row).doesNotContainNull()));
    assertThat(plot).content().contains("then on-policy reverse KL");

    StringWriter again = new StringWriter();
    Result same = run(again, plot);
    assertThat(again.toString()).contains("done before").doesNotContain(": done:");
    assertThat(same.tables().get(0).rows()).isEqualTo(result.tables().get(0).rows());

    // The same seed gives the same figures when an arm of each kind is trained again.
    try (var files = Files.walk(folder.resolve("work"))) {
      for (Path file : files.filter(f -> f.toString().endsWith(".1.json")).toList()) {
        String name = file.getFileName().toString();
        if (name.startsWith("then-") || name.startsWith("continual.") || name.contains("draws")) {
          Files.delete(file);
        }
      }
    }
    assertThat(run(new StringWriter(), plot).tables()).isEqualTo(result.tables());
  }

  private Result run(StringWriter progress, Path plot) throws Exception {
    return new RecipeBenchmark(TINY)
        .run(
            BenchmarkOptions.of(true).withWork(folder.resolve("work")).withPlot(plot),
            new PrintWriter(progress, true));
  }
}
