package io.reflux.scorer;

import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.scorer.Intake.Finished;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.LongSupplier;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.common.KafkaException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Consume, answer, label, produce. This thread takes records in while there is room, makes
 * sequences of them, hands batches out and takes results back; lanes compute, others encode and
 * commit meanwhile. Finished work is committed in the order it came, in a transaction at a time,
 * and nothing is polled while one is open: partitions cannot move under it.
 */
final class ScoringLoop {
  private static final Logger log = LoggerFactory.getLogger(ScoringLoop.class);

  private static final Duration IDLE_POLL = Duration.ofMillis(20);
  private static final long BUSY_WAIT_NANOS = Duration.ofMillis(5).toNanos();
  private static final long FULL_WAIT_NANOS = Duration.ofMillis(50).toNanos();

  /** Labels that are committed before the interval is over. */
  private static final long COMMIT_BYTES = 4 << 20;

  private final Teacher teacher;
  private final Intake<MirroredRequest> requests;
  private final Intake<Rollout> rollouts;
  private final LabelTransactions transactions;
  private final ScorerMeters meters;
  private final LongSupplier nanoTime;
  private final Mailbox mailbox = new Mailbox();
  private final Availability availability = new Availability(new Backoff(new SplittableRandom()));
  private final Answering answering;
  private final Labelling labelling;
  private final long commitIntervalNanos;
  private CompletableFuture<Void> committing;
  private long committedNanos;
  private boolean gettingOn;

  ScoringLoop(
      Teacher teacher,
      Intake<MirroredRequest> requests,
      Intake<Rollout> rollouts,
      LabelTransactions transactions,
      ScorerMeters meters,
      ScorerConfig config,
      LongSupplier nanoTime) {
    this.teacher = teacher;
    this.requests = requests;
    this.rollouts = rollouts;
    this.transactions = transactions;
    this.meters = meters;
    this.nanoTime = nanoTime;
    this.commitIntervalNanos = config.commitInterval().toNanos();
    this.committedNanos = nanoTime.getAsLong() - commitIntervalNanos;
    this.labelling =
        new Labelling(
            teacher,
            new Batcher<>(
                work -> work.task().sequence().length(), config.batchTokens(), config.batchDelay()),
            config.cacheBytes() / 2,
            availability,
            mailbox,
            meters,
            nanoTime);
    this.answering =
        new Answering(
            teacher,
            config.cacheBytes() / 2,
            availability,
            mailbox,
            meters,
            nanoTime,
            new Answering.Listener() {
              @Override
              public void answered(Work work, int[] answer) {
                ScoringLoop.this.answered(work, answer);
              }

              @Override
              public void rejected(Work work, Rejection why) {
                reject(work, why);
              }
            });
  }

  /**
   * One turn.
   *
   * @param takeIn whether to take new records in, or only go on with those under way
   * @throws KafkaException when a transaction or a poll failed: call {@link #startOver}
   * @throws RegistryException when the registry does not answer: call {@link #startOver}, later
   */
  void turn(boolean takeIn) throws InterruptedException {
    boolean fresh = takeIn && committing == null && takeIn();
    mailbox.run();
    answering.submit();
    labelling.dispatch();
    commitFinished();
    meters.tick(requests, rollouts, teacher.tokensGenerated());
    if (!fresh) {
      mailbox.run(waitNanos());
    }
  }

  /** Returns whether anything came. */
  private boolean takeIn() {
    Duration wait = isEmpty() ? IDLE_POLL : Duration.ZERO;
    List<Work> freshRequests = requests.poll(wait);
    freshRequests.forEach(this::begin);
    meters.received(freshRequests.size());
    List<Work> freshRollouts = rollouts.poll(freshRequests.isEmpty() ? wait : Duration.ZERO);
    freshRollouts.forEach(this::begin);
    boolean requestsMoved = requests.takePartitionsMoved();
    boolean rolloutsMoved = rollouts.takePartitionsMoved();
    if (requestsMoved || rolloutsMoved) {
      forgetDropped();
    }
    return !freshRequests.isEmpty() || !freshRollouts.isEmpty();
  }

  private void forgetDropped() {
    answering.forgetDropped();
    labelling.forgetDropped();
  }

  /** Until there may be something to do that no mail tells of. */
  private long waitNanos() {
    if (isEmpty() && committing == null) {
      return 0;
    }
    boolean canTakeIn = committing == null && !(requests.isFull() && rollouts.isFull());
    long wait = canTakeIn ? BUSY_WAIT_NANOS : FULL_WAIT_NANOS;
    if (labelling.hasFreeLane()) {
      wait = Math.min(wait, labelling.nanosUntilDue());
    }
    if (committing == null && hasFinished()) {
      wait = Math.min(wait, committedNanos + commitIntervalNanos - nanoTime.getAsLong());
    }
    return wait;
  }

  /** Whether nothing is under way. */
  boolean isEmpty() {
    return committing == null && requests.size() == 0 && rollouts.size() == 0;
  }

  /** Whether there was nothing to do, or some of it was committed, since it started over. */
  boolean isGettingOn() {
    return gettingOn || isEmpty();
  }

  /** Why the teacher cannot be asked for now, if so. */
  Optional<String> waitingForTeacher() {
    return availability.problem();
  }

  /** Whether the group has taken this instance in, for both topics. */
  boolean isInGroup() {
    return requests.isInGroup() && rollouts.isInGroup();
  }

  /** Forgets everything under way, and reads it again from what was committed. */
  void startOver() {
    gettingOn = false;
    awaitTransaction();
    transactions.reopen();
    requests.rewind();
    rollouts.rewind();
    forgetDropped();
  }

  /** Whatever became of it: the offsets that are read afterwards tell. */
  private void awaitTransaction() {
    if (committing != null) {
      try {
        committing.join();
      } catch (CompletionException | CancellationException e) {
        log.debug("a transaction ended with {}", e.toString());
      }
      committing = null;
      // Its mail must not be taken for that of a later one.
      mailbox.run();
    }
  }

  private void begin(Work work) {
    if (work.isDone()) {
      return;
    }
    try {
      SpecificRecord value = work.received().value();
      if (value instanceof Rollout rollout) {
        labelling.add(work, teacher.task(rollout, teacher.sequence(rollout)));
        return;
      }
      MirroredRequest request = (MirroredRequest) value;
      if (request.getResponse() == null) {
        work.asks(teacher.question(request));
        answering.add(work);
      } else {
        labelling.add(work, teacher.task(request, teacher.sequence(request)));
      }
    } catch (RejectedException e) {
      reject(work, e.rejection());
    }
  }

  private void answered(Work work, int[] answer) {
    try {
      Sequence sequence = teacher.sequence(work.question(), answer);
      labelling.add(work, teacher.task((MirroredRequest) work.received().value(), sequence));
    } catch (RejectedException e) {
      reject(work, e.rejection());
    }
  }

  private static void reject(Work work, Rejection why) {
    log.warn("{}: {}: {}", work.received().coordinates(), why.reason(), why.message());
    work.reject(why);
  }

  private boolean hasFinished() {
    return requests.hasFinished() || rollouts.hasFinished();
  }

  private void commitFinished() {
    if (committing != null || !hasFinished() || !isCommitDue()) {
      return;
    }
    Finished doneRequests = requests.takeFinished();
    Finished doneRollouts = rollouts.takeFinished();
    long start = nanoTime.getAsLong();
    committedNanos = start;
    CompletableFuture<Void> transaction = transactions.write(doneRequests, doneRollouts);
    committing = transaction;
    var unused =
        transaction.whenComplete(
            (done, failure) ->
                mailbox.post(
                    () -> {
                      if (committing == transaction) {
                        committing = null;
                        committed(doneRequests, doneRollouts, failure, start);
                      }
                    }));
  }

  private boolean isCommitDue() {
    return nanoTime.getAsLong() - committedNanos >= commitIntervalNanos
        || labelling.takeFinishedBytes(COMMIT_BYTES)
        // Whatever was taken in is done: there is nothing to gather.
        || (labelling.isIdle() && answering.isIdle());
  }

  private void committed(
      Finished doneRequests, Finished doneRollouts, Throwable failure, long startNanos) {
    meters.transaction(failure == null, nanoTime.getAsLong() - startNanos);
    if (failure != null) {
      throw Failures.rethrown(Failures.cause(failure));
    }
    gettingOn = true;
    doneRequests.works().forEach(meters::committed);
    doneRollouts.works().forEach(meters::committed);
  }
}
