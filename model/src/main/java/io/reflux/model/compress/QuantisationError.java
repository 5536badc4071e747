package io.reflux.model.compress;

import java.util.stream.IntStream;

/** What quantisation costs a matrix on the inputs that it has. */
public final class QuantisationError {
  private QuantisationError() {}

  /**
   * The sum over calibration tokens of the squared change of the matrix's output: tr((W − Ŵ)·Σ·(W −
   * Ŵ)ᵀ).
   *
   * @param floats W, [rows, columns], row-major
   * @param quantised Ŵ, of the same shape, dequantised
   * @param sigma XᵀX of the matrix's inputs, [columns, columns]
   */
  public static double of(float[] floats, float[] quantised, float[] sigma) {
    int columns = (int) Math.round(Math.sqrt(sigma.length));
    if ((long) columns * columns != sigma.length
        || floats.length != quantised.length
        || floats.length % columns != 0) {
      throw new IllegalArgumentException(
          "%d and %d weights, sum of %d (expected: [rows, columns] twice, [columns, columns])"
              .formatted(floats.length, quantised.length, sigma.length));
    }
    double[] errors =
        IntStream.range(0, floats.length / columns)
            .parallel()
            .mapToDouble(row -> of(floats, quantised, sigma, row * columns, columns))
            .toArray();
    double sum = 0;
    for (double error : errors) {
      sum += error;
    }
    return sum;
  }

  /**
   * The same in parts of what the matrix puts out: 0 for no change.
   *
   * @return of(…) / tr(W·Σ·Wᵀ), and 0 when the matrix puts out nothing
   */
  public static double relative(float[] floats, float[] quantised, float[] sigma) {
    double whole = of(floats, new float[floats.length], sigma);
    return whole == 0 ? 0 : of(floats, quantised, sigma) / whole;
  }

  private static double of(
      float[] floats, float[] quantised, float[] sigma, int from, int columns) {
    double sum = 0;
    double[] change = new double[columns];
    for (int j = 0; j < columns; j++) {
      change[j] = (double) floats[from + j] - quantised[from + j];
    }
    for (int i = 0; i < columns; i++) {
      if (change[i] == 0) {
        continue;
      }
      double product = 0;
      for (int j = 0; j < columns; j++) {
        product += sigma[i * columns + j] * change[j];
      }
      sum += change[i] * product;
    }
    return sum;
  }
}
