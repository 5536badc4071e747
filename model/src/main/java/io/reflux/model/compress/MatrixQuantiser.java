package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import java.util.Optional;

/** Quantises one matrix after the other, the rows of each in parallel. */
record MatrixQuantiser(WeightFormat format, QuantisationMethod method, int blockSize)
    implements Quantiser {
  private static final int SMALLEST_BLOCK = 16;
  private static final int LARGEST_BLOCK = 256;

  /** What an input counts at least for a matrix's scales, in parts of the mean. */
  private static final float LEAST_IMPORTANCE = 0.01f;

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
  public Weights quantise(ModelConfig config, Weights weights, Optional<CalibrationSums> sums) {
    if (format != WeightFormat.NONE && method != QuantisationMethod.RTN && sums.isEmpty()) {
      throw new ModelException(method + ": no calibration (expected: some, or method rtn)");
    }
    MemoryWeights.Builder quantised = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      String name = tensor.name();
      float[] floats = weights.floats(name);
      requireFinite(name, floats);
      long[] shape = tensor.shape().stream().mapToLong(Long::longValue).toArray();
      if (shape.length == 2 && format != WeightFormat.NONE) {
        int rows = Math.toIntExact(shape[0]);
        int columns = Math.toIntExact(shape[1]);
        // What is looked up has no inputs: a tied head is rounded as the embeddings that it is.
        float[] sigma =
            sums.isEmpty() || name.equals(TensorNames.EMBEDDING)
                ? null
                : sigma(sums.get(), name, columns);
        quantised.quantised(
            name, quantise(formatOf(name), method, floats, rows, columns, blockSize, sigma));
      } else {
        quantised.floats(name, shape, floats);
      }
    }
    return quantised.build();
  }

  /**
   * Quantises one matrix.
   *
   * @param floats [rows, columns], row-major, finite
   * @param sigma XᵀX of its inputs, [columns, columns]; null to round to nearest whatever the
   *     method
   */
  static QuantisedMatrix quantise(
      WeightFormat format,
      QuantisationMethod method,
      float[] floats,
      int rows,
      int columns,
      int blockSize,
      float[] sigma) {
    Grid grid = Grid.fit(format, floats, rows, columns, blockSize, importance(sigma, columns));
    QuantisedMatrix nearest = grid.matrix(floats);
    if (sigma == null || method == QuantisationMethod.RTN) {
      return nearest;
    }
    float[] gptq = new Gptq(grid, sigma, columns).quantise(floats, rows);
    return grid.matrix(
        method == QuantisationMethod.GPTQ
            ? gptq
            : new QuantEase(grid, sigma, columns)
                .quantise(floats, rows, nearest.dequantised(), gptq));
  }

  /** The diagonal, lifted a little: what is 0 in this text need not be in the next. */
  private static float[] importance(float[] sigma, int columns) {
    if (sigma == null) {
      return null;
    }
    double mean = 0;
    float[] importance = new float[columns];
    for (int j = 0; j < columns; j++) {
      importance[j] = Math.max(0, sigma[j * columns + j]);
      mean += (double) importance[j] / columns;
    }
    if (mean == 0) {
      return null;
    }
    for (int j = 0; j < columns; j++) {
      importance[j] = (float) (importance[j] / mean) + LEAST_IMPORTANCE;
    }
    return importance;
  }

  private static float[] sigma(CalibrationSums sums, String name, int columns) {
    float[] sigma = sums.of(name);
    if (sigma.length != (long) columns * columns) {
      throw new ModelException(
          "%s: sum of inputs: %d elements (expected: %d x %d, of this model)"
              .formatted(name, sigma.length, columns, columns));
    }
    return sigma;
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
