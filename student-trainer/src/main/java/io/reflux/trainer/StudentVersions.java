package io.reflux.trainer;

import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;

/**
 * The versions of the student that writes rollouts. One begins when training turns to rollouts,
 * then every so many steps, and whenever the weights go back; its number is the training step it
 * begins at. A rollout is as many versions behind as have begun after the step that wrote it.
 */
final class StudentVersions {
  /** Before the first. */
  static final long NONE = -1;

  private static final int LEAST_REMEMBERED = 1024;

  private final int remembered;
  private final Deque<Long> begun = new ArrayDeque<>();

  /**
   * @param maxStaleness to be told from more
   */
  StudentVersions(int maxStaleness) {
    this.remembered = Math.max(LEAST_REMEMBERED, maxStaleness + 1);
  }

  void begin(long step) {
    begun.add(step);
    if (begun.size() > remembered) {
      begun.remove();
    }
  }

  /** Number of the newest, or {@link #NONE}. */
  long newest() {
    return begun.isEmpty() ? NONE : begun.getLast();
  }

  /** Versions that have begun since a step; so many as are remembered at most. */
  int behind(long studentStep) {
    int behind = 0;
    Iterator<Long> newestFirst = begun.descendingIterator();
    while (newestFirst.hasNext() && newestFirst.next() > studentStep) {
      behind++;
    }
    return behind;
  }

  List<Long> state() {
    return List.copyOf(begun);
  }

  void restore(Collection<Long> state) {
    begun.clear();
    state.forEach(this::begin);
  }
}
