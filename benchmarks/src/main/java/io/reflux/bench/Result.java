package io.reflux.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The figures of one benchmark.
 *
 * @param figures by key, in the order they were added
 * @param conditions whatever a reader needs to repeat them
 * @param tables figures that belong side by side
 * @param failures what must not have happened, one line each; empty when all is well
 */
public record Result(
    String name,
    Map<String, Figure> figures,
    Map<String, Object> conditions,
    List<Table> tables,
    List<String> failures) {

  /**
   * One figure.
   *
   * @param value median over the runs
   * @param unit such as {@code tokens/s}; empty for a ratio
   * @param runs how many runs
   * @param spread (largest - smallest) / median over the runs; 0 for a single one
   */
  public record Figure(double value, String unit, int runs, double spread) {}

  /**
   * Figures side by side.
   *
   * @param name short, without spaces
   * @param columns headings
   * @param rows cells: text, numbers, or null where there is no such figure
   */
  public record Table(String name, List<String> columns, List<List<Object>> rows) {}

  /** Collects measurements. */
  public static final class Builder {
    private final String name;
    private final Map<String, List<Double>> samples = new LinkedHashMap<>();
    private final Map<String, String> units = new LinkedHashMap<>();
    private final Map<String, Object> conditions = new LinkedHashMap<>();
    private final List<Table> tables = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();

    public Builder(String name) {
      this.name = name;
    }

    /** Adds one run's value of a figure. */
    public Builder sample(String key, double value, String unit) {
      samples.computeIfAbsent(key, k -> new ArrayList<>()).add(value);
      units.put(key, unit);
      return this;
    }

    /** Adds a count: one value, and no unit. */
    public Builder count(String key, long value) {
      return sample(key, (double) value, "");
    }

    /** Adds a condition. */
    public Builder condition(String key, Object value) {
      conditions.put(key, value);
      return this;
    }

    /** Adds a table. */
    public Builder table(Table table) {
      tables.add(table);
      return this;
    }

    /** Adds something that must not have happened. */
    public Builder failure(String line) {
      failures.add(line);
      return this;
    }

    /** Medians and spreads of what was added. */
    public Result build() {
      Map<String, Figure> figures = new LinkedHashMap<>();
      samples.forEach((key, values) -> figures.put(key, figure(values, units.get(key))));
      Map<String, Object> all = new LinkedHashMap<>(Conditions.machine());
      all.putAll(conditions);
      all.put("runs", samples.values().stream().mapToInt(List::size).max().orElse(0));
      all.put("spread", figures.values().stream().mapToDouble(Figure::spread).max().orElse(0));
      return new Result(name, figures, all, List.copyOf(tables), List.copyOf(failures));
    }

    private static Figure figure(List<Double> values, String unit) {
      double[] sorted = values.stream().mapToDouble(Double::doubleValue).sorted().toArray();
      double median = Medians.ofSorted(sorted);
      double spread =
          sorted.length < 2 || median == 0
              ? 0
              : (Arrays.stream(sorted).max().orElseThrow() - sorted[0]) / Math.abs(median);
      return new Figure(median, unit, sorted.length, spread);
    }
  }
}
