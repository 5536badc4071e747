package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The head alone, on hidden states and weights that a test chooses. */
final class HeadHarness implements AutoCloseable {
  private static final String SOURCE =
      """
      class Kernels(Module):
        __parameters__ = []
        __buffers__ = []
        training : bool
      $HEAD
        def run(self: __torch__.Kernels, h: Tensor, w: Tensor, kind: Tensor, $SIGNATURE) -> Tensor:
          backward = int(kind[0]) == 1
          dw = torch.zeros_like(w)
          stats, dh = self.head(h, w, dw, $ARGUMENTS, backward)
          flat = [torch.reshape(stats, [-1])]
          if backward:
            flat = [torch.reshape(stats, [-1]), torch.reshape(dh, [-1]), torch.reshape(dw, [-1])]
          return torch.cat(flat)
      """;

  private final NDManager manager = Torch.newManager("cpu");
  private final TorchModule module;

  HeadHarness(Precision precision) {
    Torch.prepareThread(1);
    module =
        new TorchModule(
            manager,
            SOURCE
                .replace("$HEAD", HeadSource.of(precision))
                .replace("$SIGNATURE", HeadSource.signature())
                .replace("$ARGUMENTS", HeadSource.arguments()));
  }

  /**
   * What the head made of a batch.
   *
   * @param hidden gradient, [rows of the batch, hidden]; of rows without a weight 0
   * @param weights gradient, [vocabulary, hidden]
   */
  record Result(Losses losses, float[] hidden, float[] weights) {}

  /** With hidden states that are the logits: the gradient of h is that of z. */
  Result onLogits(List<TrainingSequence> batch, double[][] logits) {
    return onLogits(batch, logits, new ChunkSize(3, 2), Batch.totalWeight(batch));
  }

  Result onLogits(
      List<TrainingSequence> batch, double[][] logits, ChunkSize size, double totalWeight) {
    int vocabulary = logits[0].length;
    float[] identity = new float[vocabulary * vocabulary];
    for (int i = 0; i < vocabulary; i++) {
      identity[i * vocabulary + i] = 1;
    }
    float[] hidden = new float[logits.length * vocabulary];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = (float) logits[i / vocabulary][i % vocabulary];
    }
    return run(batch, hidden, identity, vocabulary, size, totalWeight, true);
  }

  Result run(List<TrainingSequence> batch, float[] hidden, float[] weights, int vocabulary) {
    return run(
        batch, hidden, weights, vocabulary, new ChunkSize(3, 2), Batch.totalWeight(batch), true);
  }

  Result forward(List<TrainingSequence> batch, float[] hidden, float[] weights, int vocabulary) {
    return run(
        batch, hidden, weights, vocabulary, new ChunkSize(3, 2), Batch.totalWeight(batch), false);
  }

  @Override
  public void close() {
    module.close();
    manager.close();
  }

  private Result run(
      List<TrainingSequence> batch,
      float[] hidden,
      float[] weights,
      int vocabulary,
      ChunkSize size,
      double totalWeight,
      boolean backward) {
    int width = weights.length / vocabulary;
    int allRows = hidden.length / width;
    RowTargets targets = new RowTargets(batch, vocabulary, totalWeight);
    long[] rows = targets.select(java.util.stream.LongStream.range(0, allRows).toArray());
    float[] kept = new float[rows.length * width];
    for (int i = 0; i < rows.length; i++) {
      System.arraycopy(hidden, (int) rows[i] * width, kept, i * width, width);
    }
    float[] flat;
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      List<NDArray> inputs = new ArrayList<>();
      inputs.add(TorchArrays.floats(manager, kept, rows.length, width));
      inputs.add(TorchArrays.floats(manager, weights, vocabulary, width));
      inputs.add(TorchArrays.longs(manager, new long[] {backward ? 1 : 0}, 1));
      inputs.addAll(targets.tensors(manager, size));
      flat = module.call("run", inputs.toArray(NDArray[]::new)).toFloatArray();
    }
    int stats = rows.length * HeadSource.RESULTS;
    Losses losses = targets.losses(Arrays.copyOf(flat, stats));
    float[] dh = new float[hidden.length];
    float[] dw = new float[weights.length];
    if (backward) {
      for (int i = 0; i < rows.length; i++) {
        System.arraycopy(flat, stats + i * width, dh, (int) rows[i] * width, width);
      }
      System.arraycopy(flat, stats + kept.length, dw, 0, dw.length);
    }
    return new Result(losses, dh, dw);
  }
}
