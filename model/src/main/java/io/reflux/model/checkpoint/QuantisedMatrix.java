package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;

/**
 * A weight matrix in blocks of 8-bit integers: {@code w[r][c] = scale[r][c / blockSize] *
 * (values[r][c])}, symmetric, values in [-127, 127].
 *
 * @param rows output features
 * @param columns input features
 * @param blockSize input features that share a scale
 * @param values [rows, columns], row-major
 * @param scales [rows, ceil(columns / blockSize)], row-major
 */
@SuppressWarnings("ArrayRecordComponent") // millions of elements, handed on without a copy
public record QuantisedMatrix(int rows, int columns, int blockSize, byte[] values, float[] scales) {
  public QuantisedMatrix {
    if (rows < 1 || columns < 1 || blockSize < 1) {
      throw new ModelException(
          "quantised matrix: rows %d, columns %d, block size %d (expected: all at least 1)"
              .formatted(rows, columns, blockSize));
    }
    if (values.length != (long) rows * columns) {
      throw new ModelException(
          "quantised matrix: %d values (expected: %d x %d)"
              .formatted(values.length, rows, columns));
    }
    if (scales.length != (long) rows * blocks(columns, blockSize)) {
      throw new ModelException(
          "quantised matrix: %d scales (expected: %d x %d)"
              .formatted(scales.length, rows, blocks(columns, blockSize)));
    }
  }

  /** Scales a row. */
  public int blocks() {
    return blocks(columns, blockSize);
  }

  /** The float32 matrix, [rows, columns]. */
  public float[] dequantised() {
    float[] floats = new float[values.length];
    int blocks = blocks();
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        int index = row * columns + column;
        floats[index] = scales[row * blocks + column / blockSize] * values[index];
      }
    }
    return floats;
  }

  private static int blocks(int columns, int blockSize) {
    return (int) (((long) columns + blockSize - 1) / blockSize);
  }
}
