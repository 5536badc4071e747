package io.reflux.scorer;

import java.util.Optional;

/**
 * Whether the teacher can be asked for now. After a failure nothing is asked for a while, then one
 * thing at a time until one goes well. Belongs to the loop's thread.
 */
final class Availability {
  private final Backoff backoff;
  private String problem;
  private long resumeNanos;

  Availability(Backoff backoff) {
    this.backoff = backoff;
  }

  /** Things that may be asked at once, of so many normally. */
  int limit(int normally, long nowNanos) {
    if (problem == null) {
      return normally;
    }
    return nowNanos - resumeNanos < 0 ? 0 : Math.min(1, normally);
  }

  /** Something asked found the teacher away. */
  void failed(String message, long nowNanos) {
    // What was asked together fails together, and counts as one failure.
    if (problem == null || nowNanos - resumeNanos >= 0) {
      resumeNanos = nowNanos + backoff.next().toNanos();
    }
    problem = message;
  }

  /** Something asked went well, or at least met the teacher. */
  void succeeded() {
    problem = null;
    backoff.reset();
  }

  /** Why nothing goes on, while that is so. */
  Optional<String> problem() {
    return Optional.ofNullable(problem);
  }
}
