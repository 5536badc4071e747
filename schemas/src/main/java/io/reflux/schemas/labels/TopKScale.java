package io.reflux.schemas.labels;

/**
 * Probabilities as levels, evenly spaced in the square root: the spacing at which a level's error
 * costs as much divergence wherever it falls.
 */
final class TopKScale {
  /** Rows of as many ids, or fewer, start from the least number of steps. */
  private static final int USUAL_K = 50;

  private static final int LEAST_STEPS = 80;
  static final int MOST_STEPS = 4095;

  /** The scales that are written, each a tenth finer than the one before; made once. */
  private static final TopKScale[] WRITTEN = new TopKScale[18];

  static {
    double steps = LEAST_STEPS;
    for (int i = 0; i < WRITTEN.length; i++) {
      WRITTEN[i] = new TopKScale((int) Math.round(steps));
      steps *= 1.1;
    }
  }

  /** The likeliest id's square root is corrected in these. */
  private static final double TOP_STEPS = 96;

  /** Of a tail, or of the likeliest id, that is there but below the first step. */
  private static final double LEAST = 0.25;

  static final double TOKEN_STEPS_PER_NAT = 32;
  static final double ENTROPY_STEPS_PER_NAT = 32;

  /** What a tail is expected to hold of the most entropy that it may. */
  private static final double TAIL_ENTROPY = 0.6;

  /** Levels between 0 and 1 in the square root. */
  final int steps;

  /** Levels that exist: one beyond 1, where rounding may lead. */
  final int levels;

  // [shapes, levels]
  private final double[] positions;
  private final double[] masses;
  private final double[] logs;
  private final double[] massLogs;
  // [steps + 1]
  private final double[] tailLogs;

  private TopKScale(int steps) {
    this.steps = steps;
    this.levels = steps + 2;
    TopKTables tables = TopKTables.INSTANCE;
    positions = new double[tables.shapes * levels];
    masses = new double[positions.length];
    logs = new double[positions.length];
    massLogs = new double[positions.length];
    tailLogs = new double[steps + 1];
    for (int level = 0; level <= steps; level++) {
      tailLogs[level] = Math.log(tailMass(level));
    }
    for (int shape = 0; shape < tables.shapes; shape++) {
      int[] first = tables.scale[shape];
      for (int level = 0; level < levels; level++) {
        int last = first.length - 1;
        double position = level <= last ? first[level] / 64.0 : first[last] / 64.0 + (level - last);
        int i = shape * levels + level;
        positions[i] = position;
        masses[i] = position / steps * (position / steps);
        // High levels are alike in all shapes, and logs are slow.
        logs[i] = position == positions[level] && shape > 0 ? logs[level] : Math.log(masses[i]);
        massLogs[i] = masses[i] * logs[i];
      }
    }
  }

  /** The scale of so many steps, 1 to {@link #MOST_STEPS}. */
  static TopKScale of(int steps) {
    for (TopKScale scale : WRITTEN) {
      if (scale.steps == steps) {
        return scale;
      }
    }
    return new TopKScale(steps);
  }

  /** The scale that keeps the divergence of a row of so many ids about where it is for 50. */
  static TopKScale forIds(int k) {
    return atLeast(LEAST_STEPS * Math.sqrt((k + 1) / (USUAL_K + 1.0)));
  }

  /** The written scale that divides the divergence by so much, or nearly; the finest if none. */
  TopKScale finer(double factor) {
    return atLeast(Math.max(steps + 1, steps * Math.sqrt(factor)));
  }

  boolean isFinest() {
    return steps >= WRITTEN[WRITTEN.length - 1].steps;
  }

  private static TopKScale atLeast(double steps) {
    for (TopKScale scale : WRITTEN) {
      if (scale.steps >= steps) {
        return scale;
      }
    }
    return WRITTEN[WRITTEN.length - 1];
  }

  /** In levels. */
  double position(int shape, int level) {
    return positions[shape * levels + level];
  }

  double mass(int shape, int level) {
    return masses[shape * levels + level];
  }

  /** Natural log of {@link #mass}. */
  double log(int shape, int level) {
    return logs[shape * levels + level];
  }

  /** {@link #mass} times {@link #log}. */
  double massLog(int shape, int level) {
    return massLogs[shape * levels + level];
  }

  double tailLog(int level) {
    return tailLogs[level];
  }

  double tailMass(int level) {
    double root = Math.max(LEAST, level) / steps;
    return root * root;
  }

  int tailLevel(float logMass) {
    return (int) Math.min(steps, Math.round(Math.exp(logMass / 2.0) * steps));
  }

  /** What the likeliest id must be corrected by from what the others leave it. */
  static int topCorrection(float logprob, double others) {
    double root = Math.exp(logprob / 2.0);
    return (int) Math.round((root - Math.sqrt(Math.max(0, 1 - others))) * TOP_STEPS);
  }

  /**
   * @param next of the next likely id; no more than the likeliest's
   */
  static double topMass(int correction, double others, double next) {
    double root =
        Math.max(Math.sqrt(Math.max(0, 1 - others)) + correction / TOP_STEPS, LEAST / TOP_STEPS);
    return Math.max(root * root, next);
  }

  /**
   * The entropy that a row's named parts suggest.
   *
   * @param dot sum of mass times log mass, the tail as one part of it
   * @param total sum of masses when they are scaled to one, else 1
   */
  static double expectedEntropy(double dot, double total, double tailMass, int vocabularySize) {
    return (TAIL_ENTROPY * Math.log(vocabularySize) * tailMass - dot) / total + Math.log(total);
  }
}
