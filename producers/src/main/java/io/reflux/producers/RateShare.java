package io.reflux.producers;

import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;

/**
 * The share that keeps a stream at a rate: learned from what came, second by second. Within one
 * second no more than twice the rate is let through, whatever came before.
 */
final class RateShare {
  private static final long WINDOW_NANOS = 1_000_000_000L;

  /** Weight of the last second against all before it. */
  private static final double NEWEST = 0.5;

  private static final double BURST = 2;

  private final double perSecond;
  private final LongSupplier nanoClock;
  private final AtomicLong offered = new AtomicLong();
  private final AtomicLong taken = new AtomicLong();
  private final AtomicLong windowStart;
  private volatile double rate;
  private volatile double share = 1;

  RateShare(double perSecond, LongSupplier nanoClock) {
    this.perSecond = perSecond;
    this.nanoClock = nanoClock;
    this.windowStart = new AtomicLong(nanoClock.getAsLong());
  }

  /** Counts one that would be taken if there were no limit, and returns the share at present. */
  double offer() {
    offered.incrementAndGet();
    long now = nanoClock.getAsLong();
    long start = windowStart.get();
    if (now - start >= WINDOW_NANOS && windowStart.compareAndSet(start, now)) {
      double came = offered.getAndSet(0) / ((now - start) / (double) WINDOW_NANOS);
      taken.set(0);
      // A rise counts at once, or a burst would have its way for seconds.
      rate = Math.max(came, rate + NEWEST * (came - rate));
      share = rate <= perSecond ? 1 : perSecond / rate;
    }
    return share;
  }

  /** Whether one more may be taken in this second. */
  boolean take() {
    return taken.incrementAndGet() <= Math.max(1, BURST * perSecond);
  }
}
