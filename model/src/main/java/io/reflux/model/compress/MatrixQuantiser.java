package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;

/** Quantises one matrix after the other. */
record MatrixQuantiser(WeightFormat format, int blockSize) implements Quantiser {
  private static final int SMALLEST_BLOCK = 16;
  private static final int LARGEST_BLOCK = 256;

  MatrixQuantiser {
    boolean fits =
        blockSize >= SMALLEST_BLOCK
            && blockSize <= LARGEST_BLOCK
            && Integer.bitCount(blockSize) == 1;
    if (!fits) {
      throw new ModelException("block size: " + blockSize + " (expected: 16, 32, 64, 128 or 256)");
    }
  }

  @Override
  public Weights quantise(ModelConfig config, Weights weights) {
    MemoryWeights.Builder quantised = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      float[] floats = weights.floats(tensor.name());
      requireFinite(tensor.name(), floats);
      long[] shape = tensor.shape().stream().mapToLong(Long::longValue).toArray();
      if (shape.length == 2 && format != WeightFormat.NONE) {
        int rows = Math.toIntExact(shape[0]);
        int columns = Math.toIntExact(shape[1]);
        quantised.quantised(
            tensor.name(), nearest(formatOf(tensor.name()), floats, rows, columns, blockSize));
      } else {
        quantised.floats(tensor.name(), shape, floats);
      }
    }
    return quantised.build();
  }

  /**
   * Rounds one matrix to nearest.
   *
   * @param floats [rows, columns], row-major, finite
   */
  static QuantisedMatrix nearest(
      WeightFormat format, float[] floats, int rows, int columns, int blockSize) {
    return Grid.fit(format, floats, rows, columns, blockSize, null).matrix(floats);
  }

  private WeightFormat formatOf(String name) {
    boolean ofWords = name.equals(TensorNames.EMBEDDING) || name.equals(TensorNames.HEAD);
    return format == WeightFormat.INT4 && ofWords ? WeightFormat.INT8 : format;
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
