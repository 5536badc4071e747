package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import io.reflux.model.ModelException;

/**
 * Moves flat tensors between a device and the Java heap, a part at a time: what lies between is
 * small, and a tensor may be larger than a Java buffer.
 */
final class FlatTensors {
  private static final int PART = 1 << 22;

  private final NDManager host;
  private final TorchModule kernels;

  /**
   * Uses a module's methods.
   *
   * @param host of the processor
   */
  FlatTensors(NDManager host, TorchModule kernels) {
    this.host = host;
    this.kernels = kernels;
  }

  /** The tensor that a state must have. */
  static float[] require(ModelState state, String name, int floats) {
    float[] values = state.tensors().get(name);
    if (values == null || values.length != floats) {
      throw new ModelException(
          "training state: %s %s (expected: %d, as the student's shape has)"
              .formatted(values == null ? "no" : values.length, name, floats));
    }
    return values;
  }

  /** Copies out of a tensor. */
  void read(NDArray flat, int from, float[] into, int at, int length) {
    for (int done = 0; done < length; done += PART) {
      int n = Math.min(PART, length - done);
      try (NDScope scope = new NDScope()) {
        scope.suppressNotUsedWarning();
        NDArray part =
            kernels.call("part", flat, TorchArrays.longs(host, range(from + done, n), 2));
        System.arraycopy(part.toFloatArray(), 0, into, at + done, n);
      }
    }
  }

  /** All of a tensor. */
  float[] read(NDArray flat, int floats) {
    float[] values = new float[floats];
    read(flat, 0, values, 0, floats);
    return values;
  }

  /** Copies into a tensor. */
  void write(NDArray flat, int from, float[] values, int at, int length) {
    for (int done = 0; done < length; done += PART) {
      int n = Math.min(PART, length - done);
      float[] part = new float[n];
      System.arraycopy(values, at + done, part, 0, n);
      try (NDScope scope = new NDScope()) {
        scope.suppressNotUsedWarning();
        kernels.call(
            "assign",
            flat,
            TorchArrays.floats(host, part, n),
            TorchArrays.longs(host, range(from + done, n), 2));
      }
    }
  }

  /** Adds another device's tensor to one, a part at a time. */
  void add(NDArray flat, NDArray other, int floats) {
    for (int done = 0; done < floats; done += PART) {
      try (NDScope scope = new NDScope()) {
        scope.suppressNotUsedWarning();
        NDArray where = TorchArrays.longs(host, range(done, Math.min(PART, floats - done)), 2);
        kernels.call("gather", flat, other, where);
      }
    }
  }

  /** Makes a tensor equal to another device's. */
  void copy(NDArray flat, NDArray other) {
    kernels.call("copy", flat, other).close();
  }

  /** Sets all of a tensor to zero. */
  void clear(NDArray flat) {
    kernels.call("clear", flat).close();
  }

  private static long[] range(int from, int length) {
    return new long[] {from, length};
  }
}
