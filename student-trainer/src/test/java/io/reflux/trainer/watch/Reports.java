package io.reflux.trainer.watch;

import io.reflux.trainer.watch.Report.Slice;
import java.time.Instant;
import java.util.EnumMap;
import java.util.Map;

/** Reports of a made-up run. */
final class Reports {
  static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

  static final Slice SEGMENT = new Slice(Slice.SEGMENT, "faq, short");

  private Reports() {}

  /** A loss that falls with the steps; of all other figures only the agreement is known. */
  static Report at(long step) {
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    figures.put(Figure.LOSS, 1.0 / (1 + step));
    figures.put(Figure.VALIDATION_AGREEMENT, Math.min(1, step / 100.0));
    figures.put(Figure.KL, Double.NaN);
    return new Report(
        START.plusSeconds(step),
        step,
        100 * step,
        "on_data",
        "labels, from the \"teacher\"",
        figures,
        Map.of(SEGMENT, Map.of(Figure.SHARE, 0.25, Figure.KL, Double.NaN)));
  }
}
