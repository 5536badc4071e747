package io.reflux.bench.labels;

import io.reflux.bench.labels.Distributions.Kind;
import io.reflux.bench.labels.Samples.Column;
import io.reflux.bench.labels.Samples.Line;
import io.reflux.plots.Pictures;
import io.reflux.plots.Svg;
import io.reflux.plots.Svg.Anchor;
import io.reflux.schemas.labels.LabelEncoding;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * Bytes a token against the bias of the gradient, every encoding beside what others published. A
 * white card, so that it reads on light pages and on dark ones.
 */
final class LabelPlot {
  private static final int WIDTH = 960;
  private static final int HEIGHT = 650;
  private static final double LEFT = 84;
  private static final double RIGHT = 936;
  private static final double TOP = 92;
  private static final double BOTTOM = 520;

  private static final double LEAST_BYTES = 8;
  private static final double MOST_BYTES = 1024;
  private static final double LEAST_ANGLE = 0.3;
  private static final double MOST_ANGLE = 90;
  private static final double[] BYTES_TICKS = {8, 16, 32, 64, 128, 256, 512, 1024};
  private static final double[] ANGLE_TICKS = {0.3, 1, 3, 10, 30, 90};

  private static final String INK = "#1f2937";
  private static final String FAINT_INK = "#6b7280";
  private static final String GRID = "#e5e7eb";
  private static final String WHITE = "#ffffff";
  // Told apart by people who see colours differently too (Okabe and Ito).
  private static final String TOPK_BLUE = "#0072b2";
  private static final String SAMPLED_GREEN = "#009e73";
  private static final String SUPPORT_PURPLE = "#a8478b";
  private static final String PUBLISHED_ORANGE = "#d55e00";

  private final Samples samples;
  private final int vocabulary;
  private final Svg svg =
      new Svg(WIDTH, HEIGHT, "Soft labels: bytes a token against the bias of the gradient");

  private LabelPlot(Samples samples, int vocabulary) {
    this.samples = samples;
    this.vocabulary = vocabulary;
  }

  /** Draws it; folders are made if need be. */
  static void write(Path file, Samples samples, int vocabulary) throws IOException {
    Pictures.write(file, new LabelPlot(samples, vocabulary).draw());
  }

  private String draw() {
    frame();
    bound();
    drawSampled();
    drawPublished();
    drawTopK();
    drawSupport();
    legend();
    return svg.end();
  }

  private void frame() {
    svg.card(0.5, 0.5, WIDTH - 1, HEIGHT - 1, WHITE, GRID);
    svg.heading(24, 34, 19, INK, "Soft labels: bytes on the wire against bias of the gradient");
    svg.text(
        24,
        58,
        13,
        FAINT_INK,
        Anchor.START,
        String.format(
            Locale.ROOT,
            "Vocabulary %,d, ids spread evenly (the hardest to name), as unsure as of text."
                + " Logarithmic axes; lower left is better.",
            vocabulary));
    for (double tick : BYTES_TICKS) {
      svg.line(GRID, 1, "", x(tick), TOP, x(tick), BOTTOM);
      svg.text(x(tick), BOTTOM + 20, 13, FAINT_INK, Anchor.MIDDLE, number(tick));
    }
    for (double tick : ANGLE_TICKS) {
      svg.line(GRID, 1, "", LEFT, y(tick), RIGHT, y(tick));
      svg.text(LEFT - 10, y(tick) + 4.5, 13, FAINT_INK, Anchor.END, number(tick) + "°");
    }
    svg.text((LEFT + RIGHT) / 2, BOTTOM + 44, 13, INK, Anchor.MIDDLE, "bytes a labelled token");
    svg.upwards(26, (TOP + BOTTOM) / 2, 13, INK, "angle to the gradient of the whole distribution");
    svg.text(
        RIGHT - 8,
        BOTTOM - 10,
        12,
        FAINT_INK,
        Anchor.END,
        String.format(Locale.ROOT, "all logits in bf16: 0° at %,d bytes →", 2 * vocabulary));
  }

  private void bound() {
    double bytes = Published.boundOfIds(vocabulary, 50);
    svg.line(FAINT_INK, 1, "2 4", x(bytes), TOP, x(bytes), BOTTOM);
    svg.text(
        x(bytes) - 6,
        BOTTOM - 28,
        12,
        FAINT_INK,
        Anchor.END,
        String.format(Locale.ROOT, "50 ids cannot be named in less than %.0f bytes", bytes));
  }

  private void drawTopK() {
    List<Encoding> encodings =
        Encoding.ALL.stream().filter(e -> e.kind() == LabelEncoding.TOPK).toList();
    double[] points = new double[2 * encodings.size()];
    for (int i = 0; i < encodings.size(); i++) {
      points[2 * i] = x(bytes(encodings.get(i)));
      points[2 * i + 1] = y(of(encodings.get(i), Column.EXPECTED_ANGLE_TOGETHER));
    }
    svg.line(TOPK_BLUE, 2.5, "", points);
    for (int i = 0; i < encodings.size(); i++) {
      double atX = points[2 * i];
      double atY = points[2 * i + 1];
      svg.dot(atX, atY, 5, TOPK_BLUE, WHITE);
      svg.text(atX - 8, atY + 16, 12, TOPK_BLUE, Anchor.END, "k=" + encodings.get(i).size());
    }
  }

  private void drawSampled() {
    for (Encoding encoding : Encoding.ALL) {
      if (encoding.kind() == LabelEncoding.SAMPLED) {
        double atX = x(bytes(encoding));
        double one = y(of(encoding, Column.GRADIENT_ANGLE_TOGETHER));
        double mean = y(of(encoding, Column.EXPECTED_ANGLE_TOGETHER));
        svg.line(SAMPLED_GREEN, 1.5, "3 3", atX, one, atX, mean);
        svg.dot(atX, one, 5, WHITE, SAMPLED_GREEN);
        svg.dot(atX, mean, 5, SAMPLED_GREEN, WHITE);
        svg.text(atX - 9, mean + 14, 12, SAMPLED_GREEN, Anchor.END, "N=" + encoding.size());
      }
    }
  }

  private void drawSupport() {
    Encoding encoding = new Encoding(LabelEncoding.SUPPORT, 50);
    double atX = x(bytes(encoding));
    double atY = y(of(encoding, Column.EXPECTED_ANGLE_TOGETHER));
    svg.square(atX, atY, 5, true, SUPPORT_PURPLE, WHITE);
    svg.text(atX - 10, atY + 4, 12, SUPPORT_PURPLE, Anchor.END, "k=" + encoding.size());
  }

  private void drawPublished() {
    for (Published one : Published.all(vocabulary)) {
      if (one.like() == null) {
        continue;
      }
      double atX = x(one.bytes());
      boolean drawn = one.like().kind() == LabelEncoding.SAMPLED;
      double atY =
          y(
              of(
                  one.like(),
                  drawn ? Column.GRADIENT_ANGLE_TOGETHER : Column.RENORMALISED_ANGLE_TOGETHER));
      if (drawn) {
        double mean = y(of(one.like(), Column.EXPECTED_ANGLE_TOGETHER));
        svg.line(PUBLISHED_ORANGE, 1.5, "3 3", atX, atY, atX, mean);
        svg.square(atX, mean, 4.5, false, PUBLISHED_ORANGE, WHITE);
        svg.square(atX, atY, 4.5, false, WHITE, PUBLISHED_ORANGE);
      } else {
        svg.square(atX, atY, 4.5, false, PUBLISHED_ORANGE, WHITE);
      }
      name(one, atX, atY);
    }
  }

  /** Beside its mark, on the side where no other's is. */
  private void name(Published one, double atX, double atY) {
    if (one.bytes() < 300) {
      svg.text(atX + 10, atY + 4, 12, PUBLISHED_ORANGE, Anchor.START, one.name());
    } else if (one.bytes() < 500) {
      svg.text(atX - 10, atY + 4, 12, PUBLISHED_ORANGE, Anchor.END, one.name());
    } else {
      boolean above = one.bytes() < 520;
      svg.text(atX, atY + (above ? -11 : 21), 12, PUBLISHED_ORANGE, Anchor.MIDDLE, one.name());
    }
  }

  private void legend() {
    double y = HEIGHT - 58;
    svg.dot(LEFT + 6, y - 4, 5, TOPK_BLUE, WHITE);
    svg.text(LEFT + 18, y, 13, INK, Anchor.START, "top k and the tail's mass");
    svg.dot(LEFT + 206, y - 4, 5, SAMPLED_GREEN, WHITE);
    svg.text(LEFT + 218, y, 13, INK, Anchor.START, "N draws");
    svg.square(LEFT + 306, y - 4, 5, true, SUPPORT_PURPLE, WHITE);
    svg.text(LEFT + 318, y, 13, INK, Anchor.START, "at the rollout's own ids");
    svg.square(LEFT + 496, y - 4, 4.5, false, PUBLISHED_ORANGE, WHITE);
    svg.text(LEFT + 508, y, 13, INK, Anchor.START, "published; top k renormalised, as trainers do");
    svg.text(
        LEFT,
        y + 26,
        12,
        FAINT_INK,
        Anchor.START,
        "Hollow: one label of draws alone. Filled: the mean of "
            + Quality.DRAWS_OF_A_ROW
            + " labels of a position. Draws are unbiased: theirs goes on falling with every label.");
  }

  private double bytes(Encoding encoding) {
    return of(encoding, Column.BYTES_PER_TOKEN);
  }

  private double of(Encoding encoding, Column column) {
    return samples.median(new Line(encoding, Kind.TEXT), column);
  }

  private static double x(double bytes) {
    double part = Math.log(bytes / LEAST_BYTES) / Math.log(MOST_BYTES / LEAST_BYTES);
    return LEFT + Math.max(0, Math.min(1, part)) * (RIGHT - LEFT);
  }

  private static double y(double angle) {
    double part = Math.log(angle / LEAST_ANGLE) / Math.log(MOST_ANGLE / LEAST_ANGLE);
    return BOTTOM - Math.max(0, Math.min(1, part)) * (BOTTOM - TOP);
  }

  private static String number(double value) {
    return value == Math.rint(value)
        ? String.format(Locale.ROOT, "%,.0f", value)
        : String.format(Locale.ROOT, "%s", value);
  }
}
