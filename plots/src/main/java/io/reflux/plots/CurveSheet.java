package io.reflux.plots;

import io.reflux.plots.Svg.Anchor;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.DoubleStream;

/**
 * Panels of curves beside and below each other on a white card, so that it reads on light pages and
 * on dark ones.
 */
public final class CurveSheet {
  private static final int COLUMNS = 2;
  private static final double WIDTH = 460;
  private static final double HEIGHT = 232;
  private static final double MARGIN = 20;
  private static final double HEAD = 70;
  private static final double PLOT_LEFT = 62;
  private static final double PLOT_RIGHT = 14;
  private static final double PLOT_TOP = 46;
  private static final double PLOT_BOTTOM = 30;

  /** Points a curve at most: no eye sees more at this width. */
  private static final int MOST_POINTS = 800;

  private static final String INK = "#1f2937";
  private static final String FAINT_INK = "#6b7280";
  private static final String GRID = "#e5e7eb";
  private static final String WHITE = "#ffffff";
  // Told apart by people who see colours differently too (Okabe and Ito).
  private static final List<String> COLOURS =
      List.of("#0072b2", "#d55e00", "#009e73", "#a8478b", "#8a6d00", "#56b4e9");

  private final Svg svg;
  private final String along;

  private CurveSheet(int width, int height, String title, String along) {
    this.svg = new Svg(width, height, title);
    this.along = along;
  }

  /**
   * Draws a sheet.
   *
   * @param subtitle a line below the title
   * @param along what x is, such as {@code step}
   * @param panels those without anything known are left out
   * @return SVG
   */
  public static String draw(String title, String subtitle, String along, List<Panel> panels) {
    List<Panel> known = new ArrayList<>();
    for (Panel panel : panels) {
      List<Curve> curves = panel.curves().stream().filter(Curve::isKnown).toList();
      if (!curves.isEmpty()) {
        known.add(new Panel(panel.title(), panel.kind(), curves));
      }
    }
    int rows = (known.size() + COLUMNS - 1) / COLUMNS;
    int width = (int) (COLUMNS * WIDTH + (COLUMNS + 1) * MARGIN);
    int height = (int) (HEAD + rows * (HEIGHT + MARGIN));
    CurveSheet sheet = new CurveSheet(width, Math.max(height, 120), title, along);
    sheet.svg.card(0.5, 0.5, width - 1, Math.max(height, 120) - 1, WHITE, GRID);
    sheet.svg.heading(MARGIN, 32, 19, INK, title);
    sheet.svg.text(MARGIN, 54, 13, FAINT_INK, Anchor.START, subtitle);
    for (int i = 0; i < known.size(); i++) {
      double left = MARGIN + i % COLUMNS * (WIDTH + MARGIN);
      sheet.panel(known.get(i), left, top(i / COLUMNS));
    }
    return sheet.svg.end();
  }

  private static double top(int row) {
    return HEAD + row * (HEIGHT + MARGIN);
  }

  private void panel(Panel panel, double left, double top) {
    double x0 = left + PLOT_LEFT;
    double x1 = left + WIDTH - PLOT_RIGHT;
    double y0 = top + HEIGHT - PLOT_BOTTOM;
    double y1 = top + PLOT_TOP;
    boolean logarithmic = panel.kind() == Panel.Kind.LOGARITHMIC;
    double[] ys =
        panel.curves().stream()
            .flatMapToDouble(curve -> DoubleStream.of(curve.y()))
            .filter(y -> isDrawn(y, logarithmic))
            .toArray();
    double[] xs =
        panel.curves().stream().flatMapToDouble(curve -> DoubleStream.of(curve.x())).toArray();
    Axis y =
        Axis.over(
            DoubleStream.of(ys).min().orElse(1),
            DoubleStream.of(ys).max().orElse(1),
            panel.kind(),
            4);
    double least = DoubleStream.of(xs).min().orElse(0);
    double most = DoubleStream.of(xs).max().orElse(1);
    Axis x = Axis.within(least, most > least ? most : least + 1, 5);

    svg.heading(left, top + 16, 14, INK, panel.title());
    for (double tick : y.ticks()) {
      double at = y0 + (y1 - y0) * y.place(tick);
      svg.line(GRID, 1, "", x0, at, x1, at);
      svg.text(x0 - 8, at + 4, 11, FAINT_INK, Anchor.END, y.text(tick));
    }
    for (double tick : x.ticks()) {
      double at = x0 + (x1 - x0) * x.place(tick);
      svg.line(FAINT_INK, 1, "", at, y0, at, y0 + 4);
      svg.text(at, y0 + 18, 11, FAINT_INK, Anchor.MIDDLE, x.text(tick));
    }
    svg.text(x1, top + 16, 11, FAINT_INK, Anchor.END, along);
    legend(panel, left, top + 34);
    for (int i = 0; i < panel.curves().size(); i++) {
      Curve curve = panel.curves().get(i);
      svg.curve(colour(i), 1.6, curve.name(), points(curve, logarithmic, x, y, x0, x1, y0, y1));
    }
  }

  private void legend(Panel panel, double left, double y) {
    double at = left;
    for (int i = 0; i < panel.curves().size(); i++) {
      String name = panel.curves().get(i).name();
      svg.line(colour(i), 2.5, "", at, y - 4, at + 14, y - 4);
      svg.text(at + 19, y, 11.5, INK, Anchor.START, name);
      // No font is asked: most letters are narrower.
      at += 19 + 6.6 * name.length() + 16;
    }
  }

  private static String colour(int index) {
    return COLOURS.get(index % COLOURS.size());
  }

  private static boolean isDrawn(double y, boolean logarithmic) {
    return Double.isFinite(y) && (!logarithmic || y > 0);
  }

  /**
   * Places on the sheet, x and y in turns; NaN where the line is broken. Of many points, the least
   * and the most of each stretch stay: a spike is what a reader looks for.
   */
  private static double[] points(
      Curve curve,
      boolean logarithmic,
      Axis x,
      Axis y,
      double x0,
      double x1,
      double y0,
      double y1) {
    int length = curve.x().length;
    int stretch = Math.max(1, (int) Math.ceil(2.0 * length / MOST_POINTS));
    List<Integer> kept = new ArrayList<>();
    for (int from = 0; from < length; from += stretch) {
      int to = Math.min(length, from + stretch);
      if (stretch == 1) {
        kept.add(from);
        continue;
      }
      int least = -1;
      int most = -1;
      for (int i = from; i < to; i++) {
        if (isDrawn(curve.y()[i], logarithmic)) {
          least = least < 0 || curve.y()[i] < curve.y()[least] ? i : least;
          most = most < 0 || curve.y()[i] > curve.y()[most] ? i : most;
        }
      }
      if (least >= 0) {
        kept.add(Math.min(least, most));
        if (least != most) {
          kept.add(Math.max(least, most));
        }
      }
    }
    double[] places = new double[2 * kept.size()];
    for (int i = 0; i < kept.size(); i++) {
      double value = curve.y()[kept.get(i)];
      places[2 * i] = x0 + (x1 - x0) * x.place(curve.x()[kept.get(i)]);
      places[2 * i + 1] =
          isDrawn(value, logarithmic) ? y0 + (y1 - y0) * y.place(value) : Double.NaN;
    }
    return places;
  }
}
