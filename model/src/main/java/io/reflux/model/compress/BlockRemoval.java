package io.reflux.model.compress;

import io.reflux.model.ModelException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.ejml.data.DMatrixRMaj;
import org.ejml.dense.row.CommonOps_DDRM;
import org.ejml.dense.row.mult.VectorVectorMult_DDRM;

/**
 * Which blocks of a matrix's inputs to keep, and what the rest of the matrix must become: OSSCAR
 * (arXiv 2403.12983). With dense weights B̂ [inputs, outputs] and Σ = XᵀX, the objective is f(S) =
 * min over B that are zero outside S of ½·tr((B̂ − B)ᵀ·H·(B̂ − B)), H = Σ + damping·mean(diag Σ)·I.
 * Everything in double precision.
 */
final class BlockRemoval {
  /** Below this share of the objective an improvement may be rounding. */
  private static final double SMALLEST_GAIN = 1e-9;

  private final String name;
  private final int inputs;
  private final int blockSize;
  private final DMatrixRMaj sums;
  private final DMatrixRMaj dense;
  private final DMatrixRMaj damped;
  private final DMatrixRMaj products;
  private final boolean[] kept;
  // (H_SS)⁻¹ and the best B for what is kept; both zero in the rows of what is not.
  private DMatrixRMaj inverse;
  private DMatrixRMaj best;

  /**
   * Starts with all blocks.
   *
   * @param name of the matrix, for messages
   * @param sums Σ, [inputs, inputs]
   * @param weights [outputs, inputs], as a checkpoint has them
   * @param blockSize inputs that go or stay together; divides the inputs
   * @param damping above 0
   * @throws ModelException if weights are not finite
   */
  BlockRemoval(String name, float[] sums, float[] weights, int blockSize, double damping) {
    this.name = name;
    this.inputs = (int) Math.sqrt(sums.length);
    this.blockSize = blockSize;
    this.sums = new DMatrixRMaj(inputs, inputs);
    for (int i = 0; i < sums.length; i++) {
      this.sums.data[i] = sums[i];
    }
    int outputs = weights.length / inputs;
    this.dense = new DMatrixRMaj(inputs, outputs);
    for (int output = 0; output < outputs; output++) {
      for (int input = 0; input < inputs; input++) {
        float weight = weights[output * inputs + input];
        if (!Float.isFinite(weight)) {
          throw new ModelException(
              "%s: %s at element %d (expected: finite weights)"
                  .formatted(name, weight, output * inputs + input));
        }
        dense.data[input * outputs + output] = weight;
      }
    }
    this.damped = this.sums.copy();
    double mean = CommonOps_DDRM.trace(this.sums) / inputs;
    // Inputs that are all zero say nothing: the size of weights decides.
    double added = mean > 0 ? damping * mean : 1;
    for (int i = 0; i < inputs; i++) {
      damped.data[i * inputs + i] += added;
    }
    this.products = CommonOps_DDRM.mult(damped, dense, null);
    this.kept = new boolean[inputs / blockSize];
    Arrays.fill(kept, true);
    solve();
  }

  /** Blocks that are kept, in order. */
  List<Integer> kept() {
    return IntStream.range(0, kept.length).filter(block -> kept[block]).boxed().toList();
  }

  /** What f rises by when a kept block goes: δ_J = ½·tr(B_Jᵀ·((H_SS)⁻¹_JJ)⁻¹·B_J). */
  double cost(int block) {
    int outputs = best.numCols;
    if (blockSize == 1) {
      double squares = 0;
      for (int i = block * outputs; i < (block + 1) * outputs; i++) {
        squares += best.data[i] * best.data[i];
      }
      return squares / (2 * inverse.data[block * inputs + block]);
    }
    int[] rows = rows(block);
    DMatrixRMaj own = rowsOf(best, rows);
    return half(own, CommonOps_DDRM.mult(inverted(square(inverse, rows)), own, null));
  }

  /** f(S) of what is kept now. */
  double objective() {
    return (VectorVectorMult_DDRM.innerProd(dense, products)
            - VectorVectorMult_DDRM.innerProd(best, products))
        / 2;
  }

  /**
   * Removes the cheapest blocks, a few at a time, until so many are left; then exchanges one block
   * for another while that helps.
   *
   * @param keep blocks to keep, at least 1
   * @param step blocks removed before costs are computed anew
   * @param swapPasses times that every removed block is tried again
   */
  void reduceTo(int keep, int step, int swapPasses) {
    int left = kept.length;
    while (left > keep) {
      List<Integer> cheapest =
          kept().stream()
              .map(block -> new Cost(block, cost(block)))
              .sorted(Comparator.comparingDouble(Cost::cost).thenComparingInt(Cost::block))
              .limit(Math.min(step, left - keep))
              .map(Cost::block)
              .toList();
      remove(cheapest);
      left -= cheapest.size();
    }
    if (keep < kept.length) {
      // Updates have rounded a little each.
      solve();
      int passes = 0;
      while (passes < swapPasses && swapEach()) {
        passes++;
      }
      solve();
    }
  }

  /** The best weights for what is kept, [outputs, inputs], zero in what is removed. */
  float[] refitted() {
    return transposed(best);
  }

  /** The dense weights, [outputs, inputs], zero in what is removed. */
  float[] masked() {
    return transposed(maskedDense());
  }

  /** ‖X·(B̂ − B)‖² / ‖X·B̂‖² for the best B, without damping; 0 when there is no output. */
  double refittedError() {
    return error(best);
  }

  /** ‖X·(B̂ − B)‖² / ‖X·B̂‖² for the dense weights of what is kept. */
  double maskedError() {
    return error(maskedDense());
  }

  private record Cost(int block, double cost) {}

  /** B ← B − M_:R·M_RR⁻¹·B_R and M ← M − M_:R·M_RR⁻¹·M_R:. */
  void remove(List<Integer> blocks) {
    int[] rows = blocks.stream().flatMapToInt(block -> IntStream.of(rows(block))).toArray();
    DMatrixRMaj columns = rowsOf(inverse, rows);
    DMatrixRMaj own = rowsOf(best, rows);
    DMatrixRMaj weighted =
        CommonOps_DDRM.multTransA(columns, inverted(square(inverse, rows)), null);
    CommonOps_DDRM.multAdd(-1, weighted, own, best);
    CommonOps_DDRM.multAdd(-1, weighted, columns, inverse);
    for (int row : rows) {
      Arrays.fill(best.data, row * best.numCols, (row + 1) * best.numCols, 0);
      Arrays.fill(inverse.data, row * inputs, (row + 1) * inputs, 0);
      for (int i = 0; i < inputs; i++) {
        inverse.data[i * inputs + row] = 0;
      }
    }
    blocks.forEach(block -> kept[block] = false);
  }

  /** The inverse of a removal; returns what f falls by. */
  double add(int block) {
    int[] rows = rows(block);
    DMatrixRMaj across = rowsOf(damped, rows);
    // E = I_R − M·H_:R, and the Schur complement is H_R:·E.
    DMatrixRMaj edge = CommonOps_DDRM.multTransB(inverse, across, null);
    CommonOps_DDRM.changeSign(edge);
    for (int i = 0; i < rows.length; i++) {
      edge.data[rows[i] * rows.length + i] += 1;
    }
    DMatrixRMaj complement = inverted(CommonOps_DDRM.mult(across, edge, null));
    DMatrixRMaj missing = rowsOf(products, rows);
    CommonOps_DDRM.multAdd(-1, across, best, missing);
    DMatrixRMaj solved = CommonOps_DDRM.mult(complement, missing, null);
    CommonOps_DDRM.multAdd(edge, solved, best);
    CommonOps_DDRM.multAddTransB(CommonOps_DDRM.mult(edge, complement, null), edge, inverse);
    kept[block] = true;
    return half(missing, solved);
  }

  /** Tries each removed block for the cheapest kept one; true when one was exchanged. */
  private boolean swapEach() {
    boolean exchanged = false;
    for (int block = 0; block < kept.length; block++) {
      if (kept[block]) {
        continue;
      }
      DMatrixRMaj inverseBefore = inverse.copy();
      DMatrixRMaj bestBefore = best.copy();
      double before = objective();
      double gain = add(block);
      int cheapest = block;
      double least = cost(block);
      for (int other : kept()) {
        double cost = cost(other);
        if (cost < least) {
          least = cost;
          cheapest = other;
        }
      }
      if (cheapest != block && gain - least > SMALLEST_GAIN * before) {
        remove(List.of(cheapest));
        exchanged = true;
      } else {
        kept[block] = false;
        inverse = inverseBefore;
        best = bestBefore;
      }
    }
    return exchanged;
  }

  /** (H_SS)⁻¹ and B_S = (H_SS)⁻¹·G_S from the beginning. */
  private void solve() {
    int[] rows = IntStream.range(0, inputs).filter(row -> kept[row / blockSize]).toArray();
    DMatrixRMaj small = inverted(square(damped, rows));
    DMatrixRMaj smallBest = CommonOps_DDRM.mult(small, rowsOf(products, rows), null);
    inverse = new DMatrixRMaj(inputs, inputs);
    CommonOps_DDRM.insert(small, inverse, rows, rows.length, rows, rows.length);
    best = new DMatrixRMaj(inputs, dense.numCols);
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(
          smallBest.data, i * best.numCols, best.data, rows[i] * best.numCols, best.numCols);
    }
  }

  private DMatrixRMaj maskedDense() {
    DMatrixRMaj masked = dense.copy();
    for (int row = 0; row < inputs; row++) {
      if (!kept[row / blockSize]) {
        Arrays.fill(masked.data, row * masked.numCols, (row + 1) * masked.numCols, 0);
      }
    }
    return masked;
  }

  private double error(DMatrixRMaj weights) {
    double energy = VectorVectorMult_DDRM.innerProd(dense, CommonOps_DDRM.mult(sums, dense, null));
    if (!(energy > 0)) {
      return 0;
    }
    DMatrixRMaj lost = CommonOps_DDRM.subtract(dense, weights, (DMatrixRMaj) null);
    // Rounding may leave a little less than nothing.
    return Math.max(
        0, VectorVectorMult_DDRM.innerProd(lost, CommonOps_DDRM.mult(sums, lost, null)) / energy);
  }

  private float[] transposed(DMatrixRMaj matrix) {
    float[] weights = new float[inputs * matrix.numCols];
    for (int input = 0; input < inputs; input++) {
      for (int output = 0; output < matrix.numCols; output++) {
        weights[output * inputs + input] = (float) matrix.data[input * matrix.numCols + output];
      }
    }
    return weights;
  }

  private int[] rows(int block) {
    return IntStream.range(block * blockSize, (block + 1) * blockSize).toArray();
  }

  private static DMatrixRMaj rowsOf(DMatrixRMaj matrix, int[] rows) {
    int columns = matrix.numCols;
    DMatrixRMaj taken = new DMatrixRMaj(rows.length, columns);
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(matrix.data, rows[i] * columns, taken.data, i * columns, columns);
    }
    return taken;
  }

  private static DMatrixRMaj square(DMatrixRMaj matrix, int[] rows) {
    DMatrixRMaj taken = new DMatrixRMaj(rows.length, rows.length);
    CommonOps_DDRM.extract(matrix, rows, rows.length, rows, rows.length, taken);
    return taken;
  }

  private static double half(DMatrixRMaj a, DMatrixRMaj b) {
    return VectorVectorMult_DDRM.innerProd(a, b) / 2;
  }

  private DMatrixRMaj inverted(DMatrixRMaj matrix) {
    DMatrixRMaj result = new DMatrixRMaj(matrix.numRows, matrix.numCols);
    if (!CommonOps_DDRM.invertSPD(matrix, result)) {
      throw new ModelException(
          name + ": sum of inputs is not positive definite (expected: more damping)");
    }
    return result;
  }
}
