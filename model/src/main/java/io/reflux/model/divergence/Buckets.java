package io.reflux.model.divergence;

/**
 * Distributions over k named ids and one tail bucket for all the others: exact divergences between
 * coarsened distributions, and so lower bounds of those between the full ones. Double precision and
 * one row at a time: this is the reference that faster code is tested against.
 *
 * <p>With teacher p and student q, named ids i and tail t: {@code KL = Σ p_i (log p_i − log q_i) +
 * p_t (log p_t − log q_t)}. A teacher tail below {@link #NO_TAIL} counts as none, and then only the
 * named ids take part; the student's probabilities are never renormalised. Where the named ids are
 * the whole vocabulary there is no tail bucket either. A tail that is not known (NaN) counts as
 * none too: teachers that cannot tell it give so little to it that rounding hides it.
 */
public final class Buckets {
  /** Log-mass below which a tail is treated as none. */
  public static final double NO_TAIL = -30;

  private Buckets() {}

  /**
   * KL(teacher‖student) of one row, nats.
   *
   * @param teacher [k], logs of the named ids' probabilities
   * @param teacherTail log of the rest
   * @param student [k], of the same ids
   * @param studentTail log of the rest
   * @return at least 0; infinite if the student gives nothing to what the teacher may say
   */
  public static double forwardKl(
      double[] teacher, double teacherTail, double[] student, double studentTail) {
    double sum = 0;
    for (int i = 0; i < teacher.length; i++) {
      sum += share(teacher[i], student[i]);
    }
    if (teacherTail >= NO_TAIL) {
      sum += share(teacherTail, studentTail);
    }
    // Rounded inputs may add up to a hair over 1.
    return Math.max(0, sum);
  }

  /**
   * KL(teacher‖student) of one row from all of the student's logits.
   *
   * @param ids [k], distinct
   * @param teacher [k], logs of the ids' probabilities
   * @param teacherTail log of the rest
   * @param logits [vocabularySize], of the student
   */
  public static double forwardKl(int[] ids, double[] teacher, double teacherTail, double[] logits) {
    double[] logprobs = logSoftmax(logits);
    double[] named = new double[ids.length];
    for (int i = 0; i < ids.length; i++) {
      named[i] = logprobs[ids[i]];
    }
    return forwardKl(teacher, teacherTail, named, logOfRest(ids, logprobs));
  }

  /**
   * Gradient of {@link #forwardKl(int[], double[], double, double[])} in the logits: {@code q_j · P
   * − p_j} for a named id and {@code q_j · P − p_t · q_j / q_t} for another, where P is the mass of
   * the teacher's buckets that take part (1 but for rounding).
   *
   * @return [vocabularySize]
   */
  public static double[] forwardKlGradient(
      int[] ids, double[] teacher, double teacherTail, double[] logits) {
    double[] logprobs = logSoftmax(logits);
    double tailMass = teacherTail >= NO_TAIL ? Math.exp(teacherTail) : 0;
    double mass = tailMass;
    for (double logprob : teacher) {
      mass += Math.exp(logprob);
    }
    double rest = logOfRest(ids, logprobs);
    double[] gradient = new double[logits.length];
    for (int j = 0; j < logits.length; j++) {
      double tailShare = tailMass == 0 ? 0 : tailMass * Math.exp(logprobs[j] - rest);
      gradient[j] = Math.exp(logprobs[j]) * mass - tailShare;
    }
    for (int i = 0; i < ids.length; i++) {
      gradient[ids[i]] = Math.exp(logprobs[ids[i]]) * mass - Math.exp(teacher[i]);
    }
    return gradient;
  }

  /**
   * Chance that speculative decoding accepts the student's token (arXiv 2211.17192): {@code 1 − TV
   * = Σ min(p, q)} over the buckets, an upper bound of that of the full distributions.
   *
   * @return 0 to 1
   */
  public static double acceptance(
      double[] teacher, double teacherTail, double[] student, double studentTail) {
    double sum = teacherTail >= NO_TAIL ? Math.exp(Math.min(teacherTail, studentTail)) : 0;
    for (int i = 0; i < teacher.length; i++) {
      sum += Math.exp(Math.min(teacher[i], student[i]));
    }
    return Math.min(1, sum);
  }

  private static double share(double logP, double logQ) {
    return logP == Double.NEGATIVE_INFINITY ? 0 : Math.exp(logP) * (logP - logQ);
  }

  /** Log of the sum over all ids but the named ones; -infinity when there are no others. */
  private static double logOfRest(int[] ids, double[] logprobs) {
    boolean[] named = new boolean[logprobs.length];
    for (int id : ids) {
      named[id] = true;
    }
    double max = Double.NEGATIVE_INFINITY;
    for (int j = 0; j < logprobs.length; j++) {
      max = named[j] ? max : Math.max(max, logprobs[j]);
    }
    if (max == Double.NEGATIVE_INFINITY) {
      return max;
    }
    double sum = 0;
    for (int j = 0; j < logprobs.length; j++) {
      sum += named[j] ? 0 : Math.exp(logprobs[j] - max);
    }
    return max + Math.log(sum);
  }

  private static double[] logSoftmax(double[] logits) {
    double max = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      max = Math.max(max, logit);
    }
    double sum = 0;
    for (double logit : logits) {
      sum += Math.exp(logit - max);
    }
    double[] logprobs = new double[logits.length];
    for (int j = 0; j < logits.length; j++) {
      logprobs[j] = logits[j] - max - Math.log(sum);
    }
    return logprobs;
  }
}
