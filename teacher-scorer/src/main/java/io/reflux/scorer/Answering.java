package io.reflux.scorer;

import io.reflux.model.ModelException;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.kafka.Received;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Has prompts answered by the teacher, as many at a time as it writes, and remembers answers to
 * prompts that may come again. Belongs to the loop's thread.
 */
final class Answering {
  private static final Logger log = LoggerFactory.getLogger(Answering.class);

  /** Tries to answer one prompt before it becomes a dead letter. */
  private static final int MAX_ATTEMPTS = 2;

  /** Who is told of an answer, or of why there is none. */
  interface Listener {
    void answered(Work work, int[] answer);

    void rejected(Work work, Rejection why);
  }

  private final Teacher teacher;
  private final IdsCache<int[]> known;
  private final Availability availability;
  private final Mailbox mailbox;
  private final ScorerMeters meters;
  private final Listener listener;
  private final LongSupplier nanoTime;
  private final Deque<Work> waiting = new ArrayDeque<>();
  private int open;

  /**
   * @param cacheBytes most that remembered answers take
   */
  Answering(
      Teacher teacher,
      long cacheBytes,
      Availability availability,
      Mailbox mailbox,
      ScorerMeters meters,
      LongSupplier nanoTime,
      Listener listener) {
    this.teacher = teacher;
    this.known = new IdsCache<>(cacheBytes, answer -> 4L * answer.length);
    this.availability = availability;
    this.mailbox = mailbox;
    this.meters = meters;
    this.nanoTime = nanoTime;
    this.listener = listener;
  }

  /** Work that has a question. */
  void add(Work work) {
    waiting.add(work);
  }

  /** Submits as many questions as the teacher may have open. */
  void submit() {
    while (!waiting.isEmpty()
        && open < availability.limit(teacher.openAnswers(), nanoTime.getAsLong())) {
      Work work = waiting.removeFirst();
      // Known by now, perhaps, though not when it came in.
      int[] answer = teacher.isGreedy() ? known.get(key(work.question())) : null;
      if (answer == null) {
        submit(work);
      } else {
        meters.answered(true);
        listener.answered(work, answer);
      }
    }
  }

  private void submit(Work work) {
    work.attempt();
    PendingAnswer pending;
    try {
      pending = teacher.answer(work.question(), seed(work.received()));
    } catch (ModelException e) {
      listener.rejected(work, new Rejection("bad_prompt", Failures.oneLine(e)));
      return;
    } catch (TeacherUnavailableException e) {
      unavailable(work, e);
      return;
    }
    work.answering(pending);
    open++;
    var unused =
        pending
            .tokenIds()
            .whenComplete((ids, failure) -> mailbox.post(() -> take(work, ids, failure)));
  }

  private static long seed(Received<?> received) {
    return Seeds.of("answer", ((MirroredRequest) received.value()).getRequestId());
  }

  private void take(Work work, int[] answer, Throwable failure) {
    open--;
    Throwable cause = Failures.cause(failure);
    if (cause instanceof TeacherUnavailableException) {
      unavailable(work, cause);
      return;
    }
    availability.succeeded();
    if (work.isDropped()) {
      return;
    }
    if (cause == null) {
      meters.answered(false);
      if (teacher.isGreedy()) {
        known.put(key(work.question()), answer);
      }
      listener.answered(work, answer);
    } else if (!(cause instanceof ModelException)) {
      throw Failures.rethrown(cause);
    } else if (work.attempts() < MAX_ATTEMPTS) {
      log.warn(
          "{}: answering failed, tried again: {}",
          work.received().coordinates(),
          Failures.oneLine(cause));
      waiting.addFirst(work);
    } else {
      listener.rejected(work, new Rejection("answer_failed", Failures.oneLine(cause)));
    }
  }

  private void unavailable(Work work, Throwable cause) {
    availability.failed(Failures.oneLine(cause), nanoTime.getAsLong());
    if (!work.isDropped()) {
      work.forgetAttempt();
      waiting.addFirst(work);
    }
  }

  private static IdsKey key(Question question) {
    return new IdsKey(question.promptIds(), question.maxTokens());
  }

  /** Whether there is nothing to answer, and nothing is being answered. */
  boolean isIdle() {
    return open == 0 && waiting.isEmpty();
  }

  /** Forgets work that was dropped. */
  void forgetDropped() {
    waiting.removeIf(Work::isDropped);
  }
}
