package io.reflux.model.runtime;

import io.reflux.model.ModelException;

/**
 * How ONNX Runtime runs a model.
 *
 * @param threads intra-op threads
 * @param device {@code cpu}, {@code cuda} or {@code cuda:N}
 */
public record RuntimeOptions(int threads, String device) {
  /** One thread on the processor. */
  public static final RuntimeOptions DEFAULT = new RuntimeOptions(1, "cpu");

  public RuntimeOptions {
    if (threads < 1) {
      throw new ModelException("threads: " + threads + " (expected: at least 1)");
    }
  }
}
