package io.reflux.bench.labels;

import io.reflux.bench.Medians;
import io.reflux.bench.Result;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** Figures of each encoding and kind of ids, over runs. */
final class Samples {
  private final Map<Line, Map<Column, List<Double>>> values = new LinkedHashMap<>();

  /** What is measured of each. */
  enum Column {
    BYTES_PER_TOKEN,
    RECORD_BYTES_PER_TOKEN,
    RECONSTRUCTION_KL,
    EVEN_TAIL_KL,
    GRADIENT_ANGLE,
    GRADIENT_ANGLE_TOGETHER,
    GRADIENT_NORM,
    EXPECTED_ANGLE,
    EXPECTED_ANGLE_TOGETHER,
    EXPECTED_NORM,
    RENORMALISED_ANGLE,
    RENORMALISED_ANGLE_TOGETHER,
    RENORMALISED_NORM,
    ENCODE_NANOS_PER_TOKEN,
    DECODE_NANOS_PER_TOKEN;

    String heading() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** What a line of the table is about. */
  record Line(Encoding encoding, Distributions.Kind rows) {}

  void add(Line key, Column column, double value) {
    values
        .computeIfAbsent(key, k -> new LinkedHashMap<>())
        .computeIfAbsent(column, c -> new ArrayList<>())
        .add(value);
  }

  /** Every run's value. */
  List<Double> all(Line key, Column column) {
    return values.getOrDefault(key, Map.of()).getOrDefault(column, List.of());
  }

  /** NaN where there is none. */
  double median(Line key, Column column) {
    return Medians.of(all(key, column));
  }

  Result.Table table() {
    List<String> headings = new ArrayList<>(List.of("encoding", "rows"));
    for (Column column : Column.values()) {
      headings.add(column.heading());
    }
    List<List<Object>> rows = new ArrayList<>();
    for (Line key : values.keySet()) {
      List<Object> cells = new ArrayList<>();
      cells.add(key.encoding().label());
      cells.add(key.rows().name().toLowerCase(Locale.ROOT));
      for (Column column : Column.values()) {
        double median = median(key, column);
        cells.add(Double.isNaN(median) ? null : median);
      }
      rows.add(cells);
    }
    return new Result.Table("labels", headings, rows);
  }
}
