package io.reflux.bench.compress;

import io.reflux.plots.Pictures;
import io.reflux.plots.Svg;
import io.reflux.plots.Svg.Anchor;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/** Size against divergence of every way, and the line below which there is none. */
final class CompressPlot {
  private static final int WIDTH = 960;
  private static final int HEIGHT = 600;
  private static final double LEFT = 96;
  private static final double RIGHT = 930;
  private static final double TOP = 92;
  private static final double BOTTOM = 500;

  private static final double NAME_WIDTH = 110;
  private static final double NAME_HEIGHT = 15;

  private static final String INK = "#1f2937";
  private static final String FAINT_INK = "#6b7280";
  private static final String GRID = "#e5e7eb";
  private static final String WHITE = "#ffffff";
  // Told apart by people who see colours differently too (Okabe and Ito).
  private static final List<String> COLOURS =
      List.of("#0072b2", "#d55e00", "#009e73", "#a8478b", "#8a6d00", "#56b4e9");

  /** Float32 differs from itself by rounding, and zero is on no logarithmic axis. */
  private static final double LEAST_KL = 1e-7;

  private final List<Row> rows;
  private final List<String> families;
  private final double leastKl;
  private final double mostKl;
  private final double mostBytes;
  private final Svg svg = new Svg(WIDTH, HEIGHT, "Compression: size against divergence");

  private CompressPlot(List<Row> rows) {
    this.rows = rows.stream().filter(row -> row.marks().kl() > LEAST_KL).toList();
    this.families = this.rows.stream().map(Row::family).distinct().toList();
    double least = this.rows.stream().mapToDouble(row -> row.marks().kl()).min().orElse(LEAST_KL);
    double most = this.rows.stream().mapToDouble(row -> row.marks().kl()).max().orElse(1);
    this.leastKl = Math.pow(10, Math.floor(Math.log10(least)));
    this.mostKl = Math.max(10 * leastKl, Math.pow(10, Math.ceil(Math.log10(most))));
    this.mostBytes = 1.02 * rows.stream().mapToLong(Row::bytes).max().orElse(1);
  }

  /** Draws it; folders are made if need be. */
  static void write(Path file, List<Row> rows, String subtitle) throws IOException {
    Pictures.write(file, new CompressPlot(rows).draw(subtitle));
  }

  private String draw(String subtitle) {
    svg.card(0.5, 0.5, WIDTH - 1, HEIGHT - 1, WHITE, GRID);
    svg.heading(24, 34, 19, INK, "Compression: size against divergence from the original");
    svg.text(24, 58, 13, FAINT_INK, Anchor.START, subtitle + " Lower left is better.");
    for (double kl = leastKl; kl <= mostKl * 1.001; kl *= 10) {
      svg.line(GRID, 1, "", LEFT, y(kl), RIGHT, y(kl));
      String text = String.format(Locale.ROOT, "%.0e", kl);
      svg.text(LEFT - 10, y(kl) + 4.5, 13, FAINT_INK, Anchor.END, text);
    }
    double step = Math.pow(10, Math.floor(Math.log10(mostBytes)));
    double tick = mostBytes / step < 3 ? step / 2 : step;
    for (double bytes = 0; bytes <= mostBytes; bytes += tick) {
      svg.line(GRID, 1, "", x(bytes), TOP, x(bytes), BOTTOM);
      String text = String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
      svg.text(x(bytes), BOTTOM + 20, 13, FAINT_INK, Anchor.MIDDLE, text);
    }
    svg.text((LEFT + RIGHT) / 2, BOTTOM + 44, 13, INK, Anchor.MIDDLE, "bytes of weights");
    svg.upwards(26, (TOP + BOTTOM) / 2, 13, INK, "KL to the original, nats a token");
    front();
    points();
    double at = LEFT;
    for (String family : families) {
      svg.dot(
          at + 6, HEIGHT - 28, 5, COLOURS.get(families.indexOf(family) % COLOURS.size()), WHITE);
      svg.text(at + 18, HEIGHT - 24, 13, INK, Anchor.START, family);
      at += 40 + 7.5 * family.length();
    }
    return svg.end();
  }

  /** Names that would lie on each other move down, with a line to their point. */
  private void points() {
    List<double[]> taken = new ArrayList<>();
    for (Row row :
        rows.stream().sorted(Comparator.comparingDouble(r -> -r.marks().kl())).toList()) {
      double atX = x(row.bytes());
      double atY = y(row.marks().kl());
      double nameY = atY + 4;
      for (double[] other : taken) {
        if (Math.abs(other[0] - atX) < NAME_WIDTH && nameY < other[1] + NAME_HEIGHT) {
          nameY = other[1] + NAME_HEIGHT;
        }
      }
      taken.add(new double[] {atX, nameY});
      String colour = COLOURS.get(families.indexOf(row.family()) % COLOURS.size());
      if (nameY > atY + 5) {
        svg.line(colour, 0.7, "", atX, atY, atX + 14, nameY - 4);
      }
      svg.dot(atX, atY, 5, colour, WHITE);
      svg.text(atX + 16, nameY, 11.5, colour, Anchor.START, row.name());
    }
  }

  private void front() {
    double[] points =
        rows.stream()
            .filter(row -> row.isBest(rows))
            .sorted(Comparator.comparingLong(Row::bytes))
            .flatMapToDouble(
                row -> java.util.stream.DoubleStream.of(x(row.bytes()), y(row.marks().kl())))
            .toArray();
    svg.line(FAINT_INK, 1.2, "4 4", points);
  }

  private double x(double bytes) {
    return LEFT + bytes / mostBytes * (RIGHT - LEFT);
  }

  private double y(double kl) {
    return BOTTOM - Math.log(kl / leastKl) / Math.log(mostKl / leastKl) * (BOTTOM - TOP);
  }
}
