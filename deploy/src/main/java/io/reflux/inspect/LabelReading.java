package io.reflux.inspect;

import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.schemas.service.RefluxException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * A record of labels with what its bytes say, position by position.
 *
 * @param format tag of the bytes
 * @param bytes length of the encoded labels
 * @param block what they say
 * @param resolution probability below which they do not tell ids apart; 0 for none
 * @param supportIds ids of a rollout that log-probs of its support belong to; null where they are
 *     not known, or not needed
 */
@SuppressWarnings("ArrayRecordComponent") // never compared
record LabelReading(
    Received<SoftLabels> received,
    int format,
    int bytes,
    LabelBlock block,
    double resolution,
    int[] supportIds) {

  /** An id that is not known. */
  static final int NO_ID = -1;

  /**
   * One id that the teacher named.
   *
   * @param id or {@link #NO_ID}
   * @param probability of draws the id's share of them
   * @param count draws of it; 0 where there are none
   */
  record Named(int id, double probability, int count) {}

  /**
   * One position.
   *
   * @param position in token_ids
   * @param counts whether the loss mask leaves it in
   * @param entropy NaN where unknown
   * @param tail probability outside the named ids; NaN where unknown or without meaning
   * @param named what the teacher named, likeliest first
   */
  record Row(
      int position,
      int tokenId,
      boolean counts,
      double tokenLogprob,
      double entropy,
      double tail,
      List<Named> named) {

    /** Place of the token that stands there among the named ids, from 1; 0 if it is not. */
    int rank() {
      for (int i = 0; i < named.size(); i++) {
        if (named.get(i).id() == tokenId) {
          return i + 1;
        }
      }
      return 0;
    }

    /** Probability of the token that stands there. */
    double probability() {
      return Math.exp(tokenLogprob);
    }
  }

  /**
   * Decodes the labels.
   *
   * @throws RefluxException one line, when they cannot be read, or are not of this sequence
   */
  static LabelReading of(Received<SoftLabels> received) {
    SoftLabels labels = received.value();
    ByteBuffer buffer = labels.getLabels().duplicate();
    byte[] bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    try {
      LabelBlock block = SoftLabelCodec.decode(bytes, labels.getVocabularySize());
      double resolution = SoftLabelCodec.resolution(bytes);
      LabelReading reading =
          new LabelReading(received, bytes[0] & 0xff, bytes.length, block, resolution, null);
      reading.requireFit();
      return reading;
    } catch (SoftLabelFormatException e) {
      throw new RefluxException(e.getMessage(), e);
    }
  }

  private void requireFit() {
    int tokens = labels().getTokenIds().size();
    if (labels().getPromptLength() < 0 || block.rows() != responseTokens()) {
      throw new RefluxException(
          "labels: %d rows (expected: %d, as %d tokens with a prompt of %d have)"
              .formatted(block.rows(), responseTokens(), tokens, labels().getPromptLength()));
    }
    ByteBuffer mask = labels().getLossMask();
    if (mask != null && mask.remaining() != (block.rows() + 7) / 8) {
      throw new RefluxException(
          "loss_mask: %d bytes (expected: %d, for %d rows)"
              .formatted(mask.remaining(), (block.rows() + 7) / 8, block.rows()));
    }
  }

  /**
   * With the ids of the rollout's record.
   *
   * @throws SoftLabelFormatException if the log-probs belong to other ids
   */
  LabelReading withSupport(int[] ids) throws SoftLabelFormatException {
    ((SupportBlock) block).requireSupport(ids);
    return new LabelReading(received, format, bytes, block, resolution, ids);
  }

  SoftLabels labels() {
    return received.value();
  }

  LabelEncoding encoding() {
    return block.encoding();
  }

  /** Response tokens of the sequence; as many rows as sound labels have. */
  int responseTokens() {
    return labels().getTokenIds().size() - labels().getPromptLength();
  }

  int[] tokenIds() {
    return labels().getTokenIds().stream().mapToInt(Integer::intValue).toArray();
  }

  List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    ByteBuffer mask = labels().getLossMask();
    for (int row = 0; row < block.rows(); row++) {
      int position = labels().getPromptLength() + row;
      boolean counts = mask == null || (mask.get(mask.position() + row / 8) >> row % 8 & 1) == 1;
      rows.add(
          new Row(
              position,
              labels().getTokenIds().get(position),
              counts,
              block.tokenLogprobs()[row],
              block.entropy()[row],
              tail(row),
              named(row)));
    }
    return rows;
  }

  private double tail(int row) {
    if (block instanceof TopKBlock top) {
      return Math.exp(top.tailLogMass()[row]);
    }
    return block instanceof SupportBlock support
        ? Math.exp(support.tailLogMass()[row])
        : Double.NaN;
  }

  private List<Named> named(int row) {
    List<Named> named = new ArrayList<>();
    if (block instanceof TopKBlock top) {
      for (int i = row * top.k(); i < (row + 1) * top.k(); i++) {
        named.add(new Named(top.ids()[i], Math.exp(top.logprobs()[i]), 0));
      }
    } else if (block instanceof SampledBlock drawn) {
      for (int i = drawn.starts()[row]; i < drawn.starts()[row + 1]; i++) {
        double share = (double) drawn.counts()[i] / drawn.draws();
        named.add(new Named(drawn.ids()[i], share, drawn.counts()[i]));
      }
    } else if (block instanceof SupportBlock support) {
      for (int i = row * support.k(); i < (row + 1) * support.k(); i++) {
        int id = supportIds == null ? NO_ID : supportIds[i];
        named.add(new Named(id, Math.exp(support.logprobs()[i]), 0));
      }
      named.sort(Comparator.comparingDouble(id -> -id.probability()));
    }
    return named;
  }
}
