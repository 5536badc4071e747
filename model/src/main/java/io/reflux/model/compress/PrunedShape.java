package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;

/**
 * How much of a model is left. Counts are the same in every layer: a configuration has one number
 * for each.
 *
 * @param layers blocks
 * @param intermediateSize neurons of each feed-forward part
 * @param keyValueHeads groups of each attention part: a key-value head with the query heads that
 *     read it
 */
public record PrunedShape(int layers, int intermediateSize, int keyValueHeads) {
  public PrunedShape {
    if (layers < 1 || intermediateSize < 1 || keyValueHeads < 1) {
      throw new ModelException(
          "pruned shape: %d layers, %d neurons, %d key-value heads (expected: all at least 1)"
              .formatted(layers, intermediateSize, keyValueHeads));
    }
  }

  /** All of a model. */
  public static PrunedShape of(ModelConfig config) {
    return new PrunedShape(config.layers(), config.intermediateSize(), config.keyValueHeads());
  }

  /**
   * The configuration of a model that is cut to this shape; query heads go with their groups.
   *
   * @throws ModelException if the model has less of anything than that
   */
  public ModelConfig cut(ModelConfig dense) {
    check("layers", layers, dense.layers());
    check("neurons", intermediateSize, dense.intermediateSize());
    check("key-value heads", keyValueHeads, dense.keyValueHeads());
    int queriesPerKey = dense.heads() / dense.keyValueHeads();
    return dense.resized(layers, intermediateSize, keyValueHeads * queriesPerKey, keyValueHeads);
  }

  private static void check(String what, int kept, int there) {
    if (kept > there) {
      throw new ModelException(
          "pruned shape: %s: %d (expected: at most %d, the model's)".formatted(what, kept, there));
    }
  }
}
