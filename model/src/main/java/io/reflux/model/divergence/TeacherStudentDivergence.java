package io.reflux.model.divergence;

import io.reflux.model.ModelException;
import io.reflux.model.runtime.Scores;
import io.reflux.model.runtime.SupportTail;
import java.util.function.IntFunction;
import java.util.function.IntPredicate;

/**
 * Divergence of a student from the labels that a teacher published: k named ids and a tail, or
 * draws.
 */
public final class TeacherStudentDivergence {
  /** What float32 log-probs can no longer tell from nothing; keeps one row from being infinite. */
  private static final double SMALLEST_LOG_MASS = -80;

  private TeacherStudentDivergence() {}

  /**
   * Sums over the rows of one sequence, or of several.
   *
   * @param rows compared
   * @param klSum sum of KL(teacher‖student), nats: over the buckets, or estimated from draws, and
   *     then by chance a little below 0 where the two are close
   * @param klMax largest row; 0 when there are no rows
   * @param agreements rows where both like the same id best; of a teacher's draws the most drawn
   * @param acceptanceSum sum of 1 − TV over the buckets
   * @param acceptanceRows rows in that sum: those of draws are not, which say too little of what
   *     the two distributions share
   */
  public record Result(
      long rows,
      double klSum,
      double klMax,
      long agreements,
      double acceptanceSum,
      long acceptanceRows) {
    /** Nothing compared. */
    public static final Result EMPTY = new Result(0, 0, 0, 0, 0, 0);

    /** Both together. */
    public Result plus(Result other) {
      return new Result(
          rows + other.rows,
          klSum + other.klSum,
          Math.max(klMax, other.klMax),
          agreements + other.agreements,
          acceptanceSum + other.acceptanceSum,
          acceptanceRows + other.acceptanceRows);
    }

    /** Mean of the rows, nats; NaN when there are none. */
    public double klMean() {
      return klSum / rows;
    }

    /** Share of rows with the same likeliest id, 0 to 1; NaN when there are none. */
    public double agreement() {
      return (double) agreements / rows;
    }

    /** Mean of 1 − TV, 0 to 1; NaN when no row tells. */
    public double acceptance() {
      return acceptanceSum / acceptanceRows;
    }
  }

  /**
   * Compares rows of a sequence.
   *
   * @param student of the same rows, scored with {@link TeacherLabels#supportIds()} as support
   * @param counted whether a row counts
   * @throws ModelException if sizes differ, or where a row of draws counts whose entropy is unknown
   */
  public static Result compare(TeacherLabels teacher, Scores student, IntPredicate counted) {
    int size = teacher.supportSize();
    requireSize("student's rows", student.rows(), teacher.rows());
    requireSize(
        "student's support log-probs", student.supportLogprobs().length, teacher.rows() * size);
    if (teacher instanceof Draws draws) {
      return sum(draws.rows(), counted, row -> compareDraws(draws, student, row, row * size));
    }
    NamedIds named = (NamedIds) teacher;
    float[] studentTails = SupportTail.of(student, named.ids(), size);
    return sum(named.rows(), counted, row -> compareNamed(named, student, row, studentTails[row]));
  }

  private static Result sum(int rows, IntPredicate counted, IntFunction<Result> compare) {
    Result sum = Result.EMPTY;
    for (int row = 0; row < rows; row++) {
      if (counted.test(row)) {
        sum = sum.plus(compare.apply(row));
      }
    }
    return sum;
  }

  private static Result compareNamed(NamedIds labels, Scores student, int row, float tailOfRow) {
    int k = labels.k();
    double[] teacher = row(labels.logprobs(), row, k);
    double[] named = row(student.supportLogprobs(), row, k);
    double studentTail = Math.max(SMALLEST_LOG_MASS, tailOfRow);
    double tail = labels.tailLogMass()[row];
    double kl = Buckets.forwardKl(teacher, tail, named, studentTail);
    boolean agrees = labels.ids()[row * k] == student.topIds()[row * student.k()];
    double acceptance = Buckets.acceptance(teacher, tail, named, studentTail);
    return new Result(1, kl, kl, agrees ? 1 : 0, acceptance, 1);
  }

  /**
   * The KL is estimated without bias as {@code −H(p) − Σ (count/N)·log q}: the mean over many rows
   * is to be trusted, a single row is noisy, and the largest of them the more so. Agreement takes
   * the most drawn id for the teacher's likeliest, which draws may miss where two are close.
   *
   * @param first where the row starts in the student's support
   */
  private static Result compareDraws(Draws teacher, Scores student, int row, int first) {
    double entropy = teacher.entropy()[row];
    if (Double.isNaN(entropy)) {
      throw new ModelException(
          "teacher's entropy, row %d: unknown (expected: a number, for a KL from draws)"
              .formatted(row));
    }
    int start = teacher.starts()[row];
    double kl = -entropy;
    for (int i = start; i < teacher.starts()[row + 1]; i++) {
      double logq = Math.max(SMALLEST_LOG_MASS, student.supportLogprobs()[first + i - start]);
      kl -= (double) teacher.counts()[i] / teacher.draws() * logq;
    }
    boolean agrees = teacher.ids()[start] == student.topIds()[row * student.k()];
    return new Result(1, kl, kl, agrees ? 1 : 0, 0, 0);
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
