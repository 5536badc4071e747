package io.reflux.bench.recipe;

import io.reflux.bench.Result;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.ScorerOptions;
import java.util.ArrayList;
import java.util.List;

/**
 * How sure a teacher is: where little lies beyond its likeliest ids, labels that leave it out lose
 * little.
 */
final class TeacherSharpness {
  private static final int[] SIZES = {1, 8, 25, 50};

  private TeacherSharpness() {}

  /** Means over rows, of answers and of prompts. */
  static Result.Table table(Teaching teaching, List<Line> lines) {
    int k = Math.min(SIZES[SIZES.length - 1], teaching.teacher().config().vocabularySize());
    double[][] sums = new double[2][SIZES.length + 2];
    List<ScoreRequest> requests =
        lines.stream().map(line -> ScoreRequest.of(line.ids(), 1)).toList();
    teaching.score(
        requests,
        ScorerOptions.topK(k),
        (i, scores) -> {
          for (int row = 0; row < scores.rows(); row++) {
            double[] sum = sums[row + 1 < lines.get(i).promptLength() ? 1 : 0];
            sum[0]++;
            sum[1] += scores.entropy()[row];
            double mass = 0;
            int at = 0;
            for (int s = 0; s < SIZES.length; s++) {
              for (; at < Math.min(k, SIZES[s]); at++) {
                mass += Math.exp(scores.topLogprobs()[row * k + at]);
              }
              sum[s + 2] += Math.max(0, 1 - mass);
            }
          }
        });
    List<String> columns = new ArrayList<>(List.of("rows", "entropy"));
    for (int s : SIZES) {
      columns.add("mass_beyond_top_" + s);
    }
    List<List<Object>> rows = new ArrayList<>();
    for (int part = 0; part < 2; part++) {
      List<Object> row = new ArrayList<>(List.of(part == 0 ? "answers" : "prompts"));
      for (int i = 1; i < sums[part].length; i++) {
        row.add(sums[part][i] / sums[part][0]);
      }
      rows.add(row);
    }
    return new Result.Table("teacher_sharpness", columns, rows);
  }
}
