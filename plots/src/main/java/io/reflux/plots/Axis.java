package io.reflux.plots;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * From values to a place between 0 and 1, with ticks at round values.
 *
 * @param low value at 0
 * @param high value at 1
 */
record Axis(double low, double high, Panel.Kind kind, List<Double> ticks) {
  private static final double[] ROUND = {1, 2, 2.5, 5, 10};
  private static final double[] ROUND_LOG = {1, 2, 5};

  /** An axis over the range, widened to the next ticks. */
  static Axis over(double least, double most, Panel.Kind kind, int wanted) {
    return kind == Panel.Kind.LOGARITHMIC
        ? logarithmic(least, most)
        : linear(least, most, kind, wanted);
  }

  /** An axis of exactly this range. */
  static Axis within(double low, double high, int wanted) {
    double step = step((high - low) / wanted);
    List<Double> ticks = new ArrayList<>();
    for (double tick = Math.ceil(low / step) * step; tick <= high; tick += step) {
      ticks.add(tick);
    }
    return new Axis(low, high, Panel.Kind.NUMBER, ticks);
  }

  double place(double value) {
    return kind == Panel.Kind.LOGARITHMIC
        ? Math.log(value / low) / Math.log(high / low)
        : (value - low) / (high - low);
  }

  String text(double tick) {
    return switch (kind) {
      case SHARE -> number(100 * tick) + " %";
      case BYTES -> scaled(tick) + "B";
      case NUMBER, LOGARITHMIC -> Math.abs(tick) >= 10_000 ? scaled(tick) : number(tick);
    };
  }

  private static Axis linear(double least, double most, Panel.Kind kind, int wanted) {
    // From 0 on where that does not flatten the curve.
    boolean fromZero = kind == Panel.Kind.BYTES || least < 0.6 * most;
    double from = least > 0 && fromZero ? 0 : least;
    double to = most > from ? most : from + Math.max(Math.abs(from), 1e-3);
    double step = step((to - from) / wanted);
    double low = Math.floor(from / step + 1e-9) * step;
    double high = Math.ceil(to / step - 1e-9) * step;
    List<Double> ticks = new ArrayList<>();
    for (int i = 0; low + i * step <= high + step / 2; i++) {
      ticks.add(low + i * step);
    }
    return new Axis(low, high, kind, ticks);
  }

  private static Axis logarithmic(double least, double most) {
    List<Double> all = new ArrayList<>();
    for (int power = (int) Math.floor(Math.log10(least));
        power <= (int) Math.ceil(Math.log10(most));
        power++) {
      for (double round : ROUND_LOG) {
        all.add(round * Math.pow(10, power));
      }
    }
    double low = all.stream().filter(tick -> tick <= least * (1 + 1e-9)).max(Double::compare).get();
    double high = all.stream().filter(tick -> tick >= most * (1 - 1e-9)).min(Double::compare).get();
    double top = high > low ? high : 10 * low;
    boolean wide = top / low > 200;
    List<Double> ticks =
        all.stream()
            .filter(tick -> tick >= low && tick <= top)
            .filter(tick -> !wide || Math.log10(tick) == Math.rint(Math.log10(tick)))
            .toList();
    return new Axis(low, top, Panel.Kind.LOGARITHMIC, ticks);
  }

  private static double step(double least) {
    double power = Math.pow(10, Math.floor(Math.log10(least)));
    for (double round : ROUND) {
      if (round * power >= least * (1 - 1e-9)) {
        return round * power;
      }
    }
    throw new IllegalArgumentException("step: " + least + " (expected: above 0)");
  }

  private static String scaled(double value) {
    String[] units = {"", "k", "M", "G", "T"};
    int unit = 0;
    double scaled = value;
    while (Math.abs(scaled) >= 1000 && unit < units.length - 1) {
      scaled /= 1000;
      unit++;
    }
    return number(scaled) + (units[unit].isEmpty() ? "" : " " + units[unit]);
  }

  /** Without the digits that rounding leaves, such as 0.30000000000000004. */
  private static String number(double value) {
    if (Math.abs(value) < 1e-12) {
      return "0";
    }
    String text =
        Math.abs(value) < 1e-3
            ? String.format(Locale.ROOT, "%.1e", value)
            : String.format(Locale.ROOT, "%.4f", value);
    return text.contains("e") ? text : text.replaceFirst("\\.?0+$", "");
  }
}
