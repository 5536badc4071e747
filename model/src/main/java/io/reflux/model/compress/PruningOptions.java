package io.reflux.model.compress;

import io.reflux.model.ModelException;

/**
 * How structured pruning goes about it.
 *
 * @param refit whether the weights that stay make up for those that go, as far as they can
 * @param neuronStep neurons removed before costs are computed anew
 * @param groupStep key-value groups removed before costs are computed anew
 * @param swapPasses times that everything removed is tried again in exchange for something kept; 0
 *     for none
 * @param damping share of the mean of Σ's diagonal that is added to it
 */
public record PruningOptions(
    boolean refit, int neuronStep, int groupStep, int swapPasses, double damping) {
  /**
   * Steps of 10 neurons and 1 group, damping 0.01, with refit and without exchanges: on language
   * models these took half as long again, and neither errors nor divergence became less.
   */
  public static final PruningOptions DEFAULT = new PruningOptions(true, 10, 1, 0, 0.01);

  public PruningOptions {
    if (neuronStep < 1 || groupStep < 1 || swapPasses < 0) {
      throw new ModelException(
          "neuron step %d, group step %d, swap passes %d (expected: at least 1, 1 and 0)"
              .formatted(neuronStep, groupStep, swapPasses));
    }
    if (!(damping > 0 && damping <= 1)) {
      throw new ModelException("damping: " + damping + " (expected: above 0, at most 1)");
    }
  }

  /** The same without refit. */
  public PruningOptions withoutRefit() {
    return new PruningOptions(false, neuronStep, groupStep, swapPasses, damping);
  }
}
