package io.reflux.model.compress;

import io.reflux.model.checkpoint.Float8;
import io.reflux.model.checkpoint.Halves;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.WeightFormat;
import java.util.Arrays;

/**
 * The numbers that each weight of a matrix can become: its scales, fitted once, and the values that
 * a format has. Every method chooses among these.
 */
final class Grid {
  private static final int INT8_LARGEST = 127;
  private static final int INT4_SMALLEST = -8;
  private static final int INT4_LARGEST = 7;
  // For 4 bits steps are tried that reach a block's largest weight at 7, at 8 and, clipping it, at
  // up to 12 of them: a smaller step for all of them is often worth that.
  private static final int WIDEST = 48;
  private static final int NARROWEST = 28;
  private static final double REACHES_EIGHT = 42;
  private static final double SMALLEST_NORMAL_FLOAT16 = 0x1p-14;

  private final WeightFormat format;
  private final int rows;
  private final int columns;
  private final int blockSize;
  private final int blocks;
  private final float[] scales;

  private Grid(WeightFormat format, int rows, int columns, int blockSize, float[] scales) {
    this.format = format;
    this.rows = rows;
    this.columns = columns;
    this.blockSize = blockSize;
    this.blocks = (columns + blockSize - 1) / blockSize;
    this.scales = scales;
  }

  /**
   * Fits scales.
   *
   * @param floats [rows, columns], row-major, finite
   * @param blockSize columns that share a scale; of FP8 it is always the row
   * @param importance [columns], what an error of each input's weights counts; null for all alike
   */
  static Grid fit(
      WeightFormat format,
      float[] floats,
      int rows,
      int columns,
      int blockSize,
      float[] importance) {
    int block = format == WeightFormat.FP8 ? columns : blockSize;
    Grid grid =
        new Grid(
            format,
            rows,
            columns,
            block,
            new float[Math.multiplyExact(rows, (columns + block - 1) / block)]);
    for (int row = 0; row < rows; row++) {
      for (int b = 0; b < grid.blocks; b++) {
        int from = b * block;
        int count = Math.min(columns - from, block);
        grid.scales[row * grid.blocks + b] =
            grid.scale(floats, row * columns + from, count, importance, from);
      }
    }
    return grid;
  }

  /** The number nearest to a value that the weight can become. */
  float nearest(int row, int column, double value) {
    float scale = scales[row * blocks + column / blockSize];
    // A block so small that its scale is 0 is a block of zeros.
    return scale == 0 ? 0 : scale * code(value / scale);
  }

  /**
   * The matrix of the nearest numbers.
   *
   * @param values [rows, columns]
   */
  QuantisedMatrix matrix(float[] values) {
    byte[] codes = new byte[values.length];
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        int index = row * columns + column;
        float scale = scales[row * blocks + column / blockSize];
        float code = scale == 0 ? 0 : code(values[index] / (double) scale);
        codes[index] = format == WeightFormat.FP8 ? Float8.toE4m3(code) : (byte) code;
      }
    }
    return format == WeightFormat.INT4
        ? QuantisedMatrix.int4(rows, columns, blockSize, codes, scales)
        : new QuantisedMatrix(format, rows, columns, blockSize, codes, scales);
  }

  private float code(double steps) {
    return switch (format) {
      case INT8 -> (float) clamp(Math.rint(steps), -INT8_LARGEST, INT8_LARGEST);
      case INT4 -> (float) clamp(Math.rint(steps), INT4_SMALLEST, INT4_LARGEST);
      case FP8 -> Float8.fromE4m3(Float8.toE4m3((float) steps));
      case NONE -> throw new IllegalStateException("plain numbers have no grid");
    };
  }

  private float scale(float[] floats, int from, int count, float[] importance, int column) {
    float largest = 0;
    for (int i = from; i < from + count; i++) {
      largest = Math.abs(floats[i]) > Math.abs(largest) ? floats[i] : largest;
    }
    return switch (format) {
      case INT8 -> Math.abs(largest) / INT8_LARGEST;
      case FP8 -> Math.abs(largest) / Float8.MAX;
      case INT4 -> largest == 0 ? 0 : scale4(floats, from, count, importance, column, largest);
      case NONE -> throw new IllegalStateException("plain numbers have no grid");
    };
  }

  /**
   * The scale of least squared error among some. Its sign is such that the largest weight becomes
   * -8, the one number that has no opposite.
   */
  private float scale4(
      float[] floats, int from, int count, float[] importance, int column, float largest) {
    float[] weights = new float[count];
    Arrays.fill(weights, 1);
    if (importance != null) {
      System.arraycopy(importance, column, weights, 0, count);
    }
    float best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int step = WIDEST; step >= NARROWEST; step--) {
      double first = largest / (double) INT4_SMALLEST * (step / REACHES_EIGHT);
      // For the integers that this scale gives another one may be better still.
      double refitted = refit4(floats, from, weights, first);
      for (double candidate : new double[] {first, refitted}) {
        float scale = roundedScale(candidate);
        double error = scale == 0 ? Double.POSITIVE_INFINITY : error4(floats, from, weights, scale);
        if (error < least) {
          least = error;
          best = scale;
        }
      }
    }
    return best;
  }

  private double refit4(float[] floats, int from, float[] weights, double scale) {
    double above = 0;
    double below = 0;
    for (int i = 0; i < weights.length; i++) {
      double integer = code(floats[from + i] / scale);
      above += weights[i] * integer * floats[from + i];
      below += weights[i] * integer * integer;
    }
    return below == 0 ? scale : above / below;
  }

  private double error4(float[] floats, int from, float[] weights, float scale) {
    double sum = 0;
    for (int i = 0; i < weights.length; i++) {
      double error = floats[from + i] - (double) (scale * code(floats[from + i] / (double) scale));
      sum += weights[i] * error * error;
    }
    return sum;
  }

  /** Formats that have float16 scales then hold the same numbers. */
  private static float roundedScale(double scale) {
    boolean normal =
        Math.abs(scale) >= SMALLEST_NORMAL_FLOAT16 && Math.abs(scale) <= Halves.MAX_FLOAT16;
    return normal ? Halves.fromFloat16(Halves.toFloat16((float) scale)) : (float) scale;
  }

  private static double clamp(double value, double least, double most) {
    return Math.max(least, Math.min(most, value));
  }
}
