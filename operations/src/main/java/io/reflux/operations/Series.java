package io.reflux.operations;

import java.util.ArrayList;
import java.util.List;

/**
 * Points in the order they came, never more than a bound. When it is full, every second point of
 * the older half goes: the newest keep their detail, and a long run its whole curve. Not
 * thread-safe.
 */
public final class Series<T> {
  private final int bound;
  private final List<T> points = new ArrayList<>();

  /**
   * @param bound most points kept, at least 4
   */
  public Series(int bound) {
    this.bound = bound;
  }

  /** Adds the newest. */
  public void add(T point) {
    if (points.size() >= bound) {
      int half = points.size() / 2;
      List<T> kept = new ArrayList<>(points.size());
      for (int i = 0; i < half; i += 2) {
        kept.add(points.get(i));
      }
      kept.addAll(points.subList(half, points.size()));
      points.clear();
      points.addAll(kept);
    }
    points.add(point);
  }

  /** What is kept, oldest first. */
  public List<T> points() {
    return List.copyOf(points);
  }
}
