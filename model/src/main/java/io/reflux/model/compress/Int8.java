package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;

/** 8-bit weights: round to nearest, symmetric, one scale for every 32 weights of a row. */
public final class Int8 {
  /** Weights that share a scale; the last block of a row may have fewer. */
  public static final int BLOCK_SIZE = 32;

  private static final int LARGEST = 127;

  private Int8() {}

  /**
   * Quantises every matrix of a model, embeddings and head included; norms and biases stay float32.
   *
   * @throws ModelException if a tensor that the configuration expects is missing, or holds a number
   *     that is not finite
   */
  public static Weights quantise(ModelConfig config, Weights weights) {
    MemoryWeights.Builder quantised = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      float[] floats = weights.floats(tensor.name());
      requireFinite(tensor.name(), floats);
      long[] shape = tensor.shape().stream().mapToLong(Long::longValue).toArray();
      if (shape.length == 2) {
        quantised.quantised(
            tensor.name(), quantise(floats, Math.toIntExact(shape[0]), Math.toIntExact(shape[1])));
      } else {
        quantised.floats(tensor.name(), shape, floats);
      }
    }
    return quantised.build();
  }

  /**
   * Quantises one matrix. No weight moves by more than half of its block's scale.
   *
   * @param floats [rows, columns], row-major, finite
   */
  public static QuantisedMatrix quantise(float[] floats, int rows, int columns) {
    int blocks = (columns + BLOCK_SIZE - 1) / BLOCK_SIZE;
    byte[] values = new byte[Math.multiplyExact(rows, columns)];
    float[] scales = new float[Math.multiplyExact(rows, blocks)];
    for (int row = 0; row < rows; row++) {
      for (int block = 0; block < blocks; block++) {
        int from = row * columns + block * BLOCK_SIZE;
        int to = row * columns + Math.min(columns, (block + 1) * BLOCK_SIZE);
        float largest = 0;
        for (int i = from; i < to; i++) {
          largest = Math.max(largest, Math.abs(floats[i]));
        }
        float scale = largest / LARGEST;
        scales[row * blocks + block] = scale;
        // A block so small that its scale is 0 is a block of zeros.
        for (int i = from; i < to && scale > 0; i++) {
          double rounded = Math.rint(floats[i] / (double) scale);
          values[i] = (byte) Math.max(-LARGEST, Math.min(LARGEST, rounded));
        }
      }
    }
    return new QuantisedMatrix(rows, columns, BLOCK_SIZE, values, scales);
  }

  private static void requireFinite(String name, float[] floats) {
    for (int i = 0; i < floats.length; i++) {
      if (!Float.isFinite(floats[i])) {
        throw new ModelException(
            "%s: %s at element %d (expected: finite weights)".formatted(name, floats[i], i));
      }
    }
  }
}
