package io.reflux.bench.labels;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * Next-token distributions of a teacher and of a student that is not far from it, over a whole
 * vocabulary. Not safe for use by several threads.
 *
 * <p>By rank the teacher's are power laws with noise, some sharp and some flat: their entropies are
 * log-normal. That is the mix in which 50 draws name about 12 ids, as is reported of language
 * models (arXiv 2503.16870).
 */
final class Distributions {
  static final double LEAST_ENTROPY = 0.005;
  static final double MOST_ENTROPY = 8;
  static final double TEACHER_NOISE = 0.3;
  static final double STUDENT_TEMPERATURE = 1.1;
  static final double STUDENT_NOISE = 0.5;
  static final double ZIPF_OFFSET = 200;
  static final double ZIPF_NOISE = 2;

  /** Turns keys into whole numbers that tell them apart. */
  private static final double ZIPF_KEY_SCALE = 1e6;

  private static final int EXPONENTS = 64;
  private static final double LEAST_EXPONENT = 0.9;
  private static final double MOST_EXPONENT = 12;

  private final int vocabulary;
  private final Random random;
  private final double[] logRanks;
  // Of power laws without noise, for exponents from the least to the most.
  private final double[] entropies = new double[EXPONENTS];

  /** Which ids are likely, and how sure of them a teacher is. */
  enum Kind {
    /** Any id: nothing can be saved on naming them. */
    EVEN(1.0, 1.6),
    /** Low ids, as tokenizers number their merges by frequency. */
    ZIPF(1.0, 1.6),
    /** Any id, and hardly a position that is all but certain: every one of k ids counts. */
    FLAT(1.5, 1.0);

    private final double medianEntropy;
    private final double sigma;

    Kind(double medianEntropy, double sigma) {
      this.medianEntropy = medianEntropy;
      this.sigma = sigma;
    }

    /** Nats; entropies are log-normal around it. */
    double medianEntropy() {
      return medianEntropy;
    }

    /** Deviation of the entropy's logarithm. */
    double sigma() {
      return sigma;
    }
  }

  /**
   * One position.
   *
   * @param teacher [vocabulary], probabilities
   * @param student [vocabulary], probabilities
   * @param entropy of the teacher, nats
   * @param token the one that stands there, drawn from the teacher
   */
  record Row(double[] teacher, double[] student, double entropy, int token) {}

  Distributions(int vocabulary, long seed) {
    this.vocabulary = vocabulary;
    this.random = new Random(seed);
    this.logRanks = new double[vocabulary];
    for (int rank = 0; rank < vocabulary; rank++) {
      logRanks[rank] = Math.log(rank + 1.0);
    }
    double[] logits = new double[vocabulary];
    for (int i = 0; i < EXPONENTS; i++) {
      for (int rank = 0; rank < vocabulary; rank++) {
        logits[rank] = -exponent(i) * logRanks[rank];
      }
      entropies[i] = entropy(softmax(logits));
    }
  }

  /** The next positions. */
  List<Row> rows(int count, Kind kind) {
    List<Row> rows = new ArrayList<>(count);
    for (int i = 0; i < count; i++) {
      rows.add(row(kind));
    }
    return rows;
  }

  private Row row(Kind kind) {
    double drawn = kind.medianEntropy() * Math.exp(kind.sigma() * random.nextGaussian());
    double exponent = exponentOf(Math.max(LEAST_ENTROPY, Math.min(MOST_ENTROPY, drawn)));
    int[] byRank = kind == Kind.ZIPF ? byZipf() : shuffled();
    double[] logits = new double[vocabulary];
    for (int rank = 0; rank < vocabulary; rank++) {
      double noise = TEACHER_NOISE * random.nextGaussian();
      logits[byRank[rank]] = exponent * (noise - logRanks[rank]);
    }
    double[] teacher = softmax(logits);
    double[] studentLogits = new double[vocabulary];
    for (int id = 0; id < vocabulary; id++) {
      studentLogits[id] = logits[id] / STUDENT_TEMPERATURE + STUDENT_NOISE * random.nextGaussian();
    }
    return new Row(
        teacher, softmax(studentLogits), entropy(teacher), new Draws(teacher).next(random));
  }

  private int[] shuffled() {
    int[] ids = new int[vocabulary];
    for (int i = 0; i < vocabulary; i++) {
      int j = random.nextInt(i + 1);
      ids[i] = ids[j];
      ids[j] = i;
    }
    return ids;
  }

  private int[] byZipf() {
    long[] keyed = new long[vocabulary];
    for (int id = 0; id < vocabulary; id++) {
      double key = Math.log(id + ZIPF_OFFSET) + ZIPF_NOISE * random.nextGaussian();
      keyed[id] = ((long) (key * ZIPF_KEY_SCALE) << 32) | id;
    }
    Arrays.sort(keyed);
    return Arrays.stream(keyed).mapToInt(key -> (int) key).toArray();
  }

  /** The exponent whose power law has about such an entropy. */
  private double exponentOf(double entropy) {
    int above = 1;
    while (above < EXPONENTS - 1 && entropies[above] > entropy) {
      above++;
    }
    double step = entropies[above - 1] - entropies[above];
    // A vocabulary of one has no entropy, whatever the exponent.
    double part = step == 0 ? 0 : (entropies[above - 1] - entropy) / step;
    return exponent(above - 1) + part * (exponent(above) - exponent(above - 1));
  }

  private static double exponent(int i) {
    double part = (double) i / (EXPONENTS - 1);
    return LEAST_EXPONENT * Math.pow(MOST_EXPONENT / LEAST_EXPONENT, part);
  }

  private static double[] softmax(double[] logits) {
    double max = Arrays.stream(logits).max().orElseThrow();
    double[] probabilities = new double[logits.length];
    double sum = 0;
    for (int i = 0; i < logits.length; i++) {
      probabilities[i] = Math.exp(logits[i] - max);
      sum += probabilities[i];
    }
    for (int i = 0; i < logits.length; i++) {
      probabilities[i] /= sum;
    }
    return probabilities;
  }

  private static double entropy(double[] probabilities) {
    double sum = 0;
    for (double p : probabilities) {
      sum -= p == 0 ? 0 : p * Math.log(p);
    }
    return sum;
  }
}
