package io.reflux.trainer;

import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Undecodable;

/**
 * A record of labels in its turn.
 *
 * @param partition {@code topic-partition}
 * @param offset of its last piece
 * @param timestampMillis of the record; the lowest number for one that cannot be read
 * @param readFrom from where its partition has to be read to have this record, and all behind it,
 *     whole
 * @param received null if it cannot be read
 * @param undecodable null if it can
 */
record Label(
    String partition,
    long offset,
    long timestampMillis,
    long readFrom,
    Received<SoftLabels> received,
    Undecodable undecodable) {

  static Label of(Received<SoftLabels> received, long readFrom) {
    return new Label(
        received.topicPartition().toString(),
        received.offset(),
        received.timestampMillis(),
        readFrom,
        received,
        null);
  }

  static Label of(Undecodable undecodable, long readFrom) {
    return new Label(
        undecodable.topic() + "-" + undecodable.partition(),
        undecodable.offset(),
        Long.MIN_VALUE,
        readFrom,
        null,
        undecodable);
  }

  /** About what it takes on the heap, in bytes. */
  long bytes() {
    if (received == null) {
      return undecodable.value() == null ? 0 : undecodable.value().length;
    }
    SoftLabels labels = received.value();
    long numbers =
        labels.getTokenIds().size()
            + labels.getSupportIds().size()
            + labels.getSampledLogprobs().size();
    // A boxed number and the reference to it.
    return labels.getLabels().remaining() + 20 * numbers;
  }
}
