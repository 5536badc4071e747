package io.reflux.scorer;

import io.reflux.model.runtime.SamplingOptions;
import io.reflux.schemas.labels.LabelBlock;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;

/** A teacher that can be asked: in this process, or on a server. Safe for several threads. */
interface TeacherBackend extends AutoCloseable {
  /** SHA-256 in lower-case hex of what makes this teacher's labels its own. */
  String fingerprint();

  /** Batches that may be under way at once; more would only wait inside. */
  int lanes();

  /** Answers that may be under way at once; more would only wait inside. */
  int openAnswers();

  /**
   * Labels of a batch, one block a task, in order. The future fails with {@link
   * io.reflux.model.ModelException} when this batch is bad: it is then tried one by one, and the
   * bad one becomes a dead letter; or with {@link TeacherUnavailableException}, which is nobody's
   * fault: it is tried again later. Dependent stages may run on the thread that computes.
   */
  CompletableFuture<List<LabelBlock>> label(List<LabelTask> batch);

  /**
   * Starts an answer. Fails as {@link #label} does; a prompt that cannot be taken may also throw
   * {@link io.reflux.model.ModelException} at once.
   *
   * @param stopIds a token of these ends the answer, and is its last
   */
  PendingAnswer answer(Question question, SamplingOptions sampling, Set<Integer> stopIds);

  /** Tokens of all answers so far. */
  long tokensGenerated();

  /** Time spent on labels so far, in nanoseconds, by provider or device. */
  Map<String, Long> busyNanos();

  /** Tokens labelled or read as context so far, by provider or device as {@link #busyNanos}. */
  Map<String, Long> tokensScored();

  @Override
  void close();
}
