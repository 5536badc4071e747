package io.reflux.scorer;

import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Undecodable;
import org.apache.avro.specific.SpecificRecord;

/**
 * One input record on its way to the one record that it leaves behind. Belongs to the loop's
 * thread.
 */
final class Work {
  private final Intake<?> intake;
  private final Received<? extends SpecificRecord> received;
  private final Undecodable undecodable;
  private Question question;
  private PendingAnswer answering;
  private Sequence sequence;
  private long readySinceNanos;
  private byte[] labels;
  private Rejection rejection;
  private int attempts;
  private boolean dropped;

  private Work(
      Intake<?> intake, Received<? extends SpecificRecord> received, Undecodable undecodable) {
    this.intake = intake;
    this.received = received;
    this.undecodable = undecodable;
  }

  static Work of(Intake<?> intake, Received<? extends SpecificRecord> received) {
    return new Work(intake, received, null);
  }

  static Work unreadable(Intake<?> intake, Undecodable undecodable) {
    return new Work(intake, null, undecodable);
  }

  Intake<?> intake() {
    return intake;
  }

  /** Null when the record could not be read. */
  Received<? extends SpecificRecord> received() {
    return received;
  }

  /** Null when the record could be read. */
  Undecodable undecodable() {
    return undecodable;
  }

  void answering(Question asked, PendingAnswer handle) {
    question = asked;
    answering = handle;
  }

  Question question() {
    return question;
  }

  void ready(Sequence toLabel, long nowNanos) {
    answering = null;
    sequence = toLabel;
    readySinceNanos = nowNanos;
  }

  Sequence sequence() {
    return sequence;
  }

  long readySinceNanos() {
    return readySinceNanos;
  }

  int attempt() {
    return ++attempts;
  }

  int attempts() {
    return Math.max(1, attempts);
  }

  void labelled(byte[] encoded) {
    labels = encoded;
  }

  void reject(Rejection why) {
    rejection = why;
  }

  byte[] labels() {
    return labels;
  }

  Rejection rejection() {
    return rejection;
  }

  /** Whether what it leaves behind is known. */
  boolean isDone() {
    return labels != null || rejection != null || undecodable != null;
  }

  /** Its partition went to another, or its transaction failed: it will be read again. */
  void drop() {
    dropped = true;
    if (answering != null) {
      answering.cancel().run();
    }
  }

  boolean isDropped() {
    return dropped;
  }
}
