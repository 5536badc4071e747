package io.reflux.scorer;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToIntFunction;

/**
 * Puts sequences of like length into one batch, so that little of it is padding.
 *
 * @param batches each of at least one item, and within the token budget unless one item alone is
 *     not
 * @param tokens of all items
 * @param paddedTokens that the model works on: for each batch its longest item times its items
 */
record BatchPlan<T>(List<List<T>> batches, long tokens, long paddedTokens) {

  /**
   * @param budget most padded tokens a batch
   */
  static <T> BatchPlan<T> of(List<T> items, ToIntFunction<T> length, int budget) {
    List<T> sorted = new ArrayList<>(items);
    sorted.sort(Comparator.comparingInt(length).reversed());
    List<List<T>> batches = new ArrayList<>();
    long tokens = 0;
    long padded = 0;
    int from = 0;
    while (from < sorted.size()) {
      // Longest first, so the first item's length is the batch's.
      int longest = Math.max(1, length.applyAsInt(sorted.get(from)));
      int to = Math.min(sorted.size(), from + Math.max(1, budget / longest));
      batches.add(sorted.subList(from, to));
      padded += (long) longest * (to - from);
      from = to;
    }
    for (T item : sorted) {
      tokens += length.applyAsInt(item);
    }
    return new BatchPlan<>(batches, tokens, padded);
  }
}
