package io.reflux.monitor.probe;

import io.reflux.model.divergence.Draws;
import io.reflux.model.divergence.NamedIds;
import io.reflux.model.divergence.TeacherLabels;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
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
record Labelled(
    Received<SoftLabels> received, int[] tokenIds, LabelBlock block, boolean[] counted) {

  /**
   * @param received one that {@link ServedStudent#refuse(SoftLabels)} does not refuse
   * @throws SoftLabelFormatException when the labels cannot be read
   */
  static Labelled of(Received<SoftLabels> received) throws SoftLabelFormatException {
    SoftLabels record = received.value();
    int[] ids = record.getTokenIds().stream().mapToInt(Integer::intValue).toArray();
    LabelBlock block = SoftLabelCodec.decode(bytes(record.getLabels()), record.getVocabularySize());
    int positions = ids.length - record.getPromptLength();
    return new Labelled(received, ids, block, mask(record.getLossMask(), positions));
  }

  /** What to hold the student against; of labels that are not refused. */
  TeacherLabels teacher() {
    if (block instanceof TopKBlock top) {
      return new NamedIds(top.rows(), top.k(), top.ids(), top.logprobs(), top.tailLogMass());
    }
    if (block instanceof SampledBlock s) {
      return new Draws(s.rows(), s.draws(), s.starts(), s.ids(), s.counts(), s.entropy());
    }
    throw new IllegalStateException("labels were refused: " + block);
  }

  /** At the labels' own temperature: a student is held against what the teacher was asked. */
  ScoreRequest request(TeacherLabels teacher) {
    return new ScoreRequest(
            tokenIds,
            received.value().getPromptLength(),
            teacher.supportIds(),
            teacher.supportSize())
        .atTemperature(received.value().getTemperature());
  }

  /** Padding's share is the batcher's matter: this is the sequence alone. */
  int tokens() {
    return tokenIds.length;
  }

  boolean counts(int row) {
    return counted == null || counted[row];
  }

  int countedRows() {
    int rows = 0;
    for (int row = 0; row < block.rows(); row++) {
      rows += counts(row) ? 1 : 0;
    }
    return rows;
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
