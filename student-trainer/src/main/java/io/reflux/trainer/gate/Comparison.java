package io.reflux.trainer.gate;

import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * A candidate on some held-out sequences, and how it differs there from what is published.
 *
 * @param sequences with rows that count
 * @param quality of the candidate
 * @param change from the published one, on the very same rows; empty if nothing is published
 */
public record Comparison(int sequences, SnapshotQuality quality, Optional<Change> change) {

  /**
   * New less old. Both are measured on the same rows, so what makes a sequence hard is in both and
   * cancels.
   *
   * @param published its quality
   * @param kl nats a row; above 0 is worse
   * @param agreement share of rows; below 0 is worse
   */
  public record Change(SnapshotQuality published, Interval kl, Interval agreement) {}

  /**
   * Compares.
   *
   * @param candidate a result a sequence, with rows
   * @param published of the same sequences
   * @param confidence of each interval
   */
  static Comparison of(
      List<Result> candidate, Optional<List<Result>> published, double confidence) {
    return new Comparison(
        candidate.size(),
        SnapshotQuality.of(candidate),
        published.map(
            old ->
                new Change(
                    SnapshotQuality.of(old),
                    change(candidate, old, confidence, Result::klSum),
                    change(candidate, old, confidence, Result::agreements))));
  }

  private static Interval change(
      List<Result> candidate,
      List<Result> published,
      double confidence,
      ToDoubleFunction<Result> sum) {
    double[] differences =
        IntStream.range(0, candidate.size())
            .mapToDouble(
                i -> sum.applyAsDouble(candidate.get(i)) - sum.applyAsDouble(published.get(i)))
            .toArray();
    long[] rows = candidate.stream().mapToLong(Result::rows).toArray();
    return Interval.ofRatio(differences, rows, confidence);
  }

  /** As a manifest carries it. */
  public Map<String, Double> figures() {
    Map<String, Double> figures = new HashMap<>(quality.figures());
    figures.put("sequences", (double) sequences);
    change.ifPresent(
        known -> {
          known.kl().addTo(figures, "kl_change");
          known.agreement().addTo(figures, "agreement_change");
        });
    return figures;
  }
}
