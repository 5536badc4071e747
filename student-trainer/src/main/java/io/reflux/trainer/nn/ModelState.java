package io.reflux.trainer.nn;

import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Everything that the next update depends on, besides the batch. Which tensors and numbers there
 * are follows from optimizer and adaptation; a writer needs to know none of them.
 *
 * @param optimizer name of the {@link Optimizer} that it belongs to
 * @param adaptation the {@link Adaptation} that it belongs to, as text
 * @param updates taken so far
 * @param numbers the optimizer's own, in the order of their names
 * @param tensors flat, in the model's own layout, in the order of their names; not copied, so leave
 *     the arrays alone
 */
public record ModelState(
    String optimizer,
    String adaptation,
    long updates,
    SortedMap<String, Double> numbers,
    SortedMap<String, float[]> tensors) {
  /** Sorts what is given. */
  public ModelState(
      String optimizer,
      String adaptation,
      long updates,
      Map<String, Double> numbers,
      Map<String, float[]> tensors) {
    this(
        optimizer,
        adaptation,
        updates,
        Collections.unmodifiableSortedMap(new TreeMap<>(numbers)),
        Collections.unmodifiableSortedMap(new TreeMap<>(tensors)));
  }
}
