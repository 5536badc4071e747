package io.reflux.model.checkpoint;

import java.util.List;

/**
 * What a tensor is called, and its shape.
 *
 * @param dtype how it is stored, whatever {@link Weights#floats} turns it into
 * @param shape outermost dimension first
 */
public record TensorInfo(String name, DType dtype, List<Long> shape) {
  public TensorInfo {
    shape = List.copyOf(shape);
  }

  /** Product of the shape. */
  public long elements() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }
}
