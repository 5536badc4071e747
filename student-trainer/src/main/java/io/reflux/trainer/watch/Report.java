package io.reflux.trainer.watch;

import java.time.Instant;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;

/**
 * How training goes, over the time since the report before.
 *
 * @param at when it was measured
 * @param step optimizer steps so far
 * @param tokens labelled positions trained so far
 * @param stage of the recipe, such as {@code on_data}
 * @param bottleneck what holds the pipeline back; empty if it is not known
 * @param figures what is known; values that are not finite are taken as unknown
 * @param slices the same of parts of it
 */
public record Report(
    Instant at,
    long step,
    long tokens,
    String stage,
    String bottleneck,
    Map<Figure, Double> figures,
    Map<Slice, Map<Figure, Double>> slices) {
  /**
   * A part that a figure can be taken of.
   *
   * @param by what tells the parts apart: {@link #SEGMENT} or {@link #OBJECTIVE}
   * @param name of the part
   */
  public record Slice(String by, String name) implements Comparable<Slice> {
    /** Parts of the traffic. */
    public static final String SEGMENT = "segment";

    /** Origin and objective, such as {@code data/forward-kl}. */
    public static final String OBJECTIVE = "objective";

    private static final Comparator<Slice> ORDER =
        Comparator.comparing(Slice::by).thenComparing(Slice::name);

    @Override
    public int compareTo(Slice other) {
      return ORDER.compare(this, other);
    }
  }

  public Report {
    figures = known(figures);
    Map<Slice, Map<Figure, Double>> knownSlices = new TreeMap<>();
    slices.forEach((slice, of) -> knownSlices.put(slice, known(of)));
    knownSlices.values().removeIf(Map::isEmpty);
    slices = Collections.unmodifiableMap(knownSlices);
  }

  /** Empty if it is not known. */
  public OptionalDouble figure(Figure figure) {
    Double value = figures.get(figure);
    return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
  }

  private static Map<Figure, Double> known(Map<Figure, Double> figures) {
    Map<Figure, Double> known = new EnumMap<>(Figure.class);
    figures.forEach(
        (figure, value) -> {
          if (value != null && Double.isFinite(value)) {
            known.put(figure, value);
          }
        });
    return Collections.unmodifiableMap(known);
  }
}
