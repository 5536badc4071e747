package io.reflux.trainer.watch;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** A run as JSON: times in milliseconds since 1970, {@code null} for what is not known. */
final class RunJson {
  private static final JsonMapper JSON = new JsonMapper();

  private RunJson() {}

  static String of(RunView view) {
    ObjectNode root = JSON.createObjectNode();
    root.put("student", view.student());
    root.put("run", view.run().isEmpty() ? null : view.run());
    root.put("started_at", view.startedAt().toEpochMilli());
    view.latest().ifPresent(report -> now(root.putObject("now"), report));
    for (Figure.Panel panel : Figure.Panel.values()) {
      root.withArrayProperty("panels")
          .addObject()
          .put("id", panel.key())
          .put("title", panel.title());
    }
    catalogue(root.putObject("catalogue"));
    series(root.putObject("series"), view.points());
    happenings(root.putArray("happenings"), view.happenings());
    happenings(root.putArray("gate"), view.gate());
    ObjectNode settings = root.putObject("settings");
    new TreeMap<>(view.settings()).forEach(settings::put);
    return root.toString();
  }

  private static void now(ObjectNode out, Report report) {
    out.put("at", report.at().toEpochMilli());
    out.put("step", report.step());
    out.put("tokens", report.tokens());
    out.put("stage", report.stage());
    out.put("bottleneck", report.bottleneck().isEmpty() ? null : report.bottleneck());
    figures(out.putObject("figures"), report.figures());
    ObjectNode slices = out.putObject("slices");
    report
        .slices()
        .forEach(
            (slice, of) ->
                figures(slices.withObjectProperty(slice.by()).putObject(slice.name()), of));
  }

  private static void figures(ObjectNode out, Map<Figure, Double> figures) {
    figures.forEach((figure, value) -> out.put(figure.key(), value));
  }

  private static void catalogue(ObjectNode out) {
    for (Figure figure : Figure.values()) {
      out.putObject(figure.key())
          .put("panel", figure.panel().key())
          .put("label", figure.label())
          .put("unit", figure.unit().name().toLowerCase(Locale.ROOT))
          .put("help", figure.help());
    }
  }

  /** By column: a third of the size of rows. */
  private static void series(ObjectNode out, List<Report> points) {
    ArrayNode at = out.putArray("at");
    ArrayNode step = out.putArray("step");
    for (Report point : points) {
      at.add(point.at().toEpochMilli());
      step.add(point.step());
    }
    for (Figure figure : Figure.values()) {
      if (points.stream().anyMatch(point -> point.figures().containsKey(figure))) {
        ArrayNode column = out.putArray(figure.key());
        for (Report point : points) {
          Double value = point.figures().get(figure);
          if (value == null) {
            column.addNull();
          } else {
            column.add(value.floatValue());
          }
        }
      }
    }
  }

  private static void happenings(ArrayNode out, List<Happening> happenings) {
    for (Happening happening : happenings) {
      out.addObject()
          .put("at", happening.at().toEpochMilli())
          .put("step", happening.step())
          .put("kind", happening.kind().key())
          .put("text", happening.text());
    }
  }
}
