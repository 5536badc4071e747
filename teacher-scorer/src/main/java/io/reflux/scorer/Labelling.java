package io.reflux.scorer;

import io.reflux.model.ModelException;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.scorer.Batcher.Batch;
import io.reflux.scorer.Teacher.Labelled;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the teacher's lanes in batches, and gives each sequence its labels: from the teacher, or,
 * where the same sequence was labelled before, from memory. Belongs to the loop's thread.
 */
final class Labelling {
  private static final Logger log = LoggerFactory.getLogger(Labelling.class);

  /** Tries to label one sequence: with others, and once more alone. */
  private static final int MAX_ATTEMPTS = 2;

  private final Teacher teacher;
  private final Batcher<Work> batcher;
  private final IdsCache<byte[]> known;
  private final Availability availability;
  private final Mailbox mailbox;
  private final ScorerMeters meters;
  private final LongSupplier nanoTime;
  // To be labelled alone, after a batch that failed.
  private final Deque<Work> alone = new ArrayDeque<>();
  private int open;
  private long finishedBytes;

  /**
   * @param cacheBytes most that remembered labels take
   */
  Labelling(
      Teacher teacher,
      Batcher<Work> batcher,
      long cacheBytes,
      Availability availability,
      Mailbox mailbox,
      ScorerMeters meters,
      LongSupplier nanoTime) {
    this.teacher = teacher;
    this.batcher = batcher;
    this.known = new IdsCache<>(cacheBytes, labels -> labels.length);
    this.availability = availability;
    this.mailbox = mailbox;
    this.meters = meters;
    this.nanoTime = nanoTime;
  }

  /** A sequence that is wanted labelled. */
  void add(Work work, LabelTask task) {
    long now = nanoTime.getAsLong();
    work.ready(task, now);
    byte[] labels = isRepeatable(task) ? known.get(key(task)) : null;
    if (labels == null) {
      batcher.add(work, work.kind(), now);
    } else {
      meters.labelsKnown();
      finishedBytes += labels.length;
      work.labelled(labels);
    }
  }

  /**
   * Whether equal sequences may share labels. Draws may not: repeated, they would stand for more
   * evidence than there is. A rollout's own ids seldom come twice.
   */
  private static boolean isRepeatable(LabelTask task) {
    return task.encoding() == LabelEncoding.TOPK;
  }

  /** Encoding and temperature of what is remembered are the same as long as the process lives. */
  private static IdsKey key(LabelTask task) {
    return new IdsKey(task.sequence().tokenIds(), task.sequence().promptLength());
  }

  /** Hands out what is due, as far as lanes are free. */
  void dispatch() {
    while (open < availability.limit(teacher.lanes(), nanoTime.getAsLong())) {
      Optional<Batch<Work>> next = nextAlone().or(() -> batcher.next(nanoTime.getAsLong()));
      if (next.isEmpty()) {
        return;
      }
      dispatch(next.get());
    }
  }

  private Optional<Batch<Work>> nextAlone() {
    if (alone.isEmpty()) {
      return Optional.empty();
    }
    Work work = alone.removeFirst();
    long tokens = work.task().sequence().length();
    return Optional.of(new Batch<>(List.of(work), tokens, tokens));
  }

  private void dispatch(Batch<Work> batch) {
    open++;
    long start = nanoTime.getAsLong();
    batch.items().forEach(Work::labelAttempt);
    var unused =
        teacher
            .label(batch.items().stream().map(Work::task).toList())
            .whenComplete(
                (labels, failure) -> mailbox.post(() -> take(batch, labels, failure, start)));
  }

  private void take(Batch<Work> batch, List<Labelled> labels, Throwable failure, long startNanos) {
    open--;
    Throwable cause = Failures.cause(failure);
    if (cause instanceof TeacherUnavailableException) {
      availability.failed(Failures.oneLine(cause), nanoTime.getAsLong());
      batch.items().forEach(this::putBack);
      return;
    }
    if (cause != null && !(cause instanceof ModelException)) {
      throw Failures.rethrown(cause);
    }
    availability.succeeded();
    if (cause != null) {
      log.warn("a batch of {} failed: {}", batch.items().size(), Failures.oneLine(cause));
      batch.items().forEach(work -> failed(work, Failures.oneLine(cause)));
      return;
    }
    meters.scored(batch, nanoTime.getAsLong() - startNanos);
    for (int i = 0; i < labels.size(); i++) {
      Work work = batch.items().get(i);
      if (labels.get(i).problem() == null) {
        labelled(work, labels.get(i).bytes());
      } else {
        failed(work, labels.get(i).problem());
      }
    }
  }

  private void putBack(Work work) {
    if (!work.isDropped()) {
      work.forgetLabelAttempt();
      batcher.putBack(work, work.kind(), work.readySinceNanos());
    }
  }

  private void labelled(Work work, byte[] labels) {
    if (work.isDropped()) {
      return;
    }
    finishedBytes += labels.length;
    work.labelled(labels);
    if (isRepeatable(work.task())) {
      known.put(key(work.task()), labels);
    }
  }

  /** Whatever was wrong with its batch, it gets a try of its own before it is given up. */
  private void failed(Work work, String problem) {
    if (work.isDropped()) {
      return;
    }
    if (work.labelAttempts() < MAX_ATTEMPTS) {
      alone.add(work);
    } else {
      log.warn("{}: labelling_failed: {}", work.received().coordinates(), problem);
      work.reject(new Rejection("labelling_failed", problem));
    }
  }

  /** Until a batch may be due, should nothing else happen. */
  long nanosUntilDue() {
    return batcher.nanosUntilDue(nanoTime.getAsLong());
  }

  /** Whether a batch could be handed out if one were due. */
  boolean hasFreeLane() {
    return open < availability.limit(teacher.lanes(), nanoTime.getAsLong());
  }

  /** Whether there is nothing to label, and nothing is being labelled. */
  boolean isIdle() {
    return open == 0 && alone.isEmpty() && batcher.size() == 0;
  }

  /** Whether labels of so many bytes were finished since this was last true. */
  boolean takeFinishedBytes(long bytes) {
    if (finishedBytes < bytes) {
      return false;
    }
    finishedBytes = 0;
    return true;
  }

  /** Forgets work that was dropped. */
  void forgetDropped() {
    batcher.removeIf(Work::isDropped);
    alone.removeIf(Work::isDropped);
  }
}
