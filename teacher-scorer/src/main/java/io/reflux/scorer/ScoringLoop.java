package io.reflux.scorer;

import io.reflux.model.ModelException;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.scorer.Intake.Finished;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Consume, answer, label, produce, on one thread: takes records in while there is room, has prompts
 * answered in the background, labels what is ready in batches of like length with requests and
 * rollouts taking turns, and commits finished work in the order it came.
 */
final class ScoringLoop {
  private static final Logger log = LoggerFactory.getLogger(ScoringLoop.class);

  /** Tries to answer or label one record before it becomes a dead letter. */
  private static final int MAX_ATTEMPTS = 2;

  private static final Duration IDLE_POLL = Duration.ofMillis(20);
  private static final long BUSY_WAIT_MILLIS = 5;

  private final Teacher teacher;
  private final Intake<MirroredRequest> requests;
  private final Intake<Rollout> rollouts;
  private final LabelTransactions transactions;
  private final ScorerMeters meters;
  private final AnswerCache answers;
  private final int batchTokens;
  private final long batchDelayNanos;
  private final Deque<Work> readyRequests = new ArrayDeque<>();
  private final Deque<Work> readyRollouts = new ArrayDeque<>();
  private final LinkedBlockingQueue<Answered> answered = new LinkedBlockingQueue<>();
  private int answering;

  /** An answer, or why there is none. */
  @SuppressWarnings("ArrayRecordComponent") // compared by nobody
  private record Answered(Work work, int[] tokenIds, Throwable failure) {}

  ScoringLoop(
      Teacher teacher,
      Intake<MirroredRequest> requests,
      Intake<Rollout> rollouts,
      LabelTransactions transactions,
      ScorerMeters meters,
      ScorerConfig config) {
    this.teacher = teacher;
    this.requests = requests;
    this.rollouts = rollouts;
    this.transactions = transactions;
    this.meters = meters;
    this.answers = new AnswerCache(config.cacheTokens());
    this.batchTokens = config.batchTokens();
    this.batchDelayNanos = config.batchDelay().toNanos();
  }

  /**
   * One turn.
   *
   * @param takeIn whether to take new records in, or only go on with those under way
   * @throws KafkaException when a transaction or a poll failed: call {@link #startOver}
   * @throws RegistryException when the registry does not answer: call {@link #startOver}, later
   */
  void turn(boolean takeIn) throws InterruptedException {
    if (takeIn) {
      Duration wait = isEmpty() ? IDLE_POLL : Duration.ZERO;
      List<Work> fresh = requests.poll(wait);
      meters.received(fresh.size());
      fresh.forEach(this::begin);
      rollouts.poll(wait).forEach(this::begin);
    }
    collectAnswers(0);
    if (isBatchDue()) {
      label(nextRound());
    } else if (readyCount() > 0) {
      // Let the batch fill up.
      collectAnswers(1);
    } else if (answering > 0) {
      collectAnswers(BUSY_WAIT_MILLIS);
    }
    commitFinished();
    meters.tick(requests, rollouts, teacher.tokensGenerated());
  }

  /** Whether nothing is under way. */
  boolean isEmpty() {
    return requests.size() == 0 && rollouts.size() == 0;
  }

  /** Forgets everything under way, and reads it again from what was committed. */
  void startOver() {
    readyRequests.clear();
    readyRollouts.clear();
    transactions.reopen();
    requests.rewind();
    rollouts.rewind();
  }

  private void begin(Work work) {
    if (work.isDone()) {
      return;
    }
    try {
      SpecificRecord value = work.received().value();
      if (value instanceof Rollout rollout) {
        ready(work, teacher.sequence(rollout));
      } else if (((MirroredRequest) value).getResponse() != null) {
        ready(work, teacher.sequence((MirroredRequest) value));
      } else {
        answer(work, teacher.question((MirroredRequest) value));
      }
    } catch (RejectedException e) {
      reject(work, e.rejection());
    }
  }

  private void answer(Work work, Question question) throws RejectedException {
    if (teacher.isGreedy()) {
      int[] known = answers.get(question);
      if (known != null) {
        meters.answered(true);
        ready(work, teacher.sequence(question, known));
        return;
      }
    }
    work.attempt();
    String id = ((MirroredRequest) work.received().value()).getRequestId();
    PendingAnswer pending;
    try {
      pending = teacher.answer(question, id.hashCode());
    } catch (ModelException e) {
      throw new RejectedException("bad_prompt", e.getMessage());
    }
    work.answering(question, pending);
    answering++;
    var unused =
        pending
            .tokenIds()
            .whenComplete((ids, failure) -> answered.add(new Answered(work, ids, cause(failure))));
  }

  /** Takes answers that are there, and waits for a first one if need be. */
  private void collectAnswers(long waitMillis) throws InterruptedException {
    Answered next =
        waitMillis > 0 ? answered.poll(waitMillis, TimeUnit.MILLISECONDS) : answered.poll();
    while (next != null) {
      answering--;
      if (!next.work().isDropped()) {
        take(next);
      }
      next = answered.poll();
    }
  }

  private void take(Answered answer) {
    Work work = answer.work();
    Question question = work.question();
    try {
      if (answer.failure() instanceof RejectedExecutionException) {
        throw new IllegalStateException("the teacher was closed", answer.failure());
      }
      if (answer.failure() != null && work.attempts() < MAX_ATTEMPTS) {
        log.warn(
            "{}: answering failed, tried again: {}",
            work.received().coordinates(),
            answer.failure().toString());
        answer(work, question);
      } else if (answer.failure() != null) {
        throw new RejectedException("answer_failed", oneLine(answer.failure()));
      } else {
        int[] ids = answer.tokenIds();
        meters.answered(false);
        if (teacher.isGreedy()) {
          answers.put(question, ids);
        }
        ready(work, teacher.sequence(question, ids));
      }
    } catch (RejectedException e) {
      reject(work, e.rejection());
    }
  }

  private void ready(Work work, Sequence sequence) {
    work.ready(sequence, System.nanoTime());
    readyQueue(work).add(work);
  }

  private Deque<Work> readyQueue(Work work) {
    return work.intake() == rollouts ? readyRollouts : readyRequests;
  }

  private static void reject(Work work, Rejection why) {
    log.warn("{}: {}: {}", work.received().coordinates(), why.reason(), why.message());
    work.reject(why);
  }

  private int readyCount() {
    return readyRequests.size() + readyRollouts.size();
  }

  /** A batch is full, or its first sequence has waited long enough, or nothing else can join it. */
  private boolean isBatchDue() {
    if (readyCount() == 0) {
      return false;
    }
    long now = System.nanoTime();
    return hasWaited(readyRequests, now)
        || hasWaited(readyRollouts, now)
        || tokens(readyRequests) + tokens(readyRollouts) >= batchTokens;
  }

  private boolean hasWaited(Deque<Work> queue, long now) {
    return !queue.isEmpty() && now - queue.peek().readySinceNanos() >= batchDelayNanos;
  }

  private static long tokens(Deque<Work> queue) {
    return queue.stream().mapToLong(work -> work.sequence().length()).sum();
  }

  /** The oldest of both kinds in turn, so that neither waits for the other's backlog. */
  private List<Work> nextRound() {
    List<Work> round = new ArrayList<>();
    long tokens = 0;
    boolean rolloutsTurn = false;
    while (readyCount() > 0) {
      Deque<Work> queue = rolloutsTurn ? readyRollouts : readyRequests;
      rolloutsTurn = !rolloutsTurn;
      Work work = queue.poll();
      if (work == null || work.isDropped()) {
        continue;
      }
      round.add(work);
      tokens += work.sequence().length();
      if (tokens >= batchTokens) {
        break;
      }
    }
    return round;
  }

  private void label(List<Work> round) {
    BatchPlan<Work> plan = BatchPlan.of(round, work -> work.sequence().length(), batchTokens);
    for (List<Work> batch : plan.batches()) {
      label(batch, MAX_ATTEMPTS);
    }
    meters.scored(plan);
  }

  /** Labels a batch; if the model cannot, each sequence alone, so that one spoils no other. */
  private void label(List<Work> batch, int attemptsLeft) {
    batch.forEach(Work::attempt);
    try {
      List<byte[]> labels = teacher.label(batch.stream().map(Work::sequence).toList());
      for (int i = 0; i < batch.size(); i++) {
        batch.get(i).labelled(labels.get(i));
      }
    } catch (CompletionException | ModelException | IllegalArgumentException e) {
      if (attemptsLeft > 1) {
        log.warn("a batch of {} failed, tried one by one: {}", batch.size(), e.getMessage());
        batch.forEach(work -> label(List.of(work), attemptsLeft - 1));
      } else {
        batch.forEach(work -> reject(work, new Rejection("labelling_failed", oneLine(cause(e)))));
      }
    }
  }

  private void commitFinished() {
    Finished doneRequests = requests.finished();
    Finished doneRollouts = rollouts.finished();
    if (doneRequests.works().isEmpty() && doneRollouts.works().isEmpty()) {
      return;
    }
    try {
      transactions.write(doneRequests, requests, doneRollouts, rollouts);
    } catch (KafkaException | RegistryException e) {
      meters.transaction(false);
      throw e;
    }
    meters.transaction(true);
    doneRequests.works().forEach(work -> meters.committed(work, false));
    doneRollouts.works().forEach(work -> meters.committed(work, true));
    requests.committed(doneRequests);
    rollouts.committed(doneRollouts);
  }

  private static Throwable cause(Throwable error) {
    return error instanceof CompletionException && error.getCause() != null
        ? error.getCause()
        : error;
  }

  private static String oneLine(Throwable error) {
    String message = error.getMessage() == null ? error.toString() : error.getMessage();
    return message.lines().findFirst().orElse(message);
  }
}
