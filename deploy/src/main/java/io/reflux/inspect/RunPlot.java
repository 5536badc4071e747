package io.reflux.inspect;

import io.reflux.plots.Curve;
import io.reflux.plots.CurveSheet;
import io.reflux.plots.Panel;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.watch.Figure;
import io.reflux.trainer.watch.Report;
import io.reflux.trainer.watch.RunReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;

/** Curves of training runs over steps: of one run by figure, of several each figure by run. */
public final class RunPlot {
  /** Values that span more than this are drawn on a logarithmic axis. */
  private static final double WIDE = 30;

  private RunPlot() {}

  private record Run(String name, List<Report> reports) {
    Curve curve(Figure figure, String label) {
      return new Curve(
          label,
          reports.stream().mapToDouble(Report::step).toArray(),
          reports.stream().mapToDouble(r -> r.figure(figure).orElse(Double.NaN)).toArray());
    }
  }

  /**
   * Draws runs.
   *
   * @param paths as {@link RunReader#find} takes them
   * @return SVG
   * @throws RefluxException if one cannot be read, or has no report yet
   */
  public static String draw(List<Path> paths) {
    List<Run> runs = paths.stream().map(RunPlot::read).toList();
    List<Panel> panels = runs.size() == 1 ? ofOne(runs.get(0)) : ofSeveral(runs);
    String names = String.join(" and ", runs.stream().map(Run::name).toList());
    return CurveSheet.draw("Training: " + names, subtitle(runs), "step", panels);
  }

  private static Run read(Path path) {
    Path found = RunReader.find(path);
    List<Report> reports = new ArrayList<>();
    RunReader.reports(found, reports::add);
    if (reports.isEmpty()) {
      throw new RefluxException("run: " + found + ": no rows yet (expected: one or more)");
    }
    Path named =
        found.getFileName().toString().endsWith(".csv")
            ? found.toAbsolutePath().getParent()
            : found;
    return new Run(named.getFileName().toString(), reports);
  }

  private static List<Panel> ofOne(Run run) {
    return Stream.of(Figure.Panel.values())
        .map(
            panel -> {
              List<Figure> figures = figures(panel).toList();
              return new Panel(
                  panel.title(),
                  kind(figures, List.of(run)),
                  figures.stream().map(figure -> run.curve(figure, figure.label())).toList());
            })
        .toList();
  }

  private static List<Panel> ofSeveral(List<Run> runs) {
    return Stream.of(Figure.Panel.values())
        .flatMap(RunPlot::figures)
        .map(
            figure ->
                new Panel(
                    figure.panel().title() + ", " + figure.label(),
                    kind(List.of(figure), runs),
                    runs.stream().map(run -> run.curve(figure, run.name())).toList()))
        .toList();
  }

  private static Stream<Figure> figures(Figure.Panel panel) {
    return Stream.of(Figure.values()).filter(figure -> figure.panel() == panel);
  }

  private static Panel.Kind kind(List<Figure> figures, List<Run> runs) {
    return switch (figures.get(0).unit()) {
      case SHARE -> Panel.Kind.SHARE;
      case BYTES -> Panel.Kind.BYTES;
      case NATS -> isWide(figures, runs) ? Panel.Kind.LOGARITHMIC : Panel.Kind.NUMBER;
      case COUNT, RATE, NUMBER -> Panel.Kind.NUMBER;
    };
  }

  private static boolean isWide(List<Figure> figures, List<Run> runs) {
    double[] values =
        runs.stream()
            .flatMap(run -> run.reports().stream())
            .flatMap(report -> figures.stream().map(report::figure))
            .flatMapToDouble(value -> value.stream())
            .sorted()
            .toArray();
    return values.length > 0 && values[0] > 0 && values[values.length - 1] > WIDE * values[0];
  }

  private static String subtitle(List<Run> runs) {
    return String.join(
        "; ",
        runs.stream()
            .map(
                run -> {
                  Report last = run.reports().get(run.reports().size() - 1);
                  return String.format(
                      Locale.ROOT,
                      "%,d steps, %,d labelled tokens, %s to %s UTC",
                      last.step(),
                      last.tokens(),
                      minute(run.reports().get(0)),
                      minute(last));
                })
            .toList());
  }

  private static String minute(Report report) {
    return report.at().toString().replace('T', ' ').substring(0, 16);
  }
}
