package io.reflux.scorer;

import io.opentelemetry.context.Context;
import io.reflux.schemas.avro.Message;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Traces;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.scorer.Batcher.Kind;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.TopicPartition;

/**
 * One input record on its way to the one record that it leaves behind. Belongs to the loop's
 * thread; once it is done, others may read it.
 */
final class Work {
  /** Of plain English, roughly. */
  private static final int CHARACTERS_A_TOKEN = 4;

  private final Kind kind;
  private final Received<? extends SpecificRecord> received;
  private final Undecodable undecodable;
  private final Context trace;
  private final long receivedNanos;
  private final int textTokens;
  private Question question;
  private PendingAnswer answering;
  private LabelTask task;
  private long readySinceNanos;
  private byte[] labels;
  private Rejection rejection;
  private int attempts;
  private int labelAttempts;
  private boolean dropped;

  private Work(
      Kind kind,
      Received<? extends SpecificRecord> received,
      Undecodable undecodable,
      Context trace,
      long receivedNanos) {
    this.kind = kind;
    this.received = received;
    this.undecodable = undecodable;
    this.trace = trace;
    this.receivedNanos = receivedNanos;
    this.textTokens = received == null ? 0 : characters(received.value()) / CHARACTERS_A_TOKEN;
  }

  private static int characters(SpecificRecord value) {
    if (!(value instanceof MirroredRequest request)) {
      return 0;
    }
    int characters = length(request.getPrompt()) + length(request.getResponse());
    for (Message message : request.getMessages()) {
      characters += length(message.getContent());
    }
    return characters;
  }

  private static int length(String text) {
    return text == null ? 0 : text.length();
  }

  /**
   * @param group that the record was read for, as Kafka knows it
   */
  static Work of(
      Kind kind, Received<? extends SpecificRecord> received, String group, long nowNanos) {
    return new Work(kind, received, null, Traces.startProcessing(received, group), nowNanos);
  }

  static Work unreadable(Kind kind, Undecodable undecodable, long nowNanos) {
    return new Work(kind, null, undecodable, Context.root(), nowNanos);
  }

  Kind kind() {
    return kind;
  }

  /** Null when the record could not be read. */
  Received<? extends SpecificRecord> received() {
    return received;
  }

  /** Null when the record could be read. */
  Undecodable undecodable() {
    return undecodable;
  }

  TopicPartition partition() {
    return received != null
        ? received.topicPartition()
        : new TopicPartition(undecodable.topic(), undecodable.partition());
  }

  /** What is written because of it is written in this. */
  Context trace() {
    return trace;
  }

  long receivedNanos() {
    return receivedNanos;
  }

  /** Asks for an answer first; not yet under way. */
  void asks(Question asked) {
    question = asked;
  }

  Question question() {
    return question;
  }

  void answering(PendingAnswer pending) {
    answering = pending;
  }

  void ready(LabelTask toLabel, long nowNanos) {
    answering = null;
    task = toLabel;
    readySinceNanos = nowNanos;
  }

  LabelTask task() {
    return task;
  }

  long readySinceNanos() {
    return readySinceNanos;
  }

  /** Tokens that it takes up; a text that was cut still takes up all of itself. */
  int tokens() {
    int known = 0;
    if (task != null) {
      known = task.sequence().length();
    } else if (question != null) {
      known = question.promptIds().length + question.maxTokens();
    }
    return Math.max(known, textTokens);
  }

  /** One more try to have it answered; returns the tries so far. */
  int attempt() {
    return ++attempts;
  }

  /** One more try to label it. */
  void labelAttempt() {
    labelAttempts++;
    attempts++;
  }

  /** A try that found nobody to try with does not count. */
  void forgetLabelAttempt() {
    labelAttempts--;
    attempts--;
  }

  void forgetAttempt() {
    attempts--;
  }

  int labelAttempts() {
    return labelAttempts;
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

  /** What it leaves behind is committed. */
  void committed() {
    if (labels != null) {
      Traces.end(trace);
    } else {
      Traces.fail(trace, reason());
    }
  }

  /** Short and countable: why there are no labels. */
  String reason() {
    return rejection == null ? undecodable.reason() : rejection.reason();
  }

  /** Its partition went to another, or its transaction failed: it will be read again. */
  void drop() {
    dropped = true;
    Traces.fail(trace, "dropped");
    if (answering != null) {
      answering.cancel().run();
    }
  }

  boolean isDropped() {
    return dropped;
  }
}
