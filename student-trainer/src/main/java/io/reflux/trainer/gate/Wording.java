package io.reflux.trainer.gate;

import io.reflux.trainer.gate.GateVerdict.Objection;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.List;
import java.util.stream.Collectors;

/** Figures as people read them, on one line. */
final class Wording {
  private static final MathContext THREE_DIGITS = new MathContext(3);

  /** One line is to be read. */
  private static final int MOST_OBJECTIONS = 3;

  private Wording() {}

  static String heldBack(List<Objection> objections) {
    String line =
        objections.stream()
            .limit(MOST_OBJECTIONS)
            .map(Objection::text)
            .collect(Collectors.joining("; "));
    int more = objections.size() - MOST_OBJECTIONS;
    return more > 0 ? line + "; and " + more + " more" : line;
  }

  static String passed(GateVerdict verdict) {
    Comparison overall = verdict.overall();
    StringBuilder line = new StringBuilder();
    if (overall.sequences() == 0) {
      line.append("nothing held out to measure on yet");
    } else {
      line.append("agreement ")
          .append(number(overall.quality().agreement()))
          .append(", KL ")
          .append(number(overall.quality().kl()))
          .append(" nats on ")
          .append(sequences(overall));
    }
    overall
        .change()
        .ifPresent(
            change ->
                line.append("; KL changed by ")
                    .append(number(change.kl().estimate()))
                    .append(bounds(change.kl()))
                    .append(", agreement by ")
                    .append(number(change.agreement().estimate()))
                    .append(bounds(change.agreement())));
    if (verdict.unjudged() > 0) {
      line.append(
          "; %d sequences of small segments not judged apart".formatted(verdict.unjudged()));
    } else if (verdict.smallSegments() > 0) {
      line.append("; %d small segments judged as one".formatted(verdict.smallSegments()));
    }
    return line.toString();
  }

  /**
   * Something got worse, or may have.
   *
   * @param worse with the larger the worse
   * @param unit after the number; may be empty
   * @param together segments whose intervals hold together; 1 for an interval that stands alone
   */
  static String worse(
      String what, Interval worse, String unit, double margin, int together, int sequences) {
    boolean surely = worse.low() > margin;
    return "%s %s worse by %s%s (95 %% CI %s to %s%s%s, %d sequences)"
        .formatted(
            what,
            surely ? "is" : "may be",
            number(surely ? worse.estimate() : worse.high()),
            unit,
            number(worse.low()),
            number(worse.high()),
            together > 1 ? " over " + together + " segments" : "",
            margin > 0 ? ", margin " + number(margin) : "",
            sequences);
  }

  static String from(String what, double value, double published) {
    return "%s %s against %s".formatted(what, number(value), number(published));
  }

  private static String bounds(Interval interval) {
    return " (95 % CI " + number(interval.low()) + " to " + number(interval.high()) + ")";
  }

  private static String sequences(Comparison comparison) {
    return comparison.sequences() + (comparison.sequences() == 1 ? " sequence" : " sequences");
  }

  /** Three digits. */
  static String number(double value) {
    if (!Double.isFinite(value)) {
      return Double.toString(value);
    }
    BigDecimal rounded = new BigDecimal(value).round(THREE_DIGITS);
    return rounded.signum() == 0 ? "0" : rounded.stripTrailingZeros().toPlainString();
  }
}
