package io.reflux.trainer.nn;

import io.reflux.trainer.nn.Losses.Importance;
import io.reflux.trainer.nn.Losses.Part;
import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;

/** Adds up what the head found of each row, always in the same order. */
final class LossSums {
  private final SortedMap<Part, Sum> parts = new TreeMap<>();

  /** Of one part. */
  private static final class Sum {
    double weight;
    double objective;
    double kl;
    double crossEntropy;
    double entropy;
    long agreements;
    long correct;
    long distilledRows;
    long rows;
    long tokenRows;
    double teacherToken;
    double studentToken;
    long importanceRows;
    double importance;
    long clipped;
  }

  /**
   * Adds a row.
   *
   * @param place of the row in its sequence
   * @param klOffset added to its forward KL
   * @param results [rows, {@link HeadSource#RESULTS}]
   * @param row in results
   */
  void add(TrainingSequence sequence, int place, double klOffset, float[] results, int row) {
    int first = row * HeadSource.RESULTS;
    Sum sum = parts.computeIfAbsent(sequence.part(), key -> new Sum());
    double weight = sequence.weight(place);
    double factor = 1;
    if (sequence.behaviour() != null) {
      double ratio = results[first + HeadSource.RATIO];
      factor = Math.min(ratio, sequence.behaviour().clip());
      sum.importanceRows++;
      sum.importance += factor;
      sum.clipped += ratio > factor ? 1 : 0;
    }
    double crossEntropy = results[first + HeadSource.CROSS_ENTROPY];
    double share = sequence.crossEntropyShare();
    double divergence =
        results[first + HeadSource.DIVERGENCE]
            + (klOffset == 0 ? 0 : klOffset * sequence.objective().forwardWeight());
    sum.rows++;
    sum.weight += weight;
    sum.objective += weight * factor * (share * crossEntropy + (1 - share) * divergence);
    sum.crossEntropy += crossEntropy;
    sum.entropy += results[first + HeadSource.ENTROPY];
    sum.correct += (long) results[first + HeadSource.CORRECT];
    Targets targets = sequence.targets();
    if (targets instanceof DenseTargets || targets instanceof NamedTargets named && named.k() > 0) {
      sum.distilledRows++;
      sum.kl += results[first + HeadSource.FORWARD_KL] + klOffset;
      sum.agreements += (long) results[first + HeadSource.AGREES];
    }
    if (targets != null && targets.tokenLogprobs() != null) {
      float teacher = targets.tokenLogprobs()[place];
      if (!Float.isNaN(teacher)) {
        sum.tokenRows++;
        sum.teacherToken -= Math.max(teacher, HeadSource.LEAST_LOGPROB);
        sum.studentToken += results[first + HeadSource.TOKEN_LOSS];
      }
    }
  }

  /** Of all rows so far. */
  Losses losses() {
    Losses all = Losses.NONE;
    for (SortedMap.Entry<Part, Sum> part : parts.entrySet()) {
      Losses losses = losses(part.getValue());
      all = all.plus(losses.in(part.getKey()));
    }
    return all;
  }

  private static Losses losses(Sum sum) {
    return new Losses(
        sum.weight,
        sum.objective,
        sum.kl,
        sum.crossEntropy,
        sum.entropy,
        sum.agreements,
        sum.correct,
        sum.distilledRows,
        sum.rows,
        sum.tokenRows,
        sum.teacherToken,
        sum.studentToken,
        new Importance(sum.importanceRows, sum.importance, sum.clipped),
        Collections.emptySortedMap());
  }
}
