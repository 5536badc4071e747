package io.reflux.bench.swap;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** Stretches of time, told apart by what went on meanwhile. Safe for use by many threads. */
final class Gaps {
  private static final double NANOS_A_MILLI = 1e6;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition added = lock.newCondition();
  private final Map<Kind, Map<Phase, List<Long>>> lengths = new EnumMap<>(Kind.class);
  private Period now = new Period(Phase.OTHER, Long.MIN_VALUE);
  private Period before = now;

  /** What is timed. */
  enum Kind {
    /** From one token of a stream to the next. */
    TOKEN,
    /** From a request to its first token. */
    FIRST_TOKEN
  }

  /** What goes on. */
  enum Phase {
    /** Nothing but requests. */
    STEADY,
    /** From a pointer's move until the version before is out of memory. */
    SWAP,
    /** What counts as neither, such as the upload of a snapshot. */
    OTHER
  }

  private record Period(Phase phase, long began) {}

  /**
   * What was collected, milliseconds.
   *
   * @param values ascending
   */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  record Lengths(double[] values) {
    int count() {
      return values.length;
    }

    /** The smallest that a share of all are not above; NaN of none. */
    double quantile(double share) {
      if (values.length == 0) {
        return Double.NaN;
      }
      int index = (int) Math.ceil(share * values.length) - 1;
      return values[Math.min(Math.max(index, 0), values.length - 1)];
    }
  }

  /** From now on something else goes on. */
  void enter(Phase phase) {
    lock.lock();
    try {
      before = now;
      now = new Period(phase, System.nanoTime());
    } finally {
      lock.unlock();
    }
  }

  /** Adds a stretch, in nanoseconds of this JVM's clock. */
  void add(Kind kind, long from, long to) {
    lock.lock();
    try {
      Phase phase = phaseOf(from, to);
      if (phase != Phase.OTHER) {
        of(kind, phase).add(to - from);
        added.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** What touches a swap belongs to it; what touches two others belongs to neither. */
  private Phase phaseOf(long from, long to) {
    if (to < now.began()) {
      return from >= before.began() || before.phase() == Phase.SWAP ? before.phase() : Phase.OTHER;
    }
    if (from >= now.began() || now.phase() == Phase.SWAP) {
      return now.phase();
    }
    return before.phase() == Phase.SWAP ? Phase.SWAP : Phase.OTHER;
  }

  /** How many were collected since they were last taken. */
  int count(Kind kind, Phase phase) {
    lock.lock();
    try {
      return of(kind, phase).size();
    } finally {
      lock.unlock();
    }
  }

  /** Waits until there are so many, or for so long. */
  void await(Kind kind, Phase phase, int count, double seconds) throws InterruptedException {
    long left = (long) (seconds * TimeUnit.SECONDS.toNanos(1));
    lock.lock();
    try {
      while (of(kind, phase).size() < count && left > 0) {
        left = added.awaitNanos(left);
      }
    } finally {
      lock.unlock();
    }
  }

  /** Takes what was collected away. */
  Lengths take(Kind kind, Phase phase) {
    lock.lock();
    try {
      List<Long> collected = of(kind, phase);
      double[] values =
          collected.stream().mapToDouble(nanos -> nanos / NANOS_A_MILLI).sorted().toArray();
      collected.clear();
      return new Lengths(values);
    } finally {
      lock.unlock();
    }
  }

  private List<Long> of(Kind kind, Phase phase) {
    return lengths
        .computeIfAbsent(kind, k -> new EnumMap<>(Phase.class))
        .computeIfAbsent(phase, p -> new ArrayList<>());
  }
}
