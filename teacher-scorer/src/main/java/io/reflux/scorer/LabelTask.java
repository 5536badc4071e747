package io.reflux.scorer;

import io.reflux.schemas.labels.LabelEncoding;

/**
 * A sequence to label, and how.
 *
 * @param supportIds [rows, supportSize] row-major, the ids whose log-probs are wanted; empty unless
 *     the encoding is {@link LabelEncoding#SUPPORT}
 * @param supportSize ids a row; 0 for none
 * @param seed of the draws of {@link LabelEncoding#SAMPLED}: the same for the same record, so that
 *     a retry gives the same labels
 * @param temperature of the distribution that is labelled, in the float that the record carries
 */
@SuppressWarnings("ArrayRecordComponent") // compared by nobody
record LabelTask(
    Sequence sequence,
    LabelEncoding encoding,
    int[] supportIds,
    int supportSize,
    long seed,
    float temperature) {

  private static final int[] NO_IDS = {};

  /** Without support ids. */
  static LabelTask of(Sequence sequence, LabelEncoding encoding, long seed, float temperature) {
    return new LabelTask(sequence, encoding, NO_IDS, 0, seed, temperature);
  }
}
