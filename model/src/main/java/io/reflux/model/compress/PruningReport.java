package io.reflux.model.compress;

import java.util.List;

/**
 * What pruning cost, measured on the sequences that it was calibrated on.
 *
 * @param blockImportance of every layer of the dense model, 0 to 2: one minus the mean cosine of
 *     its input and output; empty when no layer was to go
 * @param matrices what was cut, in the order of the layers
 * @param parametersBefore numbers of the dense model
 * @param parametersAfter numbers of the pruned model
 */
public record PruningReport(
    List<Double> blockImportance,
    List<PrunedMatrix> matrices,
    long parametersBefore,
    long parametersAfter) {
  public PruningReport {
    blockImportance = List.copyOf(blockImportance);
    matrices = List.copyOf(matrices);
  }

  /**
   * A matrix whose inputs were cut.
   *
   * @param layer of the dense model
   * @param part neurons or kv
   * @param before groups of inputs
   * @param kept of these
   * @param maskedError ‖XB̂ − XB‖² / ‖XB̂‖² of its outputs when the rest stays as it was
   * @param refittedError the same when the rest is refitted
   */
  public record PrunedMatrix(
      int layer,
      PruningTarget.Part part,
      int before,
      int kept,
      double maskedError,
      double refittedError) {}
}
