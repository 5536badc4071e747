package io.reflux.scorer;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.NavigableSet;
import java.util.Optional;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.function.ToIntFunction;

/**
 * Gathers sequences into batches of like length. A batch is due when it is full, or when its oldest
 * sequence has waited for the delay; then it is made around the oldest one, of those whose lengths
 * come nearest. Two kinds take turns in being the oldest, so that neither waits for the other's
 * backlog. Knows no clock and no thread.
 */
final class Batcher<T> {
  /** Kinds that take turns. */
  enum Kind {
    REQUEST,
    ROLLOUT
  }

  /**
   * Sequences for one run of the model.
   *
   * @param tokens of all of them
   * @param paddedTokens that the model works on: its longest sequence times their number
   */
  record Batch<T>(List<T> items, long tokens, long paddedTokens) {}

  /** Largest share of a batch that may be padding. */
  static final double MOST_PADDING = 0.1;

  /** Padding that is allowed anyway: a run of its own would cost more. */
  static final int FREE_PADDING_TOKENS = 64;

  private record Entry<T>(T item, int length, Kind kind, long sinceNanos, long order) {}

  private final ToIntFunction<T> length;
  private final int budget;
  private final long delayNanos;
  private final Comparator<Entry<T>> byLength =
      Comparator.<Entry<T>>comparingInt(Entry::length).thenComparingLong(Entry::order);
  private final NavigableSet<Entry<T>> waiting = new TreeSet<>(byLength);
  // Taken ones are removed when they come to the front.
  private final Deque<Entry<T>> requests = new ArrayDeque<>();
  private final Deque<Entry<T>> rollouts = new ArrayDeque<>();
  private Kind turn = Kind.REQUEST;
  private long tokens;
  private long orders;
  private boolean mayHoldFullBatch;

  /**
   * @param length of a sequence in tokens, at least 1
   * @param budget most padded tokens of a batch, unless one sequence alone has more
   * @param delay how long a sequence waits for others
   */
  Batcher(ToIntFunction<T> length, int budget, Duration delay) {
    this.length = length;
    this.budget = budget;
    this.delayNanos = delay.toNanos();
  }

  /** A sequence that is ready. */
  void add(T item, Kind kind, long nowNanos) {
    Entry<T> entry = entry(item, kind, nowNanos);
    queue(kind).addLast(entry);
  }

  /** A sequence that comes back from a batch that was not run; it is the next to go. */
  void putBack(T item, Kind kind, long readySinceNanos) {
    Entry<T> entry = entry(item, kind, readySinceNanos);
    queue(kind).addFirst(entry);
  }

  private Entry<T> entry(T item, Kind kind, long sinceNanos) {
    Entry<T> entry = new Entry<>(item, length.applyAsInt(item), kind, sinceNanos, orders++);
    waiting.add(entry);
    tokens += entry.length();
    mayHoldFullBatch = true;
    return entry;
  }

  private Deque<Entry<T>> queue(Kind kind) {
    return kind == Kind.REQUEST ? requests : rollouts;
  }

  /** Forgets some. */
  void removeIf(Predicate<T> gone) {
    List<Entry<T>> leaving = waiting.stream().filter(entry -> gone.test(entry.item())).toList();
    leaving.forEach(this::take);
  }

  int size() {
    return waiting.size();
  }

  /**
   * A batch that is due now, or none.
   *
   * @param nowNanos of the clock that {@link #add} was told
   */
  Optional<Batch<T>> next(long nowNanos) {
    Entry<T> oldest = overdue(turn, nowNanos);
    if (oldest == null) {
      oldest = overdue(other(turn), nowNanos);
    }
    if (oldest != null) {
      turn = other(oldest.kind());
      return Optional.of(taken(around(oldest)));
    }
    return fullBatch().map(this::taken);
  }

  /** Until the delay of the oldest is over; the longest possible wait when nothing waits. */
  long nanosUntilDue(long nowNanos) {
    long least = Long.MAX_VALUE;
    for (Kind kind : Kind.values()) {
      Entry<T> oldest = oldest(kind);
      if (oldest != null) {
        least = Math.min(least, Math.max(0, oldest.sinceNanos() + delayNanos - nowNanos));
      }
    }
    return least;
  }

  private static Kind other(Kind kind) {
    return kind == Kind.REQUEST ? Kind.ROLLOUT : Kind.REQUEST;
  }

  private Entry<T> overdue(Kind kind, long nowNanos) {
    Entry<T> oldest = oldest(kind);
    return oldest != null && nowNanos - oldest.sinceNanos() >= delayNanos ? oldest : null;
  }

  private Entry<T> oldest(Kind kind) {
    Deque<Entry<T>> queue = queue(kind);
    while (!queue.isEmpty() && !waiting.contains(queue.peekFirst())) {
      queue.removeFirst();
    }
    return queue.peekFirst();
  }

  /** Grows from one sequence to whichever neighbour in length adds the least padding. */
  private List<Entry<T>> around(Entry<T> middle) {
    List<Entry<T>> batch = new ArrayList<>();
    batch.add(middle);
    Iterator<Entry<T>> shorter = waiting.headSet(middle, false).descendingIterator();
    Iterator<Entry<T>> longer = waiting.tailSet(middle, false).iterator();
    Entry<T> below = next(shorter);
    Entry<T> above = next(longer);
    int longest = middle.length();
    long sum = longest;
    while (below != null || above != null) {
      int size = batch.size() + 1;
      boolean belowFits = below != null && fits(longest, size, sum + below.length());
      boolean aboveFits = above != null && fits(above.length(), size, sum + above.length());
      boolean takeAbove =
          aboveFits
              && (!belowFits
                  || (long) (size - 1) * (above.length() - longest) < longest - below.length());
      if (takeAbove) {
        longest = above.length();
        sum += longest;
        batch.add(above);
        above = next(longer);
      } else if (belowFits) {
        sum += below.length();
        batch.add(below);
        below = next(shorter);
      } else {
        break;
      }
    }
    return batch;
  }

  private boolean fits(int longest, int size, long sum) {
    long padded = (long) longest * size;
    return padded <= budget && isDense(padded, sum);
  }

  private static boolean isDense(long padded, long sum) {
    long padding = padded - sum;
    return padding <= FREE_PADDING_TOKENS || padding <= MOST_PADDING * padded;
  }

  private static <E> E next(Iterator<E> iterator) {
    return iterator.hasNext() ? iterator.next() : null;
  }

  /** The first run of neighbours in length, longest first, that leaves no room for one more. */
  private Optional<List<Entry<T>>> fullBatch() {
    if (!mayHoldFullBatch || tokens < (1 - MOST_PADDING) * budget - FREE_PADDING_TOKENS) {
      return Optional.empty();
    }
    List<Entry<T>> sorted = new ArrayList<>(waiting.descendingSet());
    long sum = 0;
    int to = 0;
    for (int from = 0; from < sorted.size(); from++) {
      int longest = sorted.get(from).length();
      int size = Math.max(1, budget / longest);
      if (from + size > sorted.size()) {
        break;
      }
      while (to < from + size) {
        sum += sorted.get(to++).length();
      }
      if (isDense((long) longest * size, sum)) {
        return Optional.of(sorted.subList(from, to));
      }
      sum -= longest;
    }
    mayHoldFullBatch = false;
    return Optional.empty();
  }

  private Batch<T> taken(List<Entry<T>> entries) {
    long sum = 0;
    int longest = 0;
    for (Entry<T> entry : entries) {
      take(entry);
      sum += entry.length();
      longest = Math.max(longest, entry.length());
    }
    return new Batch<>(
        entries.stream().map(Entry::item).toList(), sum, (long) longest * entries.size());
  }

  private void take(Entry<T> entry) {
    waiting.remove(entry);
    tokens -= entry.length();
  }
}
