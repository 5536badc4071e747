package io.reflux.serving.openai;

import java.time.Duration;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** Counts the continuations in flight, and turns away what would wait too long. */
final class Admission {
  private static final double WEIGHT_OF_LATEST = 0.2;
  private static final long LONGEST_RETRY_SECONDS = 60;

  private final int slots;
  private final int limit;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition idle = lock.newCondition();
  private int inFlight;
  private double secondsEach;
  private boolean draining;

  /**
   * @param slots continuations that run at the same time
   * @param queueLimit continuations that may wait for one
   */
  Admission(int slots, int queueLimit) {
    this.slots = slots;
    this.limit = slots + queueLimit;
  }

  /**
   * Takes a request in.
   *
   * @param choices its continuations
   * @throws ApiException with 429 when they would not fit, 503 when the server stops
   */
  void enter(int choices) {
    if (choices > limit) {
      throw ApiException.invalid(
          "n", choices + " continuations in one request (expected: at most " + limit + ")");
    }
    lock.lock();
    try {
      if (draining) {
        throw ApiException.unavailable("draining", "the server stops; ask another one");
      }
      if (inFlight + choices > limit) {
        throw ApiException.overloaded(
            retryAfterSeconds(),
            inFlight + " continuations in flight (expected: at most " + limit + ")");
      }
      inFlight += choices;
    } finally {
      lock.unlock();
    }
  }

  /** Lets a request go that entered with as many choices. */
  void leave(int choices, Duration took) {
    lock.lock();
    try {
      inFlight -= choices;
      double seconds = took.toNanos() / 1e9;
      secondsEach =
          secondsEach == 0 ? seconds : secondsEach + WEIGHT_OF_LATEST * (seconds - secondsEach);
      if (inFlight == 0) {
        idle.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  int inFlight() {
    lock.lock();
    try {
      return inFlight;
    } finally {
      lock.unlock();
    }
  }

  boolean draining() {
    lock.lock();
    try {
      return draining;
    } finally {
      lock.unlock();
    }
  }

  /** Lets nobody in from now on. */
  void refuse() {
    lock.lock();
    try {
      draining = true;
    } finally {
      lock.unlock();
    }
  }

  /** Lets nobody in from now on, and waits for those inside; false when they took too long. */
  boolean drain(Duration patience) throws InterruptedException {
    lock.lock();
    try {
      draining = true;
      long nanos = patience.toNanos();
      while (inFlight > 0) {
        if (nanos <= 0) {
          return false;
        }
        nanos = idle.awaitNanos(nanos);
      }
      return true;
    } finally {
      lock.unlock();
    }
  }

  /** Until about one slot should be free, going by the latest requests. */
  private long retryAfterSeconds() {
    double waiting = Math.max(1, inFlight - slots);
    long seconds = (long) Math.ceil(secondsEach * waiting / slots);
    return Math.max(1, Math.min(LONGEST_RETRY_SECONDS, seconds));
  }
}
