package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;
import java.util.Locale;

/** How a model's matrices are stored; norms and biases are float32 beside any of them. */
public enum WeightFormat {
  /** Plain floats. */
  NONE(DType.F32),
  /** 8-bit integers, symmetric, a scale a block. */
  INT8(DType.I8),
  /** 4-bit integers, symmetric, a scale a block; some matrices may have 8 bits. */
  INT4(DType.I4),
  /** 8-bit floats with 4 bits of exponent, a scale a row or a matrix. */
  FP8(DType.F8_E4M3);

  private final DType dtype;

  WeightFormat(DType dtype) {
    this.dtype = dtype;
  }

  /** The element type that {@link Checkpoints#save} takes to store this format. */
  public DType dtype() {
    return dtype;
  }

  /**
   * Reads {@code none}, {@code int8}, {@code int4} or {@code fp8}, in any case.
   *
   * @throws ModelException if it is none of these
   */
  public static WeightFormat parse(String name) {
    for (WeightFormat format : values()) {
      if (format.toString().equals(name.strip().toLowerCase(Locale.ROOT))) {
        return format;
      }
    }
    throw new ModelException("weight format: " + name + " (expected: none, int8, int4 or fp8)");
  }

  /** The format that a model has: of several the one with the fewest bits. */
  public static WeightFormat of(Weights weights) {
    WeightFormat found = NONE;
    for (TensorInfo tensor : weights.tensors()) {
      for (WeightFormat format : values()) {
        if (format.dtype == tensor.dtype() && format.dtype.bits() < found.dtype.bits()) {
          found = format;
        }
      }
    }
    return found;
  }

  /** The format whose matrices are stored so. */
  static WeightFormat of(DType dtype) {
    for (WeightFormat format : values()) {
      if (format.dtype == dtype) {
        return format;
      }
    }
    return NONE;
  }

  /** Whether a model of this format may have a matrix of that one. */
  boolean admits(WeightFormat matrix) {
    return matrix == this || (this == INT4 && matrix == INT8);
  }

  /** As {@link #parse} reads it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
