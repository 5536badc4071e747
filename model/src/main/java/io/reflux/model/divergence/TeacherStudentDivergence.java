package io.reflux.model.divergence;

import io.reflux.model.ModelException;
import io.reflux.model.runtime.Scores;
import io.reflux.model.runtime.SupportTail;

/** Divergence of a student from the labels that a teacher published, k named ids and a tail. */
public final class TeacherStudentDivergence {
  /** What float32 log-probs can no longer tell from nothing; keeps one row from being infinite. */
  private static final double SMALLEST_LOG_MASS = -80;

  private TeacherStudentDivergence() {}

  /**
   * Sums over the rows of one sequence, or of several.
   *
   * @param rows compared
   * @param klSum sum of KL(teacher‖student) over the buckets, nats
   * @param klMax largest row; 0 when there are no rows
   * @param agreements rows where both like the same id best
   * @param acceptanceSum sum of 1 − TV over the buckets
   */
  public record Result(
      long rows, double klSum, double klMax, long agreements, double acceptanceSum) {
    /** Nothing compared. */
    public static final Result EMPTY = new Result(0, 0, 0, 0, 0);

    /** Both together. */
    public Result plus(Result other) {
      return new Result(
          rows + other.rows,
          klSum + other.klSum,
          Math.max(klMax, other.klMax),
          agreements + other.agreements,
          acceptanceSum + other.acceptanceSum);
    }

    /** Mean of the rows, nats; NaN when there are none. */
    public double klMean() {
      return klSum / rows;
    }

    /** Share of rows with the same likeliest id, 0 to 1; NaN when there are none. */
    public double agreement() {
      return (double) agreements / rows;
    }

    /** Mean of 1 − TV, 0 to 1; NaN when there are no rows. */
    public double acceptance() {
      return acceptanceSum / rows;
    }
  }

  /**
   * Compares a sequence.
   *
   * @param k named ids a row
   * @param topIds [rows, k], the teacher's, likeliest first
   * @param topLogprobs [rows, k], the teacher's
   * @param tailLogMass [rows], the teacher's
   * @param student of the same rows, scored with {@code topIds} as support
   * @throws ModelException if sizes differ
   */
  public static Result compare(
      int rows, int k, int[] topIds, float[] topLogprobs, float[] tailLogMass, Scores student) {
    requireSize("teacher's top ids", topIds.length, rows * k);
    requireSize("teacher's top log-probs", topLogprobs.length, rows * k);
    requireSize("teacher's tail", tailLogMass.length, rows);
    requireSize("student's rows", student.rows(), rows);
    requireSize("student's support log-probs", student.supportLogprobs().length, rows * k);
    float[] studentTails = SupportTail.of(student, topIds, k);
    Result result = Result.EMPTY;
    for (int row = 0; row < rows; row++) {
      double[] teacher = row(topLogprobs, row, k);
      double[] named = row(student.supportLogprobs(), row, k);
      double studentTail = Math.max(SMALLEST_LOG_MASS, studentTails[row]);
      double kl = Buckets.forwardKl(teacher, tailLogMass[row], named, studentTail);
      boolean agrees = topIds[row * k] == student.topIds()[row * student.k()];
      double acceptance = Buckets.acceptance(teacher, tailLogMass[row], named, studentTail);
      result = result.plus(new Result(1, kl, kl, agrees ? 1 : 0, acceptance));
    }
    return result;
  }

  private static double[] row(float[] values, int row, int k) {
    double[] copy = new double[k];
    for (int i = 0; i < k; i++) {
      copy[i] = values[row * k + i];
    }
    return copy;
  }

  private static void requireSize(String name, int size, int expected) {
    if (size != expected) {
      throw new ModelException(name + ": " + size + " (expected: " + expected + ")");
    }
  }
}
