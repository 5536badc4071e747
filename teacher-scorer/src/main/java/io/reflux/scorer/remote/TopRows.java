package io.reflux.scorer.remote;

import io.reflux.schemas.labels.TopKBlock;
import java.util.Arrays;

/** The rows of a top-k answer as they come in, in order, each checked. */
final class TopRows {
  /** Log-probs of one distribution that should be equal may differ by rounding on their way. */
  private static final double SLACK = 1e-3;

  private final ScoreAsk ask;
  private final int vocabularySize;
  private final int[] ids;
  private final float[] logprobs;
  private final float[] tailLogMass;
  private final float[] tokenLogprobs;
  private final int[] seenInRow;
  private int rows;

  TopRows(ScoreAsk ask, int vocabularySize) {
    this.ask = ask;
    this.vocabularySize = vocabularySize;
    this.ids = new int[Math.multiplyExact(ask.rows(), ask.k())];
    this.logprobs = new float[ids.length];
    this.tailLogMass = new float[ask.rows()];
    this.tokenLogprobs = new float[ask.rows()];
    this.seenInRow = new int[vocabularySize];
  }

  /** Position of the next row's token. */
  int position() {
    return ask.firstPosition() + rows;
  }

  /** The token that stands there. */
  int token() {
    return ask.tokenIds()[position()];
  }

  /** Whether there is no row left. */
  boolean complete() {
    return rows == ask.rows();
  }

  /**
   * A row of the k likeliest ids and, when it is not one of them, the standing token too.
   *
   * @param rowIds any order; changed
   * @param rowLogprobs of these ids; changed
   * @param ranks of these ids, from 1; 0 where unknown
   * @param count how many there are
   */
  void addWithToken(int[] rowIds, double[] rowLogprobs, int[] ranks, int count) {
    int at = 0;
    while (at < count && rowIds[at] != token()) {
      at++;
    }
    if (at == count) {
      throw ServerFault.wrong(
          "position " + position() + ": no log-prob of token " + token() + ", which stands there");
    }
    double tokenLogprob = rowLogprobs[at];
    int left = count;
    if (count == ask.k() && ranks[at] > ask.k()) {
      throw ServerFault.wrong(
          "position "
              + position()
              + ": log-probs of "
              + (count - 1)
              + " ids beside that of token "
              + token()
              + ", which has rank "
              + ranks[at]
              + " (expected: "
              + ask.k()
              + ")");
    }
    if (count == ask.k() + 1) {
      left--;
      rowIds[at] = rowIds[left];
      rowLogprobs[at] = rowLogprobs[left];
    }
    add(rowIds, rowLogprobs, left, tokenLogprob);
  }

  /**
   * A row of the k likeliest ids.
   *
   * @param rowIds any order; changed
   * @param rowLogprobs of these ids; changed
   * @param count how many there are
   * @param tokenLogprob of the token that stands there
   */
  void add(int[] rowIds, double[] rowLogprobs, int count, double tokenLogprob) {
    int k = ask.k();
    int position = position();
    if (count != k) {
      throw ServerFault.wrong(
          "position " + position + ": log-probs of " + count + " ids (expected: " + k + ")");
    }
    sort(rowIds, rowLogprobs, count);
    double sum = 0;
    double ofToken = Masses.logprob(tokenLogprob, position);
    boolean tokenIsNamed = false;
    for (int i = 0; i < k; i++) {
      double logprob = Masses.logprob(rowLogprobs[i], position);
      requireNew(rowIds[i], position);
      if (rowIds[i] == token()) {
        tokenIsNamed = true;
        requireClose(logprob, ofToken, position);
      }
      ids[rows * k + i] = rowIds[i];
      logprobs[rows * k + i] = (float) logprob;
      sum += Math.exp(logprob);
    }
    if (!tokenIsNamed && ofToken > rowLogprobs[k - 1] + SLACK) {
      throw ServerFault.wrong(
          "position "
              + position
              + ": token "
              + token()
              + " with log-prob "
              + ofToken
              + " is not among the "
              + k
              + " likeliest, which go down to "
              + rowLogprobs[k - 1]);
    }
    tailLogMass[rows] = Masses.tail(sum, k == vocabularySize, position);
    tokenLogprobs[rows] = (float) ofToken;
    rows++;
  }

  /** The labels, when no row is missing. */
  TopKBlock block() {
    if (!complete()) {
      throw ServerFault.wrong("log-probs of " + rows + " positions (expected: " + ask.rows() + ")");
    }
    // The k likeliest say nothing exact of the entropy of all.
    float[] entropy = new float[rows];
    Arrays.fill(entropy, Float.NaN);
    return new TopKBlock(rows, ask.k(), ids, logprobs, tailLogMass, tokenLogprobs, entropy);
  }

  private void requireNew(int id, int position) {
    if (id >= vocabularySize) {
      throw ServerFault.wrong(
          "position " + position + ": id " + id + " (expected: below " + vocabularySize + ")");
    }
    if (seenInRow[id] == rows + 1) {
      throw ServerFault.wrong("position " + position + ": id " + id + " comes twice");
    }
    seenInRow[id] = rows + 1;
  }

  private static void requireClose(double named, double own, int position) {
    if (Math.abs(named - own) > SLACK) {
      throw ServerFault.wrong(
          "position "
              + position
              + ": its token's log-prob is "
              + own
              + " and, among the likeliest, "
              + named);
    }
  }

  /** Likeliest first, then by id; quick where it is nearly so, as servers send it. */
  private static void sort(int[] ids, double[] logprobs, int count) {
    for (int i = 1; i < count; i++) {
      int id = ids[i];
      double logprob = logprobs[i];
      int j = i;
      while (j > 0
          && (logprobs[j - 1] < logprob || (logprobs[j - 1] == logprob && ids[j - 1] > id))) {
        ids[j] = ids[j - 1];
        logprobs[j] = logprobs[j - 1];
        j--;
      }
      ids[j] = id;
      logprobs[j] = logprob;
    }
  }
}
