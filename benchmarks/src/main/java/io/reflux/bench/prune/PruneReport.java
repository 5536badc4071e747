package io.reflux.bench.prune;

import io.reflux.bench.Result;
import io.reflux.bench.recipe.Arms;
import io.reflux.bench.recipe.Spread;
import io.reflux.model.checkpoint.ModelConfig;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.DoubleBinaryOperator;

/** Every way beside the dense student of its seed that went on as long. */
record PruneReport(PruneSize size, Arms arms, ModelConfig dense, int seeds) {
  private static final List<String> PLAIN =
      List.of("accuracy", "agreement", "kl", "kl_own", "cross_entropy");

  private static final List<Ratio> RATIOS =
      List.of(
          new Ratio("accuracy_ratio", "accuracy", (way, whole) -> way / whole),
          new Ratio("agreement_ratio", "agreement", (way, whole) -> way / whole),
          new Ratio("perplexity_ratio", "cross_entropy", (way, whole) -> Math.exp(way - whole)),
          new Ratio("kl_ratio", "kl", (way, whole) -> way / whole));

  /** Of a figure of a way to that of the dense student of its seed. */
  private record Ratio(String key, String figure, DoubleBinaryOperator of) {}

  void add(Result.Builder result) {
    Way chosen = chosen();
    ratios(result, "", chosen);
    for (Way way : size.ways()) {
      ratios(result, way.key() + "_", way);
    }
    for (String key : PLAIN) {
      arms.values(PruneArms.DENSE, key).forEach(v -> result.sample("dense_" + key, v, ""));
    }
    result.table(table());
    result
        .condition("student", size.student())
        .condition("student_weights", dense.parameters())
        .condition("chosen", chosen.name())
        .condition("choice", "the least divergence from the teacher on the validation part")
        .condition(
            "training",
            "%,.0f tokens, then %,.0f more with and without cuts"
                .formatted(size.tokens(), size.tokensAfter()))
        .condition("learning_rate", size.learningRate())
        .condition("calibration_tokens", size.calibrationTokens())
        .condition("seeds", seeds)
        .condition(
            "ratios", "to the dense student of the same seed that went on as long; _sd over seeds");
  }

  /** By a part of the text that no other figure is of. */
  private Way chosen() {
    return size.ways().stream()
        .min(
            Comparator.comparingDouble(
                way -> Spread.of(arms.values(way.name(), PruneArms.VALIDATION_KL)).mean()))
        .orElseThrow();
  }

  private void ratios(Result.Builder result, String prefix, Way way) {
    result.sample(prefix + "pruned_share", prunedShare(way), "");
    for (Ratio ratio : RATIOS) {
      values(way, ratio).forEach(value -> result.sample(prefix + ratio.key(), value, ""));
    }
  }

  private double prunedShare(Way way) {
    return 1 - (double) way.shape(dense).parameters() / dense.parameters();
  }

  private List<Double> values(Way way, Ratio ratio) {
    List<Double> some = arms.values(way.name(), ratio.figure());
    List<Double> whole = arms.values(PruneArms.DENSE, ratio.figure());
    List<Double> values = new ArrayList<>();
    for (int i = 0; i < some.size(); i++) {
      // A dense student may get nothing right yet.
      double value = ratio.of().applyAsDouble(some.get(i), whole.get(i));
      if (Double.isFinite(value)) {
        values.add(value);
      }
    }
    return values;
  }

  private Result.Table table() {
    List<String> columns = new ArrayList<>(List.of("way", "schedule", "weights", "pruned_share"));
    for (String key : PLAIN) {
      columns.add(key);
    }
    for (Ratio ratio : RATIOS) {
      columns.add(ratio.key());
      columns.add(ratio.key() + "_sd");
    }
    List<List<Object>> rows = new ArrayList<>();
    for (String arm : List.of(PruneArms.BEFORE, PruneArms.DENSE)) {
      List<Object> row = new ArrayList<>(List.of(arm, "none", dense.parameters(), 0.0));
      plain(arm, row);
      RATIOS.forEach(
          ratio -> {
            row.add(null);
            row.add(null);
          });
      rows.add(row);
    }
    for (Way way : size.ways()) {
      List<Object> row =
          new ArrayList<>(
              List.of(
                  way.name(),
                  way.schedule().toString(),
                  way.shape(dense).parameters(),
                  prunedShare(way)));
      plain(way.name(), row);
      for (Ratio ratio : RATIOS) {
        Spread spread = Spread.of(values(way, ratio));
        row.add(Double.isNaN(spread.mean()) ? null : spread.mean());
        row.add(Double.isNaN(spread.mean()) ? null : spread.deviation());
      }
      rows.add(row);
    }
    return new Result.Table("ways", columns, rows);
  }

  private void plain(String arm, List<Object> row) {
    PLAIN.forEach(key -> row.add(Spread.of(arms.values(arm, key)).mean()));
  }
}
