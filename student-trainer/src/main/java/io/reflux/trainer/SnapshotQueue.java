package io.reflux.trainer;

import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotException;
import io.reflux.trainer.SnapshotMaker.Candidate;
import io.reflux.trainer.SnapshotMaker.Outcome;
import io.reflux.trainer.watch.Happening;
import io.reflux.trainer.watch.RunWatch;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes one snapshot at a time beside training, and tells how it went. All methods belong to the
 * training thread.
 */
final class SnapshotQueue implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(SnapshotQueue.class);

  private final SnapshotMaker maker;
  private final TrainerMeters meters;
  private final RunWatch watch;
  private final Consumer<String> news;
  private final ExecutorService thread =
      Executors.newSingleThreadExecutor(task -> new Thread(task, "reflux-snapshots"));
  private Optional<Future<Outcome>> underWay = Optional.empty();
  private long stepUnderWay;
  private Optional<Outcome> last = Optional.empty();

  /**
   * @param maker owned from now on
   * @param watch told what became of each
   * @param news told the same, as one line
   */
  SnapshotQueue(SnapshotMaker maker, TrainerMeters meters, RunWatch watch, Consumer<String> news) {
    this.maker = maker;
    this.meters = meters;
    this.watch = watch;
    this.news = news;
  }

  /**
   * Takes up what the channel serves, or publishes the student as it is if there is nothing:
   * serving always has something.
   *
   * @throws RefluxException if neither was possible
   */
  void publishFirst(Candidate candidate) {
    try {
      if (!maker.takeUpPublished()) {
        tell(maker.make(candidate));
      }
    } catch (SnapshotException e) {
      throw new RefluxException("First snapshot: " + e.getMessage(), e);
    }
  }

  /** What became of the latest one that was made; empty before the first. */
  Optional<Outcome> last() {
    return last;
  }

  boolean isBusy() {
    return underWay.isPresent();
  }

  /** Begins another one; none may be under way. */
  void make(Candidate candidate) {
    stepUnderWay = candidate.step();
    underWay = Optional.of(thread.submit(() -> maker.make(candidate)));
  }

  /**
   * Tells of the one under way if it has ended.
   *
   * @throws SnapshotException if another trainer has taken over
   */
  void settle() {
    if (underWay.isPresent() && underWay.get().isDone()) {
      finish();
    }
  }

  /**
   * Waits for the one under way, and tells of it.
   *
   * @throws SnapshotException if another trainer has taken over
   */
  void finish() {
    boolean interrupted = false;
    while (underWay.isPresent()) {
      Future<Outcome> future = underWay.get();
      try {
        Outcome outcome = future.get();
        underWay = Optional.empty();
        tell(outcome);
      } catch (InterruptedException e) {
        interrupted = true;
      } catch (ExecutionException e) {
        underWay = Optional.empty();
        failed(e.getCause());
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  @Override
  public void close() {
    thread.shutdown();
    try {
      finish();
    } finally {
      maker.close();
    }
  }

  private void failed(Throwable cause) {
    meters.snapshotFailures().increment();
    if (cause instanceof SnapshotException failure
        && failure.kind() == SnapshotException.Kind.FENCED) {
      throw failure;
    }
    log.error("Snapshot not published, trying again with the next: {}", cause.getMessage(), cause);
    watch.happened(
        Happening.Kind.SNAPSHOT_FAILED, stepUnderWay, String.valueOf(cause.getMessage()));
  }

  private void tell(Outcome outcome) {
    last = Optional.of(outcome);
    String line = outcome.line();
    log.info("{}", line);
    if (outcome.version().isPresent()) {
      meters.published(outcome.version().get());
      watch.happened(Happening.Kind.PUBLISHED, outcome.step(), line);
    } else {
      meters.heldBack(outcome.verdict().objections().get(0).reason());
      watch.happened(Happening.Kind.HELD_BACK, outcome.step(), line);
    }
    news.accept(line);
  }
}
