package io.reflux.model.divergence;

import io.reflux.model.ModelException;

/**
 * A teacher's likeliest ids and the mass of all others.
 *
 * @param rows positions
 * @param k ids a row
 * @param ids [rows, k], likeliest first
 * @param logprobs [rows, k], natural logs of true probabilities, not renormalised over k
 * @param tailLogMass [rows], log of the probability outside the ids; NaN, where it is unknown,
 *     counts as none
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and handed to the scorer as it is
public record NamedIds(int rows, int k, int[] ids, float[] logprobs, float[] tailLogMass)
    implements TeacherLabels {

  public NamedIds {
    requireSize("teacher's top ids", ids.length, (long) rows * k);
    requireSize("teacher's top log-probs", logprobs.length, (long) rows * k);
    requireSize("teacher's tail", tailLogMass.length, rows);
  }

  @Override
  public int supportSize() {
    return k;
  }

  @Override
  public int[] supportIds() {
    return ids;
  }

  private static void requireSize(String name, int size, long expected) {
    if (size != expected) {
      throw new ModelException(name + ": " + size + " (expected: " + expected + ")");
    }
  }
}
