package io.reflux.bench.train;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import io.reflux.trainer.nn.Torch;
import io.reflux.trainer.nn.TorchArrays;
import io.reflux.trainer.nn.TorchModule;

/** How fast this machine multiplies float32 matrices. */
final class Products implements AutoCloseable {
  private static final String SOURCE =
      """
      class Kernels(Module):
        __parameters__ = []
        __buffers__ = []
        training : bool

        def multiply(self: __torch__.Kernels, a: Tensor, b: Tensor, times: Tensor) -> Tensor:
          c = torch.mm(a, b)
          for i in range(torch.sub(int(times), 1)):
            _0 = torch.mm(a, b, out=c)
          return torch.sum(c)
      """;

  private final NDManager manager = Torch.newManager("cpu");
  private final TorchModule kernels = new TorchModule(manager, SOURCE);
  private final int threads;

  Products(int threads) {
    this.threads = threads;
  }

  /**
   * Operations a second of {@code [m, k] · [k, n]}, two an addend.
   *
   * @param least operations to take the time of
   */
  double rate(int m, int k, int n, double least) {
    Torch.prepareThread(threads);
    double operations = 2.0 * m * k * n;
    int times = (int) Math.max(1, Math.ceil(least / operations));
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      NDArray a = manager.randomNormal(0, 1, new Shape(m, k), DataType.FLOAT32);
      NDArray b = manager.randomNormal(0, 1, new Shape(k, n), DataType.FLOAT32);
      seconds(a, b, 1);
      return times * operations / seconds(a, b, times);
    }
  }

  private double seconds(NDArray a, NDArray b, int times) {
    NDArray count = TorchArrays.longs(manager, new long[] {times}, 1);
    long started = System.nanoTime();
    kernels.call("multiply", a, b, count).toFloatArray();
    return (System.nanoTime() - started) / 1e9;
  }

  @Override
  public void close() {
    kernels.close();
    manager.close();
  }
}
