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
 * log-normal, with the quantiles that were published of language models.
 */
final class Distributions {
  static final double LEAST_ENTROPY = 0.002;
  static final double MOST_ENTROPY = 8;
  static final double TEACHER_NOISE = 0.3;
  static final double STUDENT_TEMPERATURE = 1.1;
  static final double STUDENT_NOISE = 0.5;
  static final double ZIPF_OFFSET = 200;
  static final double ZIPF_NOISE = 2;

  /** Turns keys into whole numbers that tell them apart. */
  private static final double ZIPF_KEY_SCALE = 1e6;

  private static final double LEAST_EXPONENT = 0.5;
  private static final double MOST_EXPONENT = 40;
  private static final int HALVINGS = 16;

  private final int vocabulary;
  private final Random random;
  private final double[] logRanks;

  /** Which ids are likely, and how sure of them a teacher is. */
  enum Kind {
    /**
     * Any id is as likely as any other, so that nothing can be saved on naming them. As sure as
     * Qwen3-8B, whose vocabulary this is, was of its own responses: half of the positions below
     * 0.01 nats, a fifth above 0.672 (arXiv 2506.01939).
     */
    EVEN(0.01, 5.0),
    /** As sure, but low ids are likelier, as tokenizers number their merges by frequency. */
    ZIPF(0.01, 5.0),
    /**
     * Any id, and as unsure as models are of text that they did not write: 50 draws name about 12
     * ids (arXiv 2503.16870). Hardly a position is all but certain, so all of k ids count.
     */
    TEXT(1.5, 1.0);

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
    int[] byRank = kind == Kind.ZIPF ? byZipf() : shuffled();
    double[] logits = new double[vocabulary];
    for (int rank = 0; rank < vocabulary; rank++) {
      logits[byRank[rank]] = TEACHER_NOISE * random.nextGaussian() - logRanks[rank];
    }
    sharpen(logits, Math.max(LEAST_ENTROPY, Math.min(MOST_ENTROPY, drawn)));
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

  /** Multiplies logits so that their distribution has such an entropy, or nearly. */
  private static void sharpen(double[] logits, double entropy) {
    double flat = LEAST_EXPONENT;
    double sharp = MOST_EXPONENT;
    for (int i = 0; i < HALVINGS; i++) {
      double exponent = Math.sqrt(flat * sharp);
      if (entropy(logits, exponent) > entropy) {
        flat = exponent;
      } else {
        sharp = exponent;
      }
    }
    double exponent = sharp;
    Arrays.setAll(logits, id -> exponent * logits[id]);
  }

  /** Of the softmax of logits times a number, nats. */
  private static double entropy(double[] logits, double exponent) {
    double max = Arrays.stream(logits).max().orElseThrow();
    double sum = 0;
    double weighted = 0;
    for (double logit : logits) {
      double shifted = exponent * (logit - max);
      double exp = Math.exp(shifted);
      sum += exp;
      weighted += shifted * exp;
    }
    return Math.log(sum) - weighted / sum;
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
