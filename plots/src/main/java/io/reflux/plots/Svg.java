package io.reflux.plots;

import java.util.Locale;

/** Shapes and text of an SVG picture, in the order they are painted. */
public final class Svg {
  /** Whatever the reader's machine reads best. */
  static final String FONTS = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif";

  private final StringBuilder out = new StringBuilder();

  /** Where a text is held. */
  public enum Anchor {
    START,
    MIDDLE,
    END
  }

  /**
   * Starts a picture.
   *
   * @param title for those who cannot see it
   */
  public Svg(int width, int height, String title) {
    add(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\""
            + " role=\"img\" font-family=\"%s\">",
        width, height, width, height, FONTS);
    add("<title>%s</title>", escape(title));
  }

  /** A rectangle with round corners and an outline. */
  public void card(double x, double y, double width, double height, String fill, String stroke) {
    add(
        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"8\" fill=\"%s\""
            + " stroke=\"%s\"/>",
        x, y, width, height, fill, stroke);
  }

  /**
   * A line through points.
   *
   * @param points x and y in turns
   * @param dash as stroke-dasharray; empty for none
   */
  public void line(String stroke, double width, String dash, double... points) {
    add(
        "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\"%s/>",
        path(points), stroke, width, dash.isEmpty() ? "" : " stroke-dasharray=\"" + dash + "\"");
  }

  /**
   * A curve, which says its name to who points at it.
   *
   * @param points x and y in turns; NaN breaks the line
   */
  public void curve(String stroke, double width, String name, double... points) {
    add(
        "<path class=\"curve\" d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\""
            + " stroke-linejoin=\"round\"><title>%s</title></path>",
        path(points), stroke, width, escape(name));
  }

  private static String path(double[] points) {
    StringBuilder path = new StringBuilder();
    boolean begun = false;
    for (int i = 0; i < points.length; i += 2) {
      boolean known = Double.isFinite(points[i + 1]);
      if (known) {
        path.append(
            String.format(Locale.ROOT, "%s%.1f %.1f", begun ? "L" : "M", points[i], points[i + 1]));
      }
      begun = known;
    }
    return path.toString();
  }

  /** A dot with an outline. */
  public void dot(double x, double y, double radius, String fill, String stroke) {
    add(
        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" stroke=\"%s\""
            + " stroke-width=\"1.5\"/>",
        x, y, radius, fill, stroke);
  }

  /** A square on its corner or on its side. */
  public void square(
      double x, double y, double half, boolean onCorner, String fill, String stroke) {
    add(
        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" stroke=\"%s\""
            + " stroke-width=\"1.5\"%s/>",
        x - half,
        y - half,
        2 * half,
        2 * half,
        fill,
        stroke,
        onCorner ? String.format(Locale.ROOT, " transform=\"rotate(45 %.1f %.1f)\"", x, y) : "");
  }

  /** A line of text, readable over lines too. */
  public void text(double x, double y, double size, String fill, Anchor anchor, String text) {
    add(
        "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" fill=\"%s\" text-anchor=\"%s\""
            + " stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">%s</text>",
        x, y, size, fill, anchor.name().toLowerCase(Locale.ROOT), escape(text));
  }

  /** A line of bold text that starts at a point. */
  public void heading(double x, double y, double size, String fill, String text) {
    add(
        "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" font-weight=\"600\" fill=\"%s\">%s</text>",
        x, y, size, fill, escape(text));
  }

  /** A line of text that reads upwards, its middle at a point. */
  public void upwards(double x, double y, double size, String fill, String text) {
    add(
        "<text transform=\"translate(%.1f %.1f) rotate(-90)\" font-size=\"%.1f\" fill=\"%s\""
            + " text-anchor=\"middle\">%s</text>",
        x, y, size, fill, escape(text));
  }

  /** The whole picture. */
  public String end() {
    return out + "</svg>\n";
  }

  private void add(String format, Object... values) {
    out.append(String.format(Locale.ROOT, format, values)).append('\n');
  }

  private static String escape(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }
}
