package io.reflux.model.runtime;

import io.reflux.model.ModelException;
import java.util.Locale;

/**
 * The element type that a model's layers and key-value memory have when it runs. Final norm, head,
 * log-softmax and every output are float32 in each.
 */
public enum Precision {
  /**
   * {@link #F32} on the processor. On a GPU {@link #BF16} for a model whose weights are stored in
   * it, and {@link #F16} for any other.
   */
  AUTO,
  F32,
  /**
   * Three decimal digits; refuses weights beyond 65,504. On the processor it is there to be tested:
   * ONNX Runtime multiplies there in software, a thousand times slower than in F32.
   */
  F16,
  BF16;

  /**
   * Reads {@code auto}, {@code f32}, {@code f16} or {@code bf16}, in any case.
   *
   * @throws ModelException if it is none of these
   */
  public static Precision parse(String name) {
    for (Precision precision : values()) {
      if (precision.toString().equals(name.strip().toLowerCase(Locale.ROOT))) {
        return precision;
      }
    }
    throw new ModelException("precision: " + name + " (expected: auto, f32, f16 or bf16)");
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
