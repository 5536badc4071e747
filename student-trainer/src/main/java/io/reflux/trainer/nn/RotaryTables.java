package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.reference.RotaryFrequencies;

/** Cosines and sines of the positions seen so far, which grow with the longest sequence. */
final class RotaryTables {
  private static final int FIRST_POSITIONS = 256;

  private final ModelConfig config;
  private final NDManager manager;
  private NDArray cosines;
  private NDArray sines;
  private int positions;

  RotaryTables(ModelConfig config, NDManager manager) {
    this.config = config;
    this.manager = manager;
    reach(Math.min(FIRST_POSITIONS, config.maxPositions()));
  }

  /**
   * Makes them reach so far.
   *
   * @throws ModelException if the model knows fewer positions
   */
  void reach(int wanted) {
    if (wanted <= positions) {
      return;
    }
    if (wanted > config.maxPositions()) {
      throw new ModelException(
          "sequence: %d tokens (expected: at most max_position_embeddings, %d)"
              .formatted(wanted, config.maxPositions()));
    }
    int grown = grownPositions(config, wanted, positions);
    double[] radians = RotaryFrequencies.radiansPerPosition(config);
    int size = config.headSize();
    float[] cos = new float[grown * size];
    float[] sin = new float[grown * size];
    for (int t = 0; t < grown; t++) {
      for (int i = 0; i < size; i++) {
        double angle = t * radians[i % radians.length];
        cos[t * size + i] = (float) Math.cos(angle);
        sin[t * size + i] = (float) (i < size / 2 ? -Math.sin(angle) : Math.sin(angle));
      }
    }
    if (cosines != null) {
      cosines.close();
      sines.close();
    }
    cosines = TorchArrays.floats(manager, cos, grown, size);
    sines = TorchArrays.floats(manager, sin, grown, size);
    positions = grown;
  }

  /** [positions, headSize], the second half as the first. */
  NDArray cosines() {
    return cosines;
  }

  /** [positions, headSize], the first half negated. */
  NDArray sines() {
    return sines;
  }

  /** Bytes of both tables once a sequence of this length was seen. */
  static long bytes(ModelConfig config, int longestSequence) {
    int first = Math.min(FIRST_POSITIONS, config.maxPositions());
    int reached = longestSequence <= first ? first : grownPositions(config, longestSequence, first);
    return 2L * Float.BYTES * reached * config.headSize();
  }

  private static int grownPositions(ModelConfig config, int wanted, int before) {
    return Math.min(config.maxPositions(), Math.max(wanted, 2 * before));
  }
}
