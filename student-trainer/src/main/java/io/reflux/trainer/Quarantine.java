package io.reflux.trainer;

import io.reflux.trainer.StudentState.Quarantined;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.function.DoublePredicate;

/** Sequences whose loss was out of bounds; a full one forgets its oldest for good. */
final class Quarantine {
  private final int capacity;
  private final long maxBytes;
  private final Deque<Quarantined> held = new ArrayDeque<>();
  private long bytes;

  Quarantine(int capacity, long maxBytes) {
    this.capacity = capacity;
    this.maxBytes = maxBytes;
  }

  void add(Quarantined quarantined) {
    held.add(quarantined);
    bytes += quarantined.sequence().bytes();
    while (held.size() > capacity || bytes > maxBytes) {
      bytes -= held.remove().sequence().bytes();
    }
  }

  /** Gives back the next whose loss is within bounds by now; null if there is none. */
  LabelledSequence release(boolean rollout, DoublePredicate isWithinBounds) {
    Iterator<Quarantined> each = held.iterator();
    while (each.hasNext()) {
      Quarantined next = each.next();
      if (next.sequence().isRollout() == rollout && isWithinBounds.test(next.loss())) {
        each.remove();
        bytes -= next.sequence().bytes();
        return next.sequence();
      }
    }
    return null;
  }

  int size() {
    return held.size();
  }

  List<Quarantined> state() {
    return List.copyOf(held);
  }

  void restore(Collection<Quarantined> state) {
    held.clear();
    bytes = 0;
    state.forEach(this::add);
  }
}
