package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;

/**
 * A weight matrix in few bits: {@code w[r][c] = scale · value[r][c]}, symmetric around zero.
 *
 * <ul>
 *   <li>{@link WeightFormat#INT8}: values [rows, columns], integers in [-127, 127], a scale for
 *       every {@code blockSize} columns of a row.
 *   <li>{@link WeightFormat#INT4}: values [rows, blocks · blockSize / 2], integers in [-8, 7] plus
 *       8, two to a byte, that of the even column in the low half; a row's last block is filled up.
 *       Scales as for INT8.
 *   <li>{@link WeightFormat#FP8}: values [rows, columns], {@link Float8}; the block is the row, and
 *       there is a scale a row, or one for the whole matrix.
 * </ul>
 *
 * @param rows output features
 * @param columns input features
 * @param blockSize input features that share a scale; of FP8 all
 * @param values row-major, as above
 * @param scales [rows, ceil(columns / blockSize)], row-major; of FP8 also [1]
 */
@SuppressWarnings("ArrayRecordComponent") // millions of elements, handed on without a copy
public record QuantisedMatrix(
    WeightFormat format, int rows, int columns, int blockSize, byte[] values, float[] scales) {
  private static final int INT4_ZERO = 8;

  public QuantisedMatrix {
    if (rows < 1 || columns < 1 || blockSize < 1) {
      throw new ModelException(
          "quantised matrix: rows %d, columns %d, block size %d (expected: all at least 1)"
              .formatted(rows, columns, blockSize));
    }
    switch (format) {
      case NONE -> throw new ModelException("quantised matrix: none (expected: int8, int4 or fp8)");
      case INT8 -> {}
      case INT4 -> {
        if (blockSize % 2 != 0) {
          throw new ModelException(
              "quantised matrix: int4: block size: %d (expected: even)".formatted(blockSize));
        }
      }
      case FP8 -> {
        if (blockSize != columns) {
          throw new ModelException(
              "quantised matrix: fp8: block size: %d (expected: %d, the columns)"
                  .formatted(blockSize, columns));
        }
      }
    }
    long width = rowBytes(format, columns, blockSize);
    if (values.length != rows * width) {
      throw new ModelException(
          "quantised matrix: %d values (expected: %d x %d)".formatted(values.length, rows, width));
    }
    boolean oneScale = format == WeightFormat.FP8 && scales.length == 1;
    if (!oneScale && scales.length != (long) rows * blocks(columns, blockSize)) {
      throw new ModelException(
          "quantised matrix: %d scales (expected: %d x %d)"
              .formatted(scales.length, rows, blocks(columns, blockSize)));
    }
    if (format == WeightFormat.FP8) {
      requireNumbers(values);
    }
  }

  /**
   * Packs 4-bit integers.
   *
   * @param integers [rows, columns] in [-8, 7]
   * @param scales [rows, ceil(columns / blockSize)]
   */
  public static QuantisedMatrix int4(
      int rows, int columns, int blockSize, byte[] integers, float[] scales) {
    int width = Math.toIntExact(rowBytes(WeightFormat.INT4, columns, blockSize));
    byte[] packed = new byte[Math.multiplyExact(rows, width)];
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < width; i++) {
        int low = nibble(integers, row * columns, 2 * i, columns);
        int high = nibble(integers, row * columns, 2 * i + 1, columns);
        packed[row * width + i] = (byte) (high << 4 | low);
      }
    }
    return new QuantisedMatrix(WeightFormat.INT4, rows, columns, blockSize, packed, scales);
  }

  /** Scales a row. */
  public int blocks() {
    return blocks(columns, blockSize);
  }

  /** Bytes of values a row. */
  public int rowBytes() {
    return (int) rowBytes(format, columns, blockSize);
  }

  /** What a weight's scale is multiplied with. */
  public float valueAt(int row, int column) {
    return switch (format) {
      case INT8 -> values[row * columns + column];
      case INT4 -> {
        int pair = values[row * rowBytes() + column / 2];
        yield (column % 2 == 0 ? pair & 0xf : pair >>> 4 & 0xf) - INT4_ZERO;
      }
      case FP8 -> Float8.fromE4m3(values[row * columns + column]);
      case NONE -> throw new IllegalStateException("no matrix has this format");
    };
  }

  /**
   * The integers of INT8 and INT4, [rows, columns], row-major.
   *
   * @throws IllegalStateException if the format has none
   */
  public byte[] integers() {
    return switch (format) {
      case INT8 -> values;
      case INT4 -> {
        byte[] integers = new byte[Math.multiplyExact(rows, columns)];
        for (int i = 0; i < integers.length; i++) {
          integers[i] = (byte) valueAt(i / columns, i % columns);
        }
        yield integers;
      }
      case FP8, NONE -> throw new IllegalStateException(format + ": no integers");
    };
  }

  /** What a weight's value is multiplied with. */
  public float scaleAt(int row, int column) {
    return scales[scales.length == 1 ? 0 : row * blocks() + column / blockSize];
  }

  /** The float32 matrix, [rows, columns]. */
  public float[] dequantised() {
    float[] floats = new float[Math.multiplyExact(rows, columns)];
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        floats[row * columns + column] = scaleAt(row, column) * valueAt(row, column);
      }
    }
    return floats;
  }

  static int blocks(int columns, int blockSize) {
    return (int) (((long) columns + blockSize - 1) / blockSize);
  }

  /** Bytes of values a row of any matrix. */
  static long rowBytes(WeightFormat format, int columns, int blockSize) {
    return format == WeightFormat.INT4
        ? (long) blocks(columns, blockSize) * blockSize / 2
        : columns;
  }

  private static int nibble(byte[] integers, int row, int column, int columns) {
    int value = column < columns ? integers[row + column] : 0;
    if (value < -INT4_ZERO || value >= INT4_ZERO) {
      throw new ModelException("int4: " + value + " (expected: -8 to 7)");
    }
    return value + INT4_ZERO;
  }

  private static void requireNumbers(byte[] values) {
    for (int i = 0; i < values.length; i++) {
      if (!Float8.isNumber(values[i])) {
        throw new ModelException("quantised matrix: NaN at %d (expected: numbers)".formatted(i));
      }
    }
  }
}
