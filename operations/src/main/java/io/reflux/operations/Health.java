package io.reflux.operations;

import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;

/**
 * What a service says of itself: which of its parts it still waits for, and whether it has failed
 * for good. Safe for use by many threads.
 */
public final class Health {
  private final Map<String, String> waiting = new ConcurrentSkipListMap<>();
  private volatile String failure;

  private Health() {}

  /** A service that is not ready before each of these parts is. */
  public static Health waitingFor(String... parts) {
    Health health = new Health();
    for (String part : parts) {
      health.notReady(part, "starting");
    }
    return health;
  }

  /** The part is there, or there again. */
  public void ready(String part) {
    waiting.remove(part);
  }

  /**
   * The part is not there for now.
   *
   * @param part such as {@code teacher} or {@code kafka}
   * @param why one line for people
   */
  public void notReady(String part, String why) {
    waiting.put(part, String.valueOf(why));
  }

  /**
   * The service has failed for good, and only a restart helps.
   *
   * @param why one line for people
   */
  public void failed(String why) {
    failure = String.valueOf(why);
  }

  /** Whether it does its work. */
  public boolean isReady() {
    return failure == null && waiting.isEmpty();
  }

  /** What is not ready and why, by part. */
  public Map<String, String> waiting() {
    return new TreeMap<>(waiting);
  }

  /** Why it has failed for good, if it has. */
  public Optional<String> failure() {
    return Optional.ofNullable(failure);
  }
}
