package io.reflux.trainer.nn;

/**
 * What a batch came to.
 *
 * @param objective the weighted mean that was minimised, nats a row
 * @param klSum sum over distilled rows of KL(teacher‖student), nats: on top-k and tail, or the
 *     unbiased estimate from a teacher's draws, and so by chance a little below 0 near the optimum
 * @param crossEntropySum sum over all counted rows of -log q(token), nats
 * @param agreements distilled rows where student and teacher have the same likeliest token; of a
 *     teacher's draws the most drawn stands for it
 * @param correct counted rows where the student's likeliest token is the one that stands
 * @param distilledRows rows with a teacher's distribution and a weight
 * @param rows rows with a weight
 */
public record Losses(
    double objective,
    double klSum,
    double crossEntropySum,
    double agreements,
    double correct,
    long distilledRows,
    long rows) {
  /** Of no rows. */
  public static final Losses NONE = new Losses(0, 0, 0, 0, 0, 0, 0);

  /** Mean KL a distilled row; 0 without any. */
  public double meanKl() {
    return distilledRows == 0 ? 0 : klSum / distilledRows;
  }

  /** Mean cross-entropy a row; 0 without any. */
  public double meanCrossEntropy() {
    return rows == 0 ? 0 : crossEntropySum / rows;
  }

  /** Share of distilled rows that agree; 0 without any. */
  public double agreement() {
    return distilledRows == 0 ? 0 : agreements / distilledRows;
  }

  /** Share of rows where the standing token is predicted; 0 without any. */
  public double accuracy() {
    return rows == 0 ? 0 : correct / rows;
  }

  /** Sums of both; the objective is weighted by rows. */
  public Losses plus(Losses other) {
    long bothRows = rows + other.rows;
    double bothObjective =
        bothRows == 0 ? 0 : (objective * rows + other.objective * other.rows) / bothRows;
    return new Losses(
        bothObjective,
        klSum + other.klSum,
        crossEntropySum + other.crossEntropySum,
        agreements + other.agreements,
        correct + other.correct,
        distilledRows + other.distilledRows,
        bothRows);
  }
}
