package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import java.util.Arrays;

/** What a model gives to the ids outside a support that it was scored on. */
public final class SupportTail {
  /** A difference of float32 numbers below this part of them is noise. */
  private static final double FLOAT_ROUNDING = 1e-6;

  private SupportTail() {}

  /**
   * Log of the mass outside the support, a row. It starts from the top-k's own tail, which the
   * graph summed up, and exchanges the ids that only one of the two names: 1 minus the named mass
   * would be rounding noise where the tail is small. An id that a row names twice counts once.
   *
   * @param scores of a request with these support ids
   * @param supportIds [rows, supportSize]
   * @return [rows], natural logs; -infinity where both name the whole vocabulary
   * @throws ModelException if sizes differ
   */
  public static float[] of(Scores scores, int[] supportIds, int supportSize) {
    requireSize("support ids", supportIds.length, (long) scores.rows() * supportSize);
    requireSize("support log-probs", scores.supportLogprobs().length, supportIds.length);
    float[] tails = new float[scores.rows()];
    for (int row = 0; row < tails.length; row++) {
      int[] ids = Arrays.copyOfRange(supportIds, row * supportSize, (row + 1) * supportSize);
      tails[row] = (float) Math.log(mass(scores, row, ids));
    }
    return tails;
  }

  private static double mass(Scores scores, int row, int[] ids) {
    int k = scores.k();
    int[] own = Arrays.copyOfRange(scores.topIds(), row * k, (row + 1) * k);
    int[] sortedOwn = own.clone();
    Arrays.sort(sortedOwn);
    int[] sortedIds = ids.clone();
    Arrays.sort(sortedIds);
    double mass = Math.exp(scores.tailLogMass()[row]);
    for (int i = 0; i < k; i++) {
      if (Arrays.binarySearch(sortedIds, own[i]) < 0) {
        mass += Math.exp(scores.topLogprobs()[row * k + i]);
      }
    }
    double smallest = mass * FLOAT_ROUNDING;
    boolean[] counted = new boolean[ids.length];
    for (int i = 0; i < ids.length; i++) {
      // Which of equal ids is found does not matter: it is always the same one.
      int place = Arrays.binarySearch(sortedIds, ids[i]);
      if (!counted[place] && Arrays.binarySearch(sortedOwn, ids[i]) < 0) {
        mass -= Math.exp(scores.supportLogprobs()[row * ids.length + i]);
      }
      counted[place] = true;
    }
    return Math.max(smallest, mass);
  }

  private static void requireSize(String name, long size, long expected) {
    if (size != expected) {
      throw new ModelException(name + ": " + size + " (expected: " + expected + ")");
    }
  }
}
