package io.reflux.model.compress;

import java.util.stream.IntStream;

/**
 * QuantEase (arXiv 2309.01885): cyclic coordinate descent on tr((W − Ŵ)·Σ·(W − Ŵ)ᵀ) over the
 * numbers of a grid. A weight is moved only when the error falls with it, so the result is never
 * worse than what it starts from.
 */
final class QuantEase {
  /** Passes over the columns; most rows stand still before. */
  private static final int MOST_PASSES = 30;

  private final Grid grid;
  private final float[] sigma;
  private final int columns;

  /**
   * Prepares for one matrix.
   *
   * @param sigma [columns, columns]
   */
  QuantEase(Grid grid, float[] sigma, int columns) {
    this.grid = grid;
    this.sigma = sigma;
    this.columns = columns;
  }

  /**
   * Quantises.
   *
   * @param floats [rows, columns]
   * @param starts each [rows, columns], numbers of the grid; a row begins at the best of them
   * @return numbers of the grid, [rows, columns]
   */
  float[] quantise(float[] floats, int rows, float[]... starts) {
    float[] quantised = new float[floats.length];
    IntStream.range(0, rows).parallel().forEach(row -> quantise(floats, row, starts, quantised));
    return quantised;
  }

  private void quantise(float[] floats, int row, float[][] starts, float[] quantised) {
    float[] start = null;
    double[] slope = null;
    double least = Double.POSITIVE_INFINITY;
    for (float[] candidate : starts) {
      double[] candidateSlope = slope(floats, candidate, row);
      double error = 0;
      for (int j = 0; j < columns; j++) {
        int index = row * columns + j;
        error += ((double) floats[index] - candidate[index]) * candidateSlope[j];
      }
      if (error < least || start == null) {
        start = candidate;
        slope = candidateSlope;
        least = error;
      }
    }
    System.arraycopy(start, row * columns, quantised, row * columns, columns);
    for (int pass = 0; pass < MOST_PASSES; pass++) {
      if (!pass(row, slope, quantised)) {
        return;
      }
    }
  }

  /** (w − ŵ)·Σ of one row: half of what the error falls by a unit of each weight. */
  private double[] slope(float[] floats, float[] quantised, int row) {
    double[] slope = new double[columns];
    for (int j = 0; j < columns; j++) {
      int index = row * columns + j;
      add((double) floats[index] - quantised[index], j, slope);
    }
    return slope;
  }

  /** Whether a weight has moved. */
  private boolean pass(int row, double[] slope, float[] quantised) {
    boolean moved = false;
    for (int j = 0; j < columns; j++) {
      double curvature = sigma[j * columns + j];
      // An input that is always 0 says nothing about its weights.
      if (!(curvature > 0)) {
        continue;
      }
      float now = quantised[row * columns + j];
      float next = grid.nearest(row, j, now + slope[j] / curvature);
      double step = (double) next - now;
      if (step != 0 && step * (step * curvature - 2 * slope[j]) < 0) {
        quantised[row * columns + j] = next;
        add(-step, j, slope);
        moved = true;
      }
    }
    return moved;
  }

  private void add(double factor, int column, double[] slope) {
    if (factor == 0) {
      return;
    }
    int start = column * columns;
    for (int k = 0; k < columns; k++) {
      slope[k] += factor * sigma[start + k];
    }
  }
}
