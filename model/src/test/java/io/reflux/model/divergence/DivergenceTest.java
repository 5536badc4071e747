package io.reflux.model.divergence;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.divergence.TeacherStudentDivergence.Result;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.Scores;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class DivergenceTest {
  private static final int VOCABULARY = 24;

  @Property(tries = 300)
  void bucketsBoundTheFullDivergences(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = VOCABULARY) int k,
      @ForAll @DoubleRange(min = 0.1, max = 6) double width) {
    double[] p = random(seed, width);
    double[] q = random(seed + 1, width);
    Row row = new Row(p, k);
    double kl = Buckets.forwardKl(row.ids, row.logprobs, row.tail, q);
    double full = 0;
    double overlap = 0;
    for (int i = 0; i < VOCABULARY; i++) {
      full += Math.exp(p[i]) * (p[i] - q[i]);
      overlap += Math.exp(Math.min(p[i], q[i]));
    }
    assertThat(kl).isBetween(0.0, full + 1e-9);
    if (k == VOCABULARY) {
      assertThat(kl).isCloseTo(full, within(1e-9));
    }
    double[] named = Arrays.stream(row.ids).mapToDouble(id -> q[id]).toArray();
    double acceptance = Buckets.acceptance(row.logprobs, row.tail, named, rest(q, row.ids));
    assertThat(acceptance).isBetween(overlap - 1e-9, 1.0);
    assertThat(Buckets.forwardKl(row.ids, row.logprobs, row.tail, p)).isCloseTo(0, within(1e-12));
  }

  @Property(tries = 100)
  void gradientIsThatOfTheValue(
      @ForAll long seed, @ForAll @IntRange(min = 1, max = VOCABULARY) int k) {
    Row row = new Row(random(seed, 2), k);
    double[] logits = new Random(seed).doubles(VOCABULARY, -3, 3).toArray();
    double[] gradient = Buckets.forwardKlGradient(row.ids, row.logprobs, row.tail, logits);
    for (int j = 0; j < VOCABULARY; j++) {
      double[] up = logits.clone();
      double[] down = logits.clone();
      up[j] += 1e-5;
      down[j] -= 1e-5;
      double slope =
          (Buckets.forwardKl(row.ids, row.logprobs, row.tail, up)
                  - Buckets.forwardKl(row.ids, row.logprobs, row.tail, down))
              / 2e-5;
      assertThat(gradient[j]).isCloseTo(slope, within(1e-6));
    }
  }

  @Test
  void directionIsTeacherToStudent() {
    double[] p = {Math.log(0.9), Math.log(0.1)};
    double[] q = {Math.log(0.5), Math.log(0.5)};
    double none = Double.NEGATIVE_INFINITY;
    assertThat(Buckets.forwardKl(p, none, q, none)).isCloseTo(0.3680642, within(1e-6));
    assertThat(Buckets.forwardKl(q, none, p, none)).isCloseTo(0.5108256, within(1e-6));
    assertThat(Buckets.acceptance(p, none, q, none)).isCloseTo(0.6, within(1e-9));
  }

  @Test
  void aTailBelowTheLimitIsNoBucket() {
    double[] p = {Math.log(0.6), Math.log(0.4)};
    double[] q = {Math.log(0.5), Math.log(0.25)};
    double withoutTail = 0.6 * Math.log(0.6 / 0.5) + 0.4 * Math.log(0.4 / 0.25);
    assertThat(Buckets.forwardKl(p, -31, q, Math.log(0.25))).isCloseTo(withoutTail, within(1e-12));
    assertThat(Buckets.acceptance(p, -31, q, Math.log(0.25))).isCloseTo(0.75, within(1e-12));
    double unknown = Double.NaN;
    assertThat(Buckets.forwardKl(p, unknown, q, Math.log(0.25)))
        .isCloseTo(withoutTail, within(1e-12));
    assertThat(Buckets.acceptance(p, unknown, q, Math.log(0.25))).isCloseTo(0.75, within(1e-12));
  }

  @Property(tries = 200)
  void sequencesAddUpToTheReference(
      @ForAll long seed,
      @ForAll @IntRange(min = 1, max = VOCABULARY) int teacherK,
      @ForAll @IntRange(min = 1, max = VOCABULARY) int studentK,
      @ForAll @DoubleRange(min = 0.5, max = 8) double width) {
    int rows = 3;
    double klSum = 0;
    double klMax = 0;
    double acceptance = 0;
    int agreements = 0;
    Labels teacher = new Labels(rows, teacherK);
    Labels student = new Labels(rows, studentK);
    float[] support = new float[rows * teacherK];
    for (int r = 0; r < rows; r++) {
      double[] p = random(seed * 7 + r, width);
      double[] q = random(seed * 7 + 5 + r, width);
      Row teacherRow = new Row(p, teacherK);
      Row studentRow = new Row(q, studentK);
      teacher.set(r, teacherRow);
      student.set(r, studentRow);
      double[] named = new double[teacherK];
      for (int i = 0; i < teacherK; i++) {
        named[i] = q[teacherRow.ids[i]];
        support[r * teacherK + i] = (float) named[i];
      }
      double tail = rest(q, teacherRow.ids);
      double kl = Buckets.forwardKl(teacherRow.logprobs, teacherRow.tail, named, tail);
      klSum += kl;
      klMax = Math.max(klMax, kl);
      acceptance += Buckets.acceptance(teacherRow.logprobs, teacherRow.tail, named, tail);
      agreements += teacherRow.ids[0] == studentRow.ids[0] ? 1 : 0;
    }
    Scores scores =
        new Scores(
            rows,
            studentK,
            student.ids,
            student.logprobs,
            student.tail,
            new float[rows],
            new float[rows],
            support);
    Result result =
        TeacherStudentDivergence.compare(
            new NamedIds(rows, teacherK, teacher.ids, teacher.logprobs, teacher.tail),
            scores,
            row -> true);
    assertThat(result.rows()).isEqualTo(rows);
    assertThat(result.acceptanceRows()).isEqualTo(rows);
    Result some =
        TeacherStudentDivergence.compare(
            new NamedIds(rows, teacherK, teacher.ids, teacher.logprobs, teacher.tail),
            scores,
            row -> row > 0);
    assertThat(some.rows()).isEqualTo(rows - 1);
    assertThat(some.klSum()).isLessThanOrEqualTo(result.klSum());
    assertThat(result.klSum()).isCloseTo(klSum, within(1e-3));
    assertThat(result.klMax()).isCloseTo(klMax, within(1e-3));
    assertThat(result.acceptanceSum()).isCloseTo(acceptance, within(1e-4));
    assertThat(result.agreements()).isEqualTo(agreements);
    assertThat(result.plus(result).klMean()).isCloseTo(result.klMean(), within(1e-9));
    assertThat(Result.EMPTY.plus(result)).isEqualTo(result);
  }

  @Test
  void sizesThatDifferAreNamed() {
    Scores scores =
        new Scores(
            1, 1, new int[1], new float[1], new float[1], new float[1], new float[1], new float[0]);
    assertThatThrownBy(
            () ->
                TeacherStudentDivergence.compare(
                    new NamedIds(1, 1, new int[1], new float[1], new float[1]),
                    scores,
                    row -> true))
        .isInstanceOf(ModelException.class)
        .hasMessage("student's support log-probs: 0 (expected: 1)");
  }

  private static double[] random(long seed, double width) {
    Random random = new Random(seed);
    return ReferenceForward.logSoftmax(
        IntStream.range(0, VOCABULARY).mapToDouble(i -> random.nextGaussian() * width).toArray());
  }

  private static double rest(double[] logprobs, int[] ids) {
    double sum = 0;
    for (int i = 0; i < logprobs.length; i++) {
      int id = i;
      sum += Arrays.stream(ids).anyMatch(named -> named == id) ? 0 : Math.exp(logprobs[i]);
    }
    return Math.log(sum);
  }

  /** The k likeliest of a distribution, and the rest. */
  private static final class Row {
    private final int[] ids;
    private final double[] logprobs;
    private final double tail;

    private Row(double[] all, int k) {
      ids =
          IntStream.range(0, all.length)
              .boxed()
              .sorted(Comparator.comparingDouble(id -> -all[id]))
              .mapToInt(Integer::intValue)
              .limit(k)
              .toArray();
      logprobs = Arrays.stream(ids).mapToDouble(id -> all[id]).toArray();
      tail = rest(all, ids);
    }
  }

  private static final class Labels {
    private final int k;
    private final int[] ids;
    private final float[] logprobs;
    private final float[] tail;

    private Labels(int rows, int k) {
      this.k = k;
      this.ids = new int[rows * k];
      this.logprobs = new float[rows * k];
      this.tail = new float[rows];
    }

    private void set(int index, Row row) {
      for (int i = 0; i < k; i++) {
        ids[index * k + i] = row.ids[i];
        logprobs[index * k + i] = (float) row.logprobs[i];
      }
      tail[index] = (float) row.tail;
    }
  }
}
