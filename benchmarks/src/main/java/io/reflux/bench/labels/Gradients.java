package io.reflux.bench.labels;

/**
 * Gradients of a distillation loss in the student's logits at one position, with teacher p and
 * student q: of the KL from the whole distribution, and of what a label lets a trainer compute
 * instead. One dense row at a time, in double precision.
 */
final class Gradients {
  private Gradients() {}

  /** {@code q − p}. */
  static double[] full(double[] p, double[] q) {
    double[] gradient = new double[q.length];
    for (int j = 0; j < q.length; j++) {
      gradient[j] = q[j] - p[j];
    }
    return gradient;
  }

  /**
   * Of the KL over named ids and one bucket for the rest: {@code q_i · M − p_i} for a named id,
   * {@code q_j · (M − p_t / q_t)} for another, M the mass of all buckets.
   *
   * @param logprobs [ids], the label's
   * @param tail log of the rest's mass
   */
  static double[] buckets(int[] ids, double[] logprobs, double tail, double[] q) {
    double tailMass = Math.exp(tail);
    double mass = tailMass;
    double rest = 1;
    for (int i = 0; i < ids.length; i++) {
      mass += Math.exp(logprobs[i]);
      rest -= q[ids[i]];
    }
    double factor = tailMass == 0 ? mass : mass - tailMass / rest;
    double[] gradient = new double[q.length];
    for (int j = 0; j < q.length; j++) {
      gradient[j] = q[j] * factor;
    }
    for (int i = 0; i < ids.length; i++) {
      gradient[ids[i]] = q[ids[i]] * mass - Math.exp(logprobs[i]);
    }
    return gradient;
  }

  /** {@code q − p̂} where p̂ is the named ids alone, made to sum to one: what most trainers do. */
  static double[] renormalised(int[] ids, double[] logprobs, double[] q) {
    double mass = 0;
    for (double logprob : logprobs) {
      mass += Math.exp(logprob);
    }
    double[] gradient = q.clone();
    for (int i = 0; i < ids.length; i++) {
      gradient[ids[i]] -= Math.exp(logprobs[i]) / mass;
    }
    return gradient;
  }

  /**
   * {@code q − counts / draws}.
   *
   * @param draws sum of the counts
   */
  static double[] counts(int[] ids, int[] counts, double draws, double[] q) {
    double[] gradient = q.clone();
    for (int i = 0; i < ids.length; i++) {
      gradient[ids[i]] -= counts[i] / draws;
    }
    return gradient;
  }

  /** How gradients differ from the true ones, over many positions. */
  static final class Comparison {
    private int rows;
    private double angles;
    private double dots;
    private double trueSquares;
    private double squares;

    void add(double[] trueGradient, double[] gradient) {
      double dot = 0;
      double trueSquare = 0;
      double square = 0;
      for (int j = 0; j < gradient.length; j++) {
        dot += trueGradient[j] * gradient[j];
        trueSquare += trueGradient[j] * trueGradient[j];
        square += gradient[j] * gradient[j];
      }
      rows++;
      angles += degrees(dot, trueSquare, square);
      dots += dot;
      trueSquares += trueSquare;
      squares += square;
    }

    /** Mean angle of a position's gradient to the true one, degrees. */
    double meanAngle() {
      return angles / rows;
    }

    /** Angle of all positions' gradients together, end to end as one vector, degrees. */
    double angle() {
      return degrees(dots, trueSquares, squares);
    }

    /** Length of all gradients together over that of the true ones. */
    double norm() {
      return Math.sqrt(squares / trueSquares);
    }

    private static double degrees(double dot, double a, double b) {
      double cosine = a == 0 || b == 0 ? (a == b ? 1 : 0) : dot / Math.sqrt(a * b);
      return Math.toDegrees(Math.acos(Math.max(-1, Math.min(1, cosine))));
    }
  }
}
