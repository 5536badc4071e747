package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;

/**
 * The one place where Java data becomes native tensors.
 *
 * <p>On the processor {@code manager.create(float[])} aliases a Java direct buffer. Whatever keeps
 * such a tensor beyond the Java object, as an autograd graph does, reads freed memory after the
 * next collection and trains wrong without a word. Every tensor made here owns its memory: the
 * alias is copied before anybody sees it, and stays reachable through its manager until then.
 */
public final class TorchArrays {
  private TorchArrays() {}

  /** A float32 tensor of its own. */
  public static NDArray floats(NDManager manager, float[] values, long... shape) {
    return owned(manager.create(values, new Shape(shape)));
  }

  /** An int64 tensor of its own. */
  public static NDArray longs(NDManager manager, long[] values, long... shape) {
    return owned(manager.create(values, new Shape(shape)));
  }

  /** A float64 vector of its own. */
  public static NDArray doubles(NDManager manager, double... values) {
    return owned(manager.create(values, new Shape(values.length)));
  }

  static NDArray table(NDManager manager, double[] values, long rows, long columns) {
    return owned(manager.create(values, new Shape(rows, columns)));
  }

  /** A float32 vector of zeros. */
  public static NDArray zeros(NDManager manager, long elements) {
    return manager.zeros(new Shape(elements), DataType.FLOAT32);
  }

  private static NDArray owned(NDArray alias) {
    try (alias) {
      return alias.duplicate();
    }
  }
}
