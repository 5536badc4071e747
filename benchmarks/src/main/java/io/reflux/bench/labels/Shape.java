package io.reflux.bench.labels;

import io.reflux.bench.Result;
import io.reflux.bench.labels.Distributions.Kind;
import io.reflux.bench.labels.Distributions.Row;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** What made-up distributions are like, for a reader to compare with a language model's. */
final class Shape {
  private static final int SIZE = 50;
  private static final double NEARLY_CERTAIN = 0.9;

  private int rows;
  private int nearlyCertain;
  private double entropy;
  private double mass;
  private double distinct;
  private double studentKl;

  void add(List<Row> more) {
    for (Row row : more) {
      rows++;
      entropy += row.entropy();
      int[] top = Blocks.largest(row.teacher(), SIZE);
      nearlyCertain += row.teacher()[top[0]] > NEARLY_CERTAIN ? 1 : 0;
      for (int id : top) {
        mass += row.teacher()[id];
      }
      for (int id = 0; id < row.teacher().length; id++) {
        double p = row.teacher()[id];
        distinct += 1 - Math.pow(1 - p, SIZE);
        studentKl += p == 0 ? 0 : p * Math.log(p / row.student()[id]);
      }
    }
  }

  static Result.Table table(Map<Kind, Shape> shapes) {
    List<List<Object>> cells = new ArrayList<>();
    shapes.forEach(
        (kind, shape) ->
            cells.add(
                List.of(
                    kind.name().toLowerCase(Locale.ROOT),
                    kind.medianEntropy(),
                    kind.sigma(),
                    shape.entropy / shape.rows,
                    (double) shape.nearlyCertain / shape.rows,
                    shape.mass / shape.rows,
                    shape.distinct / shape.rows,
                    shape.studentKl / shape.rows)));
    return new Result.Table(
        "rows",
        List.of(
            "rows",
            "median_entropy",
            "entropy_sigma",
            "mean_entropy",
            "share_above_0.9",
            "mass_of_top_50",
            "distinct_of_50_draws",
            "student_kl"),
        cells);
  }
}
