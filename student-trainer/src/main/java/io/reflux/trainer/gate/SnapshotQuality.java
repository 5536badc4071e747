package io.reflux.trainer.gate;

import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How near a student is to its teacher on held-out sequences.
 *
 * @param positions rows compared
 * @param agreement share of rows with the same likeliest token; NaN without rows. Of a teacher's
 *     draws the most drawn stands for the likeliest
 * @param kl mean KL(teacher‖student), nats; NaN without rows. From draws an unbiased estimate, by
 *     chance a little below 0 near the optimum; two students measured on the same draws share most
 *     of the chance
 * @param acceptance mean of 1 − TV; NaN without rows that tell, and those of draws do not
 */
public record SnapshotQuality(long positions, double agreement, double kl, double acceptance) {
  /** Of all sequences together. */
  public static SnapshotQuality of(List<Result> sequences) {
    Result total = sequences.stream().reduce(Result.EMPTY, Result::plus);
    return new SnapshotQuality(total.rows(), total.agreement(), total.klMean(), total.acceptance());
  }

  /** As a manifest carries it. */
  public Map<String, Double> figures() {
    Map<String, Double> figures = new HashMap<>();
    figures.put("positions", (double) positions);
    if (positions > 0) {
      figures.put("agreement", agreement);
      figures.put("kl", kl);
    }
    if (!Double.isNaN(acceptance)) {
      figures.put("acceptance", acceptance);
    }
    return figures;
  }
}
