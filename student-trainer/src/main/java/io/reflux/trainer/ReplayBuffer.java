package io.reflux.trainer;

import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;

/**
 * What there is to train on. A sequence is fresh until it was drawn once, then recent, and after
 * that perhaps part of a {@link Reservoir} of everything older. New intents are learned quickly
 * because part of what is repeated is recent; old ones are not forgotten because the rest is not.
 *
 * <p>What is drawn is not what traffic is like: fresh and recent sequences come more often, and
 * rare segments are held longer. Weights in the loss undo the mirror's sampling, and not this,
 * which is meant.
 */
final class ReplayBuffer {
  /** Of a step's draws while there are fresh ones; the rest keeps what is known alive. */
  private static final double FRESH_SHARE = 0.5;

  private final int recentCapacity;
  private final long recentBytes;
  private final double recentShare;
  private final Deque<LabelledSequence> fresh = new ArrayDeque<>();
  private final List<LabelledSequence> recent = new ArrayList<>();
  private final Reservoir sample;
  private long bytesFresh;
  private long bytesRecent;
  private long rowsFresh;
  private long rowsRecent;

  /**
   * @param capacity of the sample
   * @param recentCapacity of the fresh and of the recent
   * @param recentShare of repeated draws that the recent have
   * @param maxBytes half of them for the sample, a quarter each for the fresh and the recent
   * @param halfLifeMillis of a sequence's weight in the sample
   */
  ReplayBuffer(
      int capacity, int recentCapacity, double recentShare, long maxBytes, long halfLifeMillis) {
    this.recentCapacity = recentCapacity;
    this.recentBytes = maxBytes / 4;
    this.recentShare = recentShare;
    this.sample = new Reservoir(capacity, maxBytes / 2, halfLifeMillis);
  }

  /**
   * What was drawn.
   *
   * @param fresh whether it is for the first time
   */
  record Drawn(LabelledSequence sequence, boolean fresh) {}

  void add(LabelledSequence sequence, RandomBits random) {
    fresh.add(sequence);
    rowsFresh += sequence.rows();
    bytesFresh += sequence.bytes();
    // A backlog is read faster than it is trained on; what waits longest counts as seen.
    while (fresh.size() > recentCapacity || bytesFresh > recentBytes) {
      makeRecent(nextFresh(), random);
    }
  }

  /** A sequence to train on; there must be one. */
  Drawn draw(RandomBits random) {
    if (!fresh.isEmpty() && (size() == fresh.size() || random.nextDouble() < FRESH_SHARE)) {
      LabelledSequence sequence = nextFresh();
      makeRecent(sequence, random);
      return new Drawn(sequence, true);
    }
    boolean fromRecent = sample.size() == 0 || random.nextDouble() < recentShare;
    if (fromRecent && !recent.isEmpty() || sample.size() == 0) {
      return new Drawn(recent.get((int) random.below(recent.size())), false);
    }
    return new Drawn(sample.draw(random), false);
  }

  /** Takes a sequence out that was drawn before, if it is still there. */
  void remove(LabelledSequence sequence) {
    for (int i = 0; i < recent.size(); i++) {
      if (recent.get(i) == sequence) {
        takeRecent(i);
        return;
      }
    }
    sample.remove(sequence);
  }

  int size() {
    return fresh.size() + recent.size() + sample.size();
  }

  int freshSize() {
    return fresh.size();
  }

  /** Labelled rows that it holds. */
  long rows() {
    return rowsFresh + rowsRecent + sample.rows();
  }

  /** Memory of the sequences that it holds. */
  long bytes() {
    return bytesFresh + bytesRecent + sample.bytes();
  }

  /** Sequences by segment. */
  SortedMap<String, Integer> mix() {
    SortedMap<String, Integer> mix = new TreeMap<>();
    fresh.forEach(sequence -> mix.merge(sequence.segment(), 1, Integer::sum));
    recent.forEach(sequence -> mix.merge(sequence.segment(), 1, Integer::sum));
    sample.contents().forEach(held -> mix.merge(held.sequence().segment(), 1, Integer::sum));
    return mix;
  }

  /** Times of those that were trained on, as far as they are held. */
  Optional<TimeRange> times() {
    return Stream.concat(
            recent.stream(), sample.contents().stream().map(ReplayState.Sampled::sequence))
        .map(sequence -> TimeRange.of(Instant.ofEpochMilli(sequence.eventMillis())))
        .reduce(TimeRange::and);
  }

  ReplayState contents() {
    return new ReplayState(List.copyOf(fresh), List.copyOf(recent), sample.contents());
  }

  /**
   * Takes up where another buffer was. Bounds may have become narrower: what was fresh or recent
   * and has no room is let go of, oldest first.
   */
  void restore(ReplayState contents) {
    fresh.clear();
    recent.clear();
    fresh.addAll(contents.fresh());
    recent.addAll(contents.recent());
    rowsFresh = fresh.stream().mapToLong(LabelledSequence::rows).sum();
    rowsRecent = recent.stream().mapToLong(LabelledSequence::rows).sum();
    bytesFresh = fresh.stream().mapToLong(LabelledSequence::bytes).sum();
    bytesRecent = recent.stream().mapToLong(LabelledSequence::bytes).sum();
    while (fresh.size() > recentCapacity || bytesFresh > recentBytes) {
      nextFresh();
    }
    while (recent.size() > recentCapacity || bytesRecent > recentBytes) {
      takeRecent(0);
    }
    sample.restore(contents.sample());
  }

  private LabelledSequence nextFresh() {
    LabelledSequence sequence = fresh.remove();
    rowsFresh -= sequence.rows();
    bytesFresh -= sequence.bytes();
    return sequence;
  }

  private LabelledSequence takeRecent(int index) {
    LabelledSequence sequence = recent.remove(index);
    rowsRecent -= sequence.rows();
    bytesRecent -= sequence.bytes();
    return sequence;
  }

  private void makeRecent(LabelledSequence sequence, RandomBits random) {
    recent.add(sequence);
    rowsRecent += sequence.rows();
    bytesRecent += sequence.bytes();
    while (recent.size() > recentCapacity || bytesRecent > recentBytes) {
      sample.offer(takeRecent(0), random);
    }
  }
}
