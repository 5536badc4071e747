package io.reflux.trainer.nn;

import java.util.Collections;
import java.util.Comparator;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a batch came to, before its update. A row counts if it has a weight. Sums are over rows and
 * unweighted, but for the objective's.
 *
 * @param weight sum of the rows' weights, without importance weights
 * @param objectiveSum sum of weight × importance weight × what was minimised, nats
 * @param klSum sum over distilled rows of KL(teacher‖student), whatever was minimised, nats at the
 *     targets' temperature: over all ids, on named ids and tail, or the unbiased estimate from a
 *     teacher's draws, and so by chance a little below 0 near the optimum
 * @param crossEntropySum sum of -log q(token) at temperature 1, nats
 * @param entropySum sum of the entropies of the student's whole distributions at temperature 1,
 *     nats
 * @param agreements distilled rows where student and teacher have the same likeliest token; of a
 *     teacher's draws the most drawn stands for it
 * @param correct rows where the student's likeliest token is the one that stands
 * @param distilledRows rows with a teacher's distribution
 * @param rows rows
 * @param tokenRows rows where the teacher's log-prob of the standing token is known
 * @param teacherTokenSum sum over those of the teacher's -log p(token) at the targets' temperature,
 *     nats
 * @param studentTokenSum sum over the same of the student's -log q(token), likewise
 * @param importance of rows that an older student wrote
 * @param parts the same by origin and objective; their own parts are empty
 */
public record Losses(
    double weight,
    double objectiveSum,
    double klSum,
    double crossEntropySum,
    double entropySum,
    long agreements,
    long correct,
    long distilledRows,
    long rows,
    long tokenRows,
    double teacherTokenSum,
    double studentTokenSum,
    Importance importance,
    SortedMap<Part, Losses> parts) {
  /** Of no rows. */
  public static final Losses NONE =
      new Losses(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, Importance.NONE, Collections.emptySortedMap());

  /**
   * What a figure is of.
   *
   * @param origin as the sequences said
   * @param objective as {@link Objective#toString} writes it; cross-entropy for sequences without a
   *     teacher
   */
  public record Part(String origin, String objective) implements Comparable<Part> {
    private static final Comparator<Part> ORDER =
        Comparator.comparing(Part::origin).thenComparing(Part::objective);

    @Override
    public int compareTo(Part other) {
      return ORDER.compare(this, other);
    }
  }

  /**
   * Truncated importance weights.
   *
   * @param rows that had one
   * @param sum of the factors after truncation
   * @param clipped rows whose factor was truncated
   */
  public record Importance(long rows, double sum, long clipped) {
    /** Of no rows. */
    public static final Importance NONE = new Importance(0, 0, 0);

    /** Mean factor; 1 without any. */
    public double mean() {
      return rows == 0 ? 1 : sum / rows;
    }

    /** Share of the rows that were truncated; 0 without any. */
    public double clippedShare() {
      return rows == 0 ? 0 : (double) clipped / rows;
    }

    Importance plus(Importance other) {
      return new Importance(rows + other.rows, sum + other.sum, clipped + other.clipped);
    }
  }

  /** The weighted mean that was minimised, nats a row; 0 without any. */
  public double objective() {
    return weight == 0 ? 0 : objectiveSum / weight;
  }

  /** Mean KL(teacher‖student) a distilled row; 0 without any. */
  public double meanKl() {
    return distilledRows == 0 ? 0 : klSum / distilledRows;
  }

  /** Mean cross-entropy a row; 0 without any. */
  public double meanCrossEntropy() {
    return rows == 0 ? 0 : crossEntropySum / rows;
  }

  /** Mean entropy of the student a row; 0 without any. */
  public double meanEntropy() {
    return rows == 0 ? 0 : entropySum / rows;
  }

  /** Share of distilled rows that agree; 0 without any. */
  public double agreement() {
    return distilledRows == 0 ? 0 : (double) agreements / distilledRows;
  }

  /** Share of rows where the standing token is predicted; 0 without any. */
  public double accuracy() {
    return rows == 0 ? 0 : (double) correct / rows;
  }

  /**
   * How much more the student loses on the standing tokens than the teacher, as a share of what the
   * teacher loses; 0 without rows where that is known.
   */
  public double relativeGap() {
    return teacherTokenSum == 0 ? 0 : (studentTokenSum - teacherTokenSum) / teacherTokenSum;
  }

  /** The same, as the one part of itself. */
  Losses in(Part part) {
    SortedMap<Part, Losses> only = new TreeMap<>(Map.of(part, this));
    return new Losses(
        weight,
        objectiveSum,
        klSum,
        crossEntropySum,
        entropySum,
        agreements,
        correct,
        distilledRows,
        rows,
        tokenRows,
        teacherTokenSum,
        studentTokenSum,
        importance,
        Collections.unmodifiableSortedMap(only));
  }

  /** Sums of both, also of their parts. */
  public Losses plus(Losses other) {
    SortedMap<Part, Losses> both = new TreeMap<>(parts);
    for (Map.Entry<Part, Losses> part : other.parts.entrySet()) {
      both.merge(part.getKey(), part.getValue(), Losses::plus);
    }
    return new Losses(
        weight + other.weight,
        objectiveSum + other.objectiveSum,
        klSum + other.klSum,
        crossEntropySum + other.crossEntropySum,
        entropySum + other.entropySum,
        agreements + other.agreements,
        correct + other.correct,
        distilledRows + other.distilledRows,
        rows + other.rows,
        tokenRows + other.tokenRows,
        teacherTokenSum + other.teacherTokenSum,
        studentTokenSum + other.studentTokenSum,
        importance.plus(other.importance),
        Collections.unmodifiableSortedMap(both));
  }
}
