package io.reflux.producers.redact;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Set;

/** Collects what detectors find in one text. */
final class Findings {
  private final Set<RedactionKind> wanted;
  private final List<Finding> all = new ArrayList<>();

  /**
   * @param wanted what is not among these is passed over
   */
  Findings(Set<RedactionKind> wanted) {
    this.wanted = wanted;
  }

  void add(RedactionKind kind, String rule, int start, int end) {
    if (wanted.contains(kind)) {
      all.add(new Finding(kind, rule, start, end));
    }
  }

  int size() {
    return all.size();
  }

  /** The furthest end among those added after so many; 0 if there are none. */
  int endSince(int before) {
    int end = 0;
    for (int i = before; i < all.size(); i++) {
      end = Math.max(end, all.get(i).end());
    }
    return end;
  }

  boolean isEmpty() {
    return all.isEmpty();
  }

  /** In order; those that overlap are one, of the kind that comes first. */
  List<Finding> merged() {
    all.sort(Comparator.comparingInt(Finding::start).thenComparing(Finding::kind));
    List<Finding> merged = new ArrayList<>();
    for (Finding next : all) {
      Finding last = merged.isEmpty() ? null : merged.get(merged.size() - 1);
      if (last == null || next.start() >= last.end()) {
        merged.add(next);
        continue;
      }
      Finding named = next.kind().compareTo(last.kind()) < 0 ? next : last;
      merged.set(
          merged.size() - 1,
          new Finding(named.kind(), named.rule(), last.start(), Math.max(last.end(), next.end())));
    }
    return merged;
  }
}
