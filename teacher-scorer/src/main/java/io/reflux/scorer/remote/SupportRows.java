package io.reflux.scorer.remote;

import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SupportBlock;
import java.util.Arrays;

/**
 * The rows of an answer about ids of our choice. They come in pieces of consecutive rows; a piece
 * is asked for the ids of all its rows, and each row takes its own.
 */
final class SupportRows {
  private final ScoreAsk ask;
  private final int vocabularySize;
  private final int mostEntries;
  private final float[] logprobs;
  private final float[] tailLogMass;
  private final float[] tokenLogprobs;
  private final int[] column;
  private int rows;
  private int pieceEnd;
  private int[] pieceIds = {};

  /**
   * @param mostEntries of a piece, its rows times its ids; a single row may have more
   */
  SupportRows(ScoreAsk ask, int vocabularySize, int mostEntries) {
    this.ask = ask;
    this.vocabularySize = vocabularySize;
    this.mostEntries = mostEntries;
    this.logprobs = new float[Math.multiplyExact(ask.rows(), ask.supportSize())];
    this.tailLogMass = new float[ask.rows()];
    this.tokenLogprobs = new float[ask.rows()];
    this.column = new int[vocabularySize];
    if (ask.supportIds().length != logprobs.length) {
      throw ServerFault.of(
          ServerFault.Kind.REFUSED,
          "support ids: "
              + ask.supportIds().length
              + " (expected: "
              + logprobs.length
              + ", as many for each row)",
          null);
    }
    for (int id : ask.supportIds()) {
      if (id < 0 || id >= vocabularySize) {
        throw ServerFault.of(
            ServerFault.Kind.REFUSED,
            "support id: " + id + " (expected: 0 to " + (vocabularySize - 1) + ")",
            null);
      }
    }
  }

  boolean complete() {
    return rows == ask.rows();
  }

  /** Position of the next row's token. */
  int position() {
    return ask.firstPosition() + rows;
  }

  /** The ids of the next piece, ascending, each once. */
  int[] nextIds() {
    Arrays.fill(column, -1);
    int distinct = 0;
    int end = rows;
    while (end < ask.rows()) {
      int more = 0;
      for (int i = end * ask.supportSize(); i < (end + 1) * ask.supportSize(); i++) {
        if (column[ask.supportIds()[i]] < 0) {
          column[ask.supportIds()[i]] = 0;
          more++;
        }
      }
      if (end > rows && (long) (distinct + more) * (end + 1 - rows) > mostEntries) {
        break;
      }
      distinct += more;
      end++;
    }
    pieceEnd = end;
    pieceIds =
        Arrays.stream(ask.supportIds(), rows * ask.supportSize(), pieceEnd * ask.supportSize())
            .sorted()
            .distinct()
            .toArray();
    Arrays.fill(column, -1);
    for (int i = 0; i < pieceIds.length; i++) {
      column[pieceIds[i]] = i;
    }
    return pieceIds.clone();
  }

  /** One past the last position of the piece that {@link #nextIds} began. */
  int nextEnd() {
    return ask.firstPosition() + pieceEnd;
  }

  /**
   * The next row.
   *
   * @param ids as they were asked for
   * @param values of these ids
   */
  void add(int[] ids, double[] values, int count, double tokenLogprob) {
    int position = position();
    if (count != pieceIds.length || !Arrays.equals(ids, pieceIds)) {
      throw ServerFault.wrong(
          "position " + position + ": log-probs of other ids than were asked for");
    }
    double sum = 0;
    for (int i = 0; i < ask.supportSize(); i++) {
      int at = rows * ask.supportSize() + i;
      double logprob = Masses.logprob(values[column[ask.supportIds()[at]]], position);
      logprobs[at] = (float) logprob;
      sum += Math.exp(logprob);
    }
    tailLogMass[rows] = Masses.tail(sum, ask.supportSize() == vocabularySize, position);
    tokenLogprobs[rows] = (float) Masses.logprob(tokenLogprob, position);
    rows++;
  }

  LabelBlock block() {
    float[] entropy = new float[rows];
    Arrays.fill(entropy, Float.NaN);
    return new SupportBlock(
        rows,
        ask.supportSize(),
        SupportBlock.checksum(ask.supportIds()),
        logprobs,
        tailLogMass,
        tokenLogprobs,
        entropy);
  }
}
