package io.reflux.monitor.probe;

import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scores;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.TopKBlock;
import java.nio.ByteBuffer;

/**
 * A label record with its distributions decoded.
 *
 * @param tokenIds prompt and response
 * @param block row i is of {@code tokenIds[promptLength + i]}
 * @param counted which rows count, or null when all do
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and handed to the scorer as it is
record Labelled(Received<SoftLabels> received, int[] tokenIds, TopKBlock block, boolean[] counted) {

  /**
   * @param received one that {@link ServedStudent#refuse(SoftLabels)} does not refuse
   * @throws SoftLabelFormatException when the labels cannot be read
   */
  static Labelled of(Received<SoftLabels> received) throws SoftLabelFormatException {
    SoftLabels record = received.value();
    int[] ids = record.getTokenIds().stream().mapToInt(Integer::intValue).toArray();
    TopKBlock block =
        SoftLabelCodec.decodeTopK(bytes(record.getLabels()), record.getVocabularySize());
    int positions = ids.length - record.getPromptLength();
    return new Labelled(received, ids, block, mask(record.getLossMask(), positions));
  }

  ScoreRequest request() {
    return new ScoreRequest(tokenIds, received.value().getPromptLength(), block.ids(), block.k());
  }

  /** Padding's share is the batcher's matter: this is the sequence alone. */
  int tokens() {
    return tokenIds.length;
  }

  int countedRows() {
    if (counted == null) {
      return block.rows();
    }
    int rows = 0;
    for (boolean counts : counted) {
      rows += counts ? 1 : 0;
    }
    return rows;
  }

  /** The teacher's rows that count. */
  TopKBlock countedBlock() {
    if (counted == null) {
      return block;
    }
    int k = block.k();
    int rows = countedRows();
    int[] ids = new int[rows * k];
    float[] logprobs = new float[rows * k];
    for (int from = 0, to = 0; from < block.rows(); from++) {
      if (counted[from]) {
        System.arraycopy(block.ids(), from * k, ids, to * k, k);
        System.arraycopy(block.logprobs(), from * k, logprobs, to * k, k);
        to++;
      }
    }
    return new TopKBlock(
        rows,
        k,
        ids,
        logprobs,
        pick(block.tailLogMass(), 1),
        pick(block.tokenLogprobs(), 1),
        pick(block.entropy(), 1));
  }

  /** The student's rows that count. */
  Scores countedRowsOf(Scores scores) {
    if (counted == null) {
      return scores;
    }
    int rows = countedRows();
    int[] topIds = new int[rows * scores.k()];
    for (int from = 0, to = 0; from < block.rows(); from++) {
      if (counted[from]) {
        System.arraycopy(scores.topIds(), from * scores.k(), topIds, to * scores.k(), scores.k());
        to++;
      }
    }
    return new Scores(
        rows,
        scores.k(),
        topIds,
        pick(scores.topLogprobs(), scores.k()),
        pick(scores.tailLogMass(), 1),
        pick(scores.tokenLogprobs(), 1),
        pick(scores.entropy(), 1),
        pick(scores.supportLogprobs(), block.k()));
  }

  private float[] pick(float[] values, int width) {
    float[] picked = new float[countedRows() * width];
    for (int from = 0, to = 0; from < counted.length; from++) {
      if (counted[from]) {
        System.arraycopy(values, from * width, picked, to * width, width);
        to++;
      }
    }
    return picked;
  }

  private static boolean[] mask(ByteBuffer mask, int rows) {
    if (mask == null) {
      return null;
    }
    byte[] bits = bytes(mask);
    boolean[] counted = new boolean[rows];
    for (int row = 0; row < rows; row++) {
      counted[row] = (bits[row >> 3] >> (row & 7) & 1) == 1;
    }
    return counted;
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }
}
