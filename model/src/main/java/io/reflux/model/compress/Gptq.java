package io.reflux.model.compress;

import io.reflux.model.ModelException;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.factory.DecompositionFactory_DDRM;
import org.ejml.dense.row.factory.LinearSolverFactory_DDRM;
import org.ejml.interfaces.decomposition.CholeskyDecomposition_F64;
import org.ejml.interfaces.linsol.LinearSolverDense;

/**
 * GPTQ (arXiv 2210.17323): columns are rounded one after the other, those of the largest inputs
 * first, and each column's error is taken into the columns that are still to come.
 */
final class Gptq {
  /** What is added to the diagonal, in parts of its mean; ten times more until it suffices. */
  private static final double DAMPING = 0.01;

  private static final double MOST_DAMPING = 1e4;

  /** Columns whose errors are taken into the rest at a time, so that few rows of U are read. */
  private static final int BLOCK = 128;

  private final Grid grid;
  private final int columns;
  private final int[] order;
  // U of H⁻¹ = Uᵀ·U, rows and columns in that order, row-major; null when there are no inputs.
  private final double[] upper;

  /**
   * Prepares for the matrices of one input.
   *
   * @param sigma [columns, columns]
   */
  Gptq(Grid grid, float[] sigma, int columns) {
    this.grid = grid;
    this.columns = columns;
    this.order =
        IntStream.range(0, columns)
            .boxed()
            .sorted(
                (a, b) -> Float.compare(diagonal(sigma, columns, b), diagonal(sigma, columns, a)))
            .mapToInt(Integer::intValue)
            .toArray();
    this.upper = upper(sigma);
  }

  /**
   * Quantises.
   *
   * @param floats [rows, columns]
   * @return numbers of the grid, [rows, columns]
   */
  float[] quantise(float[] floats, int rows) {
    float[] quantised = new float[floats.length];
    IntStream.range(0, rows).parallel().forEach(row -> quantise(floats, row, quantised));
    return quantised;
  }

  private void quantise(float[] floats, int row, float[] quantised) {
    double[] rest = new double[columns];
    for (int j = 0; j < columns; j++) {
      rest[j] = floats[row * columns + order[j]];
    }
    double[] errors = new double[BLOCK];
    for (int from = 0; from < columns; from += BLOCK) {
      int to = Math.min(columns, from + BLOCK);
      for (int j = from; j < to; j++) {
        float nearest = grid.nearest(row, order[j], rest[j]);
        quantised[row * columns + order[j]] = nearest;
        errors[j - from] = upper == null ? 0 : (rest[j] - nearest) / upper[j * columns + j];
        takeIn(errors[j - from], j, j + 1, to, rest);
      }
      for (int j = from; j < to; j++) {
        takeIn(errors[j - from], j, to, columns, rest);
      }
    }
  }

  private void takeIn(double error, int column, int from, int to, double[] rest) {
    if (error == 0) {
      return;
    }
    int start = column * columns;
    for (int k = from; k < to; k++) {
      rest[k] -= error * upper[start + k];
    }
  }

  private double[] upper(float[] sigma) {
    double mean = 0;
    for (int j = 0; j < columns; j++) {
      mean += Math.max(0, diagonal(sigma, columns, j)) / columns;
    }
    if (mean == 0) {
      return null;
    }
    for (double damping = DAMPING; damping <= MOST_DAMPING; damping *= 10) {
      double[] upper = upper(sigma, damping * mean);
      if (upper != null) {
        return upper;
      }
    }
    throw new ModelException("gptq: sum of inputs: not positive (expected: XᵀX of some inputs)");
  }

  /** Null when it is not positive definite. */
  private double[] upper(float[] sigma, double damping) {
    DMatrixRMaj hessian = new DMatrixRMaj(columns, columns);
    for (int i = 0; i < columns; i++) {
      for (int j = 0; j < columns; j++) {
        hessian.data[i * columns + j] = sigma[order[i] * columns + order[j]];
      }
      hessian.data[i * columns + i] += damping;
    }
    LinearSolverDense<DMatrixRMaj> solver = LinearSolverFactory_DDRM.chol(columns);
    if (!solver.setA(hessian)) {
      return null;
    }
    DMatrixRMaj inverse = new DMatrixRMaj(columns, columns);
    solver.invert(inverse);
    CholeskyDecomposition_F64<DMatrixRMaj> cholesky =
        DecompositionFactory_DDRM.chol(columns, false);
    if (!cholesky.decompose(inverse)) {
      return null;
    }
    double[] upper = cholesky.getT(null).data;
    return Arrays.stream(upper).allMatch(Double::isFinite) ? upper : null;
  }

  private static float diagonal(float[] sigma, int columns, int j) {
    return sigma[j * columns + j];
  }
}
