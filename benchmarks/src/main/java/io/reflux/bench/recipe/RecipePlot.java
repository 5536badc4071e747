package io.reflux.bench.recipe;

import io.reflux.plots.Pictures;
import io.reflux.plots.Svg;
import io.reflux.plots.Svg.Anchor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Arms beside each other, each a dot at its mean with a line of one standard deviation on either
 * side, and the course of the drift below them. A white card, so that it reads on light pages and
 * on dark ones.
 */
final class RecipePlot {
  private static final int WIDTH = 960;
  private static final double LEFT = 24;
  private static final double NAMES = 210;
  private static final double GAP = 26;
  private static final double ROW = 24;
  private static final double COURSE_HEIGHT = 200;

  private static final String INK = "#1f2937";
  private static final String FAINT_INK = "#6b7280";
  private static final String GRID = "#e5e7eb";
  private static final String WHITE = "#ffffff";
  // Told apart by people who see colours differently too (Okabe and Ito).
  private static final List<String> COLOURS = List.of("#0072b2", "#d55e00", "#009e73", "#a8478b");

  private final RecipeSize size;
  private final Arms arms;
  private final Svg svg;
  private double y = 84;

  /** A figure that arms are compared by. */
  private record Column(String title, String key) {}

  private RecipePlot(RecipeSize size, Arms arms) {
    this.size = size;
    this.arms = arms;
    this.svg = new Svg(WIDTH, height(), "The recipe: students by how they were trained");
  }

  /** Draws what there is. */
  static void write(Path file, RecipeSize size, Arms arms) throws IOException {
    Pictures.write(file, new RecipePlot(size, arms).draw());
  }

  private static int height() {
    int rows = RecipeReport.answerArms().size() + TextArms.arms().size() + DriftArms.arms().size();
    return (int) (84 + rows * ROW + 3 * 74 + COURSE_HEIGHT + 90);
  }

  private String draw() {
    svg.card(0.5, 0.5, WIDTH - 1, height() - 1, WHITE, GRID);
    svg.heading(LEFT, 34, 19, INK, "The recipe: students of one shape, for equal compute");
    svg.text(
        LEFT,
        58,
        13,
        FAINT_INK,
        Anchor.START,
        "Held-out text. Dots are means over seeds, lines one standard deviation either way.");
    group(
        "Learning to answer",
        RecipeReport.answerArms(),
        List.of(
            new Column("loss gap to the teacher, nats", "gap"),
            new Column("KL to the teacher, nats", "kl"),
            new Column("accuracy", "accuracy")));
    group(
        "Learning all text, by kind of label",
        TextArms.arms(),
        List.of(
            new Column("loss gap to the teacher, nats", "gap"),
            new Column("KL to the teacher, nats", "kl"),
            new Column("calibration error", "calibration_error")));
    group(
        "Drifting traffic",
        DriftArms.arms(),
        List.of(
            new Column("KL while serving, nats", "kl_served"),
            new Column("KL that was forgotten", "kl_forgotten"),
            new Column("KL on everything, at the end", "kl_all_groups_at_end")));
    course();
    return svg.end();
  }

  private void group(String title, List<String> names, List<Column> columns) {
    svg.heading(LEFT, y + 14, 14, INK, title);
    double top = y + 40;
    double bottom = top + names.size() * ROW;
    for (int row = 0; row < names.size(); row++) {
      String name = names.get(row).replaceFirst("^text, ", "");
      svg.text(LEFT, top + (row + 0.5) * ROW + 4, 12, INK, Anchor.START, name);
    }
    double width = (WIDTH - LEFT - NAMES - columns.size() * GAP) / columns.size();
    for (int c = 0; c < columns.size(); c++) {
      double x0 = LEFT + NAMES + c * (width + GAP);
      column(columns.get(c), names, x0, x0 + width, top, bottom);
    }
    y = bottom + 34;
  }

  private void column(
      Column column, List<String> names, double x0, double x1, double top, double bottom) {
    List<Spread> spreads =
        names.stream().map(name -> Spread.of(arms.values(name, column.key()))).toList();
    double least = Double.POSITIVE_INFINITY;
    double most = Double.NEGATIVE_INFINITY;
    for (Spread spread : spreads) {
      if (!Double.isNaN(spread.mean())) {
        least = Math.min(least, spread.mean() - spread.deviation());
        most = Math.max(most, spread.mean() + spread.deviation());
      }
    }
    svg.text((x0 + x1) / 2, top - 8, 12, FAINT_INK, Anchor.MIDDLE, column.title());
    svg.line(GRID, 1, "", x0, top, x0, bottom);
    svg.line(GRID, 1, "", x1, top, x1, bottom);
    if (!(least <= most)) {
      return;
    }
    double room = Math.max((most - least) * 0.06, Math.abs(most) * 1e-3 + 1e-9);
    double from = least - room;
    double to = most + room;
    svg.text(x0, bottom + 15, 11, FAINT_INK, Anchor.START, number(from));
    svg.text(x1, bottom + 15, 11, FAINT_INK, Anchor.END, number(to));
    for (int row = 0; row < names.size(); row++) {
      Spread spread = spreads.get(row);
      double at = top + (row + 0.5) * ROW;
      svg.line(GRID, 1, "", x0, at, x1, at);
      if (!Double.isNaN(spread.mean())) {
        double scale = (x1 - x0) / (to - from);
        double middle = x0 + (spread.mean() - from) * scale;
        double half = spread.deviation() * scale;
        svg.line(COLOURS.get(0), 2, "", middle - half, at, middle + half, at);
        svg.dot(middle, at, 4.5, COLOURS.get(0), WHITE);
      }
    }
  }

  /** The divergence of what is served, as traffic drifts: means over seeds. */
  private void course() {
    double x0 = LEFT + 50;
    double x1 = WIDTH - 24;
    double top = y + 44;
    double bottom = top + COURSE_HEIGHT;
    int checks = DriftArms.checks(size);
    List<List<Double>> curves = new ArrayList<>();
    double most = 0;
    for (String arm : DriftArms.arms()) {
      List<Double> curve = new ArrayList<>();
      for (int check = 0; check < checks; check++) {
        curve.add(Spread.of(arms.values(arm, DriftArms.klAt(check))).mean());
      }
      // Before a periodic student's first training there is nothing to compare.
      most =
          Math.max(
              most,
              curve.subList(DriftArms.firstCompared(), checks).stream()
                  .mapToDouble(Double::doubleValue)
                  .filter(Double::isFinite)
                  .max()
                  .orElse(0));
      curves.add(curve);
    }
    svg.heading(LEFT, y + 14, 14, INK, "KL of what is served to the teacher, as traffic drifts");
    double legend = LEFT;
    for (int i = 0; i < curves.size(); i++) {
      svg.line(COLOURS.get(i), 2.5, "", legend, y + 29, legend + 14, y + 29);
      svg.text(legend + 19, y + 33, 12, INK, Anchor.START, DriftArms.arms().get(i));
      legend += 60 + 6.6 * DriftArms.arms().get(i).length();
    }
    for (int tick = 0; tick <= 4; tick++) {
      double at = bottom - (bottom - top) * tick / 4;
      svg.line(GRID, 1, "", x0, at, x1, at);
      svg.text(x0 - 8, at + 4, 11, FAINT_INK, Anchor.END, number(most * tick / 4));
    }
    for (int phase = 0; phase < size.drift().phases(); phase++) {
      double at = x0 + (x1 - x0) * phase / size.drift().phases();
      svg.line(GRID, 1, "2 4", at, top, at, bottom);
      svg.text(at + 4, bottom + 18, 11, FAINT_INK, Anchor.START, "phase " + (phase + 1));
    }
    for (int i = 0; i < curves.size(); i++) {
      List<Double> places = new ArrayList<>();
      for (int check = 0; check < checks; check++) {
        double value = curves.get(i).get(check);
        if (Double.isFinite(value) && value <= most) {
          places.add(x0 + (x1 - x0) * (check + 1) / checks);
          places.add(bottom - (bottom - top) * value / most);
        }
      }
      if (!places.isEmpty()) {
        svg.line(
            COLOURS.get(i), 1.8, "", places.stream().mapToDouble(Double::doubleValue).toArray());
      }
    }
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, Math.abs(value) >= 0.995 ? "%.2f" : "%.3f", value);
  }
}
