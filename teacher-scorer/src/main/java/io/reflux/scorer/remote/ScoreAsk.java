package io.reflux.scorer.remote;

/**
 * A sequence whose tokens' log-probs are wanted.
 *
 * @param tokenIds the whole sequence
 * @param firstPosition of the first token whose prediction is wanted, at least 1
 * @param k likeliest ids wanted a row; not used with support ids
 * @param supportIds [rows, supportSize] row-major, ids whose log-probs are wanted instead of the
 *     likeliest; empty for none
 * @param supportSize ids a row; 0 for none
 */
@SuppressWarnings("ArrayRecordComponent") // compared by nobody
record ScoreAsk(int[] tokenIds, int firstPosition, int k, int[] supportIds, int supportSize) {
  private static final int[] NO_IDS = {};

  static ScoreAsk topK(int[] tokenIds, int firstPosition, int k) {
    return new ScoreAsk(tokenIds, firstPosition, k, NO_IDS, 0);
  }

  int rows() {
    return tokenIds.length - firstPosition;
  }
}
