package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;

/** Puts a model's matrices into few bits; norms and biases stay float32. */
public interface Quantiser {
  /** Weights of a row that share a scale, unless told otherwise. */
  int DEFAULT_BLOCK_SIZE = 32;

  /**
   * Quantises every matrix, embeddings and head included.
   *
   * @throws ModelException if a tensor that the configuration expects is missing, or holds a number
   *     that is not finite
   */
  Weights quantise(ModelConfig config, Weights weights);

  /** With blocks of {@link #DEFAULT_BLOCK_SIZE}. */
  static Quantiser of(WeightFormat format) {
    return of(format, DEFAULT_BLOCK_SIZE);
  }

  /**
   * A quantiser.
   *
   * @param format what matrices become; of INT4, embeddings and head become INT8: they are a small
   *     part of a model and the one that its words are most sensitive to. NONE changes nothing
   * @param blockSize weights of a row that share a scale, 16, 32, 64, 128 or 256; FP8 has a scale a
   *     row whatever it is
   */
  static Quantiser of(WeightFormat format, int blockSize) {
    return new MatrixQuantiser(format, blockSize);
  }
}
