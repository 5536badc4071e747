package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import java.util.Objects;

/**
 * How ONNX Runtime runs a model.
 *
 * @param threads intra-op threads
 * @param device where the model runs
 * @param precision the element type it is computed in
 */
public record RuntimeOptions(int threads, Device device, Precision precision) {
  /** One thread on the processor. */
  public static final RuntimeOptions DEFAULT = new RuntimeOptions(1, Device.CPU, Precision.AUTO);

  public RuntimeOptions {
    if (threads < 1) {
      throw new ModelException("threads: " + threads + " (expected: at least 1)");
    }
    Objects.requireNonNull(device, "device");
    Objects.requireNonNull(precision, "precision");
  }

  /**
   * Options from a setting.
   *
   * @param device as {@link Device#parse} reads it
   */
  public static RuntimeOptions of(int threads, String device) {
    return new RuntimeOptions(threads, Device.parse(device), Precision.AUTO);
  }
}
