package io.reflux.bench.labels;

import java.util.Arrays;
import java.util.Random;

/** Draws ids of a distribution, with replacement. */
final class Draws {
  private final double[] cumulative;

  Draws(double[] probabilities) {
    cumulative = new double[probabilities.length];
    double sum = 0;
    for (int i = 0; i < probabilities.length; i++) {
      sum += probabilities[i];
      cumulative[i] = sum;
    }
  }

  int next(Random random) {
    double point = random.nextDouble() * cumulative[cumulative.length - 1];
    int found = Arrays.binarySearch(cumulative, point);
    // An id without probability shares its predecessor's sum, and must not be found.
    int at = found >= 0 ? found + 1 : -found - 1;
    while (at < cumulative.length - 1 && at > 0 && cumulative[at] == cumulative[at - 1]) {
      at++;
    }
    return Math.min(at, cumulative.length - 1);
  }

  int[] next(int count, Random random) {
    int[] ids = new int[count];
    for (int i = 0; i < count; i++) {
      ids[i] = next(random);
    }
    return ids;
  }
}
