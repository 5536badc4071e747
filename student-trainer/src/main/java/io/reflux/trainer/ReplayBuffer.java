package io.reflux.trainer;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;

/**
 * What there is to train on. A sequence is fresh until it was drawn once, then recent, and after
 * that perhaps part of a uniform sample of everything older (Vitter's algorithm R). New intents are
 * learned quickly because half of what is repeated is recent; old ones are not forgotten because
 * the other half is not.
 */
final class ReplayBuffer {
  /** Of a step's draws while there are fresh ones; the rest keeps what is known alive. */
  private static final double FRESH_SHARE = 0.5;

  private final int capacity;
  private final int recentCapacity;
  private final double recentShare;
  private final Deque<LabelledSequence> fresh = new ArrayDeque<>();
  private final List<LabelledSequence> recent = new ArrayList<>();
  private final List<LabelledSequence> sample = new ArrayList<>();
  private int oldestRecent;
  private long offered;
  private long rows;

  ReplayBuffer(int capacity, int recentCapacity, double recentShare) {
    this.capacity = capacity;
    this.recentCapacity = recentCapacity;
    this.recentShare = recentShare;
  }

  void add(LabelledSequence sequence, RandomBits random) {
    fresh.add(sequence);
    rows += sequence.rows();
    // A backlog is read faster than it is trained on; what waits longest counts as seen.
    if (fresh.size() > recentCapacity) {
      makeRecent(fresh.remove(), random);
    }
  }

  /** A sequence to train on. */
  LabelledSequence draw(RandomBits random) {
    if (!fresh.isEmpty() && (size() == fresh.size() || random.nextDouble() < FRESH_SHARE)) {
      LabelledSequence sequence = fresh.remove();
      makeRecent(sequence, random);
      return sequence;
    }
    boolean fromRecent = sample.isEmpty() || random.nextDouble() < recentShare;
    List<LabelledSequence> from = fromRecent && !recent.isEmpty() ? recent : sample;
    return from.get((int) random.below(from.size()));
  }

  int size() {
    return fresh.size() + recent.size() + sample.size();
  }

  int freshSize() {
    return fresh.size();
  }

  /** Labelled rows that it holds. */
  long rows() {
    return rows;
  }

  ReplayState contents() {
    return new ReplayState(
        List.copyOf(fresh), List.copyOf(recent), List.copyOf(sample), oldestRecent, offered);
  }

  /**
   * Takes up where another buffer was. Capacities may have become smaller: the rest is left out.
   */
  void restore(ReplayState contents) {
    fresh.clear();
    recent.clear();
    sample.clear();
    fresh.addAll(contents.fresh());
    boolean sameRing =
        contents.recent().size() <= recentCapacity
            && (contents.recent().size() == recentCapacity || contents.oldestRecent() == 0);
    if (sameRing) {
      recent.addAll(contents.recent());
      oldestRecent = contents.oldestRecent();
    } else {
      List<LabelledSequence> ordered = new ArrayList<>(contents.recent());
      Collections.rotate(ordered, -contents.oldestRecent());
      int from = Math.max(0, ordered.size() - recentCapacity);
      recent.addAll(ordered.subList(from, ordered.size()));
      oldestRecent = 0;
    }
    sample.addAll(contents.sample().subList(0, Math.min(capacity, contents.sample().size())));
    offered = contents.offered();
    rows = 0;
    for (List<LabelledSequence> part : List.of(List.copyOf(fresh), recent, sample)) {
      for (LabelledSequence sequence : part) {
        rows += sequence.rows();
      }
    }
  }

  private void makeRecent(LabelledSequence sequence, RandomBits random) {
    if (recent.size() < recentCapacity) {
      recent.add(sequence);
      return;
    }
    offer(recent.set(oldestRecent, sequence), random);
    oldestRecent = (oldestRecent + 1) % recentCapacity;
  }

  private void offer(LabelledSequence old, RandomBits random) {
    offered++;
    if (sample.size() < capacity) {
      sample.add(old);
      return;
    }
    long place = random.below(offered);
    if (place < capacity) {
      rows -= sample.set((int) place, old).rows();
    } else {
      rows -= old.rows();
    }
  }
}
