package io.reflux.producers;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;

/**
 * Calls a step at a steady rate on a thread of its own. Steps have due times on one grid, so that a
 * late one does not lower the rate; after a stall of more than a second the grid starts anew rather
 * than firing all that was missed.
 */
final class PacedFeeder implements AutoCloseable {
  private static final long LONGEST_CATCH_UP_NANOS = TimeUnit.SECONDS.toNanos(1);

  private final double perSecond;
  private final BooleanSupplier step;
  private final Thread thread;
  private final CompletableFuture<Void> done = new CompletableFuture<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition stop = lock.newCondition();
  private boolean stopped;

  /**
   * @param perSecond steps a second, above 0; infinity for no pause
   * @param step returns false when there is no more to do
   */
  PacedFeeder(String name, double perSecond, BooleanSupplier step) {
    if (!(perSecond > 0)) {
      throw new IllegalArgumentException("rate: " + perSecond + " (expected: above 0)");
    }
    this.perSecond = perSecond;
    this.step = step;
    this.thread = new Thread(this::run, name);
    thread.setDaemon(true);
  }

  void start() {
    thread.start();
  }

  /**
   * Completes when the steps are over or the feeder is closed; exceptionally when a step failed.
   */
  CompletionStage<Void> done() {
    return done;
  }

  /** Waits for the step that runs; no other follows. */
  @Override
  public void close() {
    lock.lock();
    try {
      stopped = true;
      stop.signalAll();
    } finally {
      lock.unlock();
    }
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    done.complete(null);
  }

  private void run() {
    try {
      long origin = System.nanoTime();
      long steps = 0;
      while (awaitDue(origin + (long) (steps * 1e9 / perSecond))) {
        if (!step.getAsBoolean()) {
          break;
        }
        steps++;
        if (System.nanoTime() - (origin + (long) (steps * 1e9 / perSecond))
            > LONGEST_CATCH_UP_NANOS) {
          origin = System.nanoTime();
          steps = 0;
        }
      }
      done.complete(null);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      done.completeExceptionally(e);
    } catch (RuntimeException | Error e) {
      done.completeExceptionally(e);
    }
  }

  /** Whether to go on. */
  private boolean awaitDue(long due) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      while (!stopped) {
        long nanos = due - System.nanoTime();
        if (nanos <= 0) {
          return true;
        }
        stop.awaitNanos(nanos);
      }
      return false;
    } finally {
      lock.unlock();
    }
  }
}
