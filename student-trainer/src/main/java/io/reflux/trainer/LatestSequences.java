package io.reflux.trainer;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * The newest sequences, oldest first. A full one lets go of its oldest, but leaves every segment
 * its part of what is reserved, so that one that has become rare can still be measured.
 */
final class LatestSequences {
  private final int capacity;
  private final long maxBytes;
  private final double reservedShare;
  private final Deque<LabelledSequence> sequences = new ArrayDeque<>();
  private final Map<String, Integer> bySegment = new HashMap<>();
  private long rows;
  private long bytes;

  /**
   * @param reservedShare of the capacity, parted evenly between the segments
   */
  LatestSequences(int capacity, long maxBytes, double reservedShare) {
    this.capacity = capacity;
    this.maxBytes = maxBytes;
    this.reservedShare = reservedShare;
  }

  void add(LabelledSequence sequence) {
    sequences.add(sequence);
    bySegment.merge(sequence.segment(), 1, Integer::sum);
    rows += sequence.rows();
    bytes += sequence.bytes();
    while (sequences.size() > capacity || bytes > maxBytes) {
      letGo();
    }
  }

  void addAll(Collection<LabelledSequence> others) {
    others.forEach(this::add);
  }

  void clear() {
    sequences.clear();
    bySegment.clear();
    rows = 0;
    bytes = 0;
  }

  /** Labelled rows that it holds. */
  long rows() {
    return rows;
  }

  int size() {
    return sequences.size();
  }

  List<LabelledSequence> all() {
    return List.copyOf(sequences);
  }

  /** The newest, at most so many, oldest first; every segment has its part of what is reserved. */
  List<LabelledSequence> newest(int most) {
    if (sequences.size() <= most) {
      return all();
    }
    int reserved = reserved(most);
    int others = most;
    for (int held : bySegment.values()) {
      others -= Math.min(held, reserved);
    }
    Map<String, Integer> taken = new HashMap<>();
    Deque<LabelledSequence> newest = new ArrayDeque<>();
    Iterator<LabelledSequence> backwards = sequences.descendingIterator();
    while (backwards.hasNext()) {
      LabelledSequence sequence = backwards.next();
      boolean isReserved = taken.merge(sequence.segment(), 1, Integer::sum) <= reserved;
      if (isReserved || others > 0) {
        newest.addFirst(sequence);
        others -= isReserved ? 0 : 1;
      }
    }
    return new ArrayList<>(newest);
  }

  /**
   * Lets go of some.
   *
   * @return how many
   */
  int removeIf(Predicate<LabelledSequence> unwanted) {
    int before = sequences.size();
    Iterator<LabelledSequence> each = sequences.iterator();
    while (each.hasNext()) {
      LabelledSequence sequence = each.next();
      if (unwanted.test(sequence)) {
        each.remove();
        forget(sequence);
      }
    }
    return before - sequences.size();
  }

  private int reserved(int of) {
    return bySegment.isEmpty() ? 0 : (int) (of * reservedShare / bySegment.size());
  }

  private void letGo() {
    int reserved = reserved(capacity);
    Iterator<LabelledSequence> each = sequences.iterator();
    while (each.hasNext()) {
      LabelledSequence sequence = each.next();
      if (bySegment.get(sequence.segment()) > reserved) {
        each.remove();
        forget(sequence);
        return;
      }
    }
    // Their bytes are too many although they are few.
    forget(sequences.remove());
  }

  private void forget(LabelledSequence sequence) {
    bySegment.computeIfPresent(
        sequence.segment(), (name, held) -> held == 1 ? null : Integer.valueOf(held - 1));
    rows -= sequence.rows();
    bytes -= sequence.bytes();
  }
}
