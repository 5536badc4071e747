package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import java.util.ArrayList;
import java.util.List;

/**
 * Head and loss without a trunk before them, forward and back, so that they can be measured and
 * compared alone. The gradients of hidden states and head are found as in training.
 */
public final class LossKernel implements AutoCloseable {
  private static final String SOURCE =
      """
      class Kernels(Module):
        __parameters__ = []
        __buffers__ = []
        training : bool
      $HEAD
        def alone(self: __torch__.Kernels, h: Tensor, w: Tensor, dw: Tensor, $ROW_SIGNATURE) -> Tensor:
          stats, dh = self.head(h, w, dw, $ROW_ARGUMENTS, True)
          return stats
      """;

  private final NDManager manager = Torch.newManager("cpu");
  private final TorchModule kernels;
  private final NDArray hidden;
  private final NDArray head;
  private final NDArray headGradient;
  private final int threads;

  /**
   * @param hidden [rows, hiddenSize], of every row that has a weight
   * @param head [vocabularySize, hiddenSize]
   */
  public LossKernel(float[] hidden, float[] head, int hiddenSize, int threads) {
    this.threads = threads;
    this.kernels =
        new TorchModule(
            manager,
            SOURCE
                .replace("$HEAD", HeadSource.of(Precision.F32))
                .replace("$ROW_SIGNATURE", HeadSource.signature())
                .replace("$ROW_ARGUMENTS", HeadSource.arguments()));
    this.hidden = TorchArrays.floats(manager, hidden, hidden.length / hiddenSize, hiddenSize);
    this.head = TorchArrays.floats(manager, head, head.length / hiddenSize, hiddenSize);
    this.headGradient = manager.zeros(this.head.getShape());
  }

  /** The batch's loss; its gradients are added to those of earlier calls. */
  public Losses accumulate(Batch batch) {
    Torch.prepareThread(threads);
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      List<NDArray> inputs = new ArrayList<>(List.of(hidden, head, headGradient));
      inputs.addAll(batch.rowTargets().tensors(manager));
      NDArray results = kernels.call("alone", inputs.toArray(NDArray[]::new));
      return batch.rowTargets().losses(results.toFloatArray());
    }
  }

  @Override
  public void close() {
    kernels.close();
    manager.close();
  }
}
