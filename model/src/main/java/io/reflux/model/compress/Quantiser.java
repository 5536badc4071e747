package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import java.util.Optional;

/** Puts a model's matrices into few bits; norms and biases stay float32. */
public interface Quantiser {
  /** Weights of a row that share a scale, unless told otherwise. */
  int DEFAULT_BLOCK_SIZE = 32;

  /**
   * Quantises every matrix, embeddings and head included. The same input gives the same bits,
   * however many threads there are.
   *
   * @param sums of this model; they give 4-bit matrices better scales with any method. Embeddings
   *     are rounded to nearest whatever the method, for nothing multiplies them
   * @throws ModelException if a tensor that the configuration expects is missing, or holds a number
   *     that is not finite; if the method needs sums and there are none, or those of another model
   */
  Weights quantise(ModelConfig config, Weights weights, Optional<CalibrationSums> sums);

  /** Without calibration. */
  default Weights quantise(ModelConfig config, Weights weights) {
    return quantise(config, weights, Optional.empty());
  }

  /** Rounds to nearest, in blocks of {@link #DEFAULT_BLOCK_SIZE}. */
  static Quantiser of(WeightFormat format) {
    return of(format, QuantisationMethod.RTN, DEFAULT_BLOCK_SIZE);
  }

  /**
   * A quantiser.
   *
   * @param format what matrices become; of INT4, embeddings and head become INT8: they are a small
   *     part of a model and the one that its words are most sensitive to. NONE changes nothing
   * @param blockSize weights of a row that share a scale, 16, 32, 64, 128 or 256; FP8 has a scale a
   *     row whatever it is
   */
  static Quantiser of(WeightFormat format, QuantisationMethod method, int blockSize) {
    return new MatrixQuantiser(format, method, blockSize);
  }
}
