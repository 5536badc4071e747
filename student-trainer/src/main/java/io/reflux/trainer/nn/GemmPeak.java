package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import java.time.Duration;

/**
 * What a device does at most: the rate of large float32 matrix products, which MFU is a share of.
 */
public final class GemmPeak {
  private static final int SIDE = 1024;
  private static final int LEAST_PRODUCTS = 3;

  private GemmPeak() {}

  /**
   * Measures it; the best of several products, so that another's load tells little.
   *
   * @param device {@code cpu} or {@code cuda[:N]}
   * @param threads of libtorch
   * @param time spent at most, after the first products
   * @return floating-point operations a second
   */
  public static double measure(String device, int threads, Duration time) {
    try (NDManager manager = Torch.newManager(device)) {
      Torch.prepareThread(threads);
      NDArray left = manager.full(new Shape(SIDE, SIDE), 0.5f, DataType.FLOAT32);
      NDArray right = manager.full(new Shape(SIDE, SIDE), 0.25f, DataType.FLOAT32);
      long started = System.nanoTime();
      long fastest = Long.MAX_VALUE;
      int products = 0;
      while (products < LEAST_PRODUCTS || System.nanoTime() - started < time.toNanos()) {
        long before = System.nanoTime();
        try (NDArray product = left.matMul(right);
            NDArray corner = product.get("0,0")) {
          // Reading a value waits for a device that works beside.
          corner.getFloat();
        }
        fastest = Math.min(fastest, System.nanoTime() - before);
        products++;
      }
      return 2.0 * SIDE * SIDE * SIDE * 1e9 / fastest;
    }
  }
}
