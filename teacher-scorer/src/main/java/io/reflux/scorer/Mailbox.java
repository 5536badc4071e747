package io.reflux.scorer;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/**
 * What other threads hand to the loop's thread: each item is run there, in the order it came, so
 * that everything the loop keeps belongs to one thread.
 */
final class Mailbox {
  private final BlockingQueue<Runnable> items = new LinkedBlockingQueue<>();

  /** From any thread. */
  void post(Runnable item) {
    items.add(item);
  }

  /** Runs what is there; on the loop's thread. */
  void run() {
    Runnable item = items.poll();
    while (item != null) {
      item.run();
      item = items.poll();
    }
  }

  /** As {@link #run}, and waits for a first item. */
  void run(long waitNanos) throws InterruptedException {
    Runnable first = waitNanos > 0 ? items.poll(waitNanos, TimeUnit.NANOSECONDS) : items.poll();
    if (first != null) {
      first.run();
      run();
    }
  }
}
