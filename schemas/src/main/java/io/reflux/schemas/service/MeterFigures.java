package io.reflux.schemas.service;

import io.micrometer.core.instrument.Measurement;
import io.micrometer.core.instrument.Meter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Statistic;
import io.micrometer.core.instrument.Tag;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Meters as plain figures by name.
 *
 * <p>Names are in snake_case. A counter or gauge has its name; a timer or summary gives {@code
 * _count}, {@code _sum}, {@code _max} and {@code _mean}, timers in seconds. Tags follow in braces,
 * {@code requests{outcome=ok}}; counts of one name are also summed over their tags under the bare
 * name. Figures that are not finite are left out.
 */
public final class MeterFigures {
  private MeterFigures() {}

  /** Every figure of a registry, in the order of the names. */
  public static Map<String, Double> of(MeterRegistry registry) {
    Map<String, Double> figures = new TreeMap<>();
    registry.forEachMeter(meter -> add(meter, figures));
    figures.values().removeIf(value -> !Double.isFinite(value));
    return figures;
  }

  private static void add(Meter meter, Map<String, Double> figures) {
    String name = snakeCase(meter.getId().getName());
    String tags = tags(meter);
    double count = Double.NaN;
    double sum = Double.NaN;
    for (Measurement measurement : meter.measure()) {
      double value = measurement.getValue();
      Statistic statistic = measurement.getStatistic();
      switch (statistic) {
        case VALUE -> figures.put(name + tags, value);
        case COUNT -> {
          count = value;
          addTotal(name + (isPlain(meter) ? "" : "_count"), tags, value, figures);
        }
        case TOTAL, TOTAL_TIME -> {
          sum = value;
          addTotal(name + "_sum", tags, value, figures);
        }
        case MAX -> figures.put(name + "_max" + tags, value);
        case ACTIVE_TASKS, DURATION, UNKNOWN ->
            figures.put(name + "_" + statistic.name().toLowerCase(Locale.ROOT) + tags, value);
      }
    }
    if (count > 0 && !Double.isNaN(sum)) {
      figures.put(name + "_mean" + tags, sum / count);
    }
  }

  private static void addTotal(
      String name, String tags, double value, Map<String, Double> figures) {
    figures.put(name + tags, value);
    if (!tags.isEmpty()) {
      figures.merge(name, value, Double::sum);
    }
  }

  private static boolean isPlain(Meter meter) {
    return meter.getId().getType() == Meter.Type.COUNTER;
  }

  private static String tags(Meter meter) {
    StringBuilder text = new StringBuilder();
    for (Tag tag : meter.getId().getTags()) {
      text.append(text.isEmpty() ? "{" : ",")
          .append(snakeCase(tag.getKey()))
          .append('=')
          .append(tag.getValue());
    }
    return text.isEmpty() ? "" : text.append('}').toString();
  }

  private static String snakeCase(String name) {
    return name.replaceAll("([a-z0-9])([A-Z])", "$1_$2")
        .replaceAll("[^A-Za-z0-9]+", "_")
        .toLowerCase(Locale.ROOT);
  }
}
