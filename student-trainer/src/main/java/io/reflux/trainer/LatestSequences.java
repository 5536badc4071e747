package io.reflux.trainer;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.List;

/** The newest sequences, oldest first; a full one lets go of its oldest. */
final class LatestSequences {
  private final int capacity;
  private final Deque<LabelledSequence> sequences = new ArrayDeque<>();
  private long rows;

  LatestSequences(int capacity) {
    this.capacity = capacity;
  }

  void add(LabelledSequence sequence) {
    sequences.add(sequence);
    rows += sequence.rows();
    if (sequences.size() > capacity) {
      rows -= sequences.remove().rows();
    }
  }

  void addAll(Collection<LabelledSequence> others) {
    others.forEach(this::add);
  }

  void clear() {
    sequences.clear();
    rows = 0;
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

  /** The newest, at most so many, oldest first. */
  List<LabelledSequence> newest(int most) {
    List<LabelledSequence> all = new ArrayList<>(sequences);
    return all.subList(Math.max(0, all.size() - most), all.size());
  }

  /**
   * Lets go of all that were written before a step.
   *
   * @return how many
   */
  int dropWrittenBefore(long step) {
    int before = sequences.size();
    sequences.removeIf(sequence -> sequence.written().orElseThrow().studentStep() < step);
    if (sequences.size() < before) {
      rows = sequences.stream().mapToLong(LabelledSequence::rows).sum();
    }
    return before - sequences.size();
  }
}
