package io.reflux.trainer;

import java.util.ArrayList;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * A sample of the past that fades. Of all that was offered, a sequence of event time t stays with
 * weight {@code 2^(t/halfLife)}: each draws one priority, {@code t·ln 2/halfLife} plus a standard
 * Gumbel number, and the lowest leave first. That is weighted sampling without replacement
 * (Efraimidis and Spirakis, 2006) in logarithms, and since weights only ever grow with t (Cormode
 * et al., ICDE 2009) nothing has to be weighed again as time goes on.
 *
 * <p>No segment starves: whoever holds no more than its fair share, the capacity over the number of
 * segments, loses nothing to others, however old it is. That holds for the count and, where the
 * bytes are what is full, for the bytes.
 */
final class Reservoir {
  private final int capacity;
  private final long maxBytes;
  private final double decayPerMilli;
  private final SortedMap<String, Segment> segments = new TreeMap<>();
  private int size;
  private long bytes;
  private long rows;

  /** By rising priority. */
  private static final class Segment {
    private final List<ReplayState.Sampled> held = new ArrayList<>();
    private long bytes;
  }

  /**
   * @param halfLifeMillis of a sequence's weight
   */
  Reservoir(int capacity, long maxBytes, long halfLifeMillis) {
    this.capacity = capacity;
    this.maxBytes = maxBytes;
    this.decayPerMilli = StrictMath.log(2) / halfLifeMillis;
  }

  void offer(LabelledSequence sequence, RandomBits random) {
    double uniform = random.nextDouble() + 0x1p-54;
    double gumbel = -StrictMath.log(-StrictMath.log(uniform));
    put(new ReplayState.Sampled(sequence.eventMillis() * decayPerMilli + gumbel, sequence));
    fit();
  }

  /** Any of them, uniformly; there must be one. */
  LabelledSequence draw(RandomBits random) {
    int index = (int) random.below(size);
    for (Segment segment : segments.values()) {
      if (index < segment.held.size()) {
        return segment.held.get(index).sequence();
      }
      index -= segment.held.size();
    }
    throw new IllegalStateException("size: " + size + " (expected: as the segments hold)");
  }

  int size() {
    return size;
  }

  long bytes() {
    return bytes;
  }

  long rows() {
    return rows;
  }

  /** Whether it was there. */
  boolean remove(LabelledSequence sequence) {
    Segment segment = segments.get(sequence.segment());
    if (segment == null) {
      return false;
    }
    for (int i = 0; i < segment.held.size(); i++) {
      if (segment.held.get(i).sequence() == sequence) {
        take(sequence.segment(), segment, i);
        return true;
      }
    }
    return false;
  }

  List<ReplayState.Sampled> contents() {
    List<ReplayState.Sampled> all = new ArrayList<>();
    segments.values().forEach(segment -> all.addAll(segment.held));
    return List.copyOf(all);
  }

  /** Takes up what another held; what is more than fits leaves by its priority. */
  void restore(List<ReplayState.Sampled> contents) {
    segments.clear();
    size = 0;
    bytes = 0;
    rows = 0;
    contents.forEach(this::put);
    fit();
  }

  private void put(ReplayState.Sampled sampled) {
    LabelledSequence sequence = sampled.sequence();
    Segment segment = segments.computeIfAbsent(sequence.segment(), name -> new Segment());
    int place = segment.held.size();
    // From the end: newer ones usually have higher priorities, and what is restored comes sorted.
    while (place > 0 && segment.held.get(place - 1).priority() > sampled.priority()) {
      place--;
    }
    segment.held.add(place, sampled);
    segment.bytes += sequence.bytes();
    size++;
    bytes += sequence.bytes();
    rows += sequence.rows();
  }

  private void fit() {
    while (size > capacity) {
      int share = capacity / segments.size();
      evict(segment -> segment.held.size() > share);
    }
    while (bytes > maxBytes) {
      long share = maxBytes / segments.size();
      evict(segment -> segment.bytes > share);
    }
  }

  /** The lowest priority of those who hold too much; while all together do, there is such a one. */
  private void evict(Predicate<Segment> holdsTooMuch) {
    String lowestName = null;
    Segment lowest = null;
    for (var entry : segments.entrySet()) {
      Segment segment = entry.getValue();
      boolean lower =
          holdsTooMuch.test(segment)
              && (lowest == null || segment.held.get(0).priority() < lowest.held.get(0).priority());
      if (lower) {
        lowestName = entry.getKey();
        lowest = segment;
      }
    }
    take(lowestName, lowest, 0);
  }

  private void take(String name, Segment segment, int index) {
    LabelledSequence gone = segment.held.remove(index).sequence();
    segment.bytes -= gone.bytes();
    size--;
    bytes -= gone.bytes();
    rows -= gone.rows();
    if (segment.held.isEmpty()) {
      segments.remove(name);
    }
  }
}
