package io.reflux.model.checkpoint;

import java.util.Collection;
import java.util.Optional;

/**
 * Named tensors of one model, under their Hugging Face names. Implementations are safe for
 * concurrent reading, and never change: training exports new ones.
 */
public interface Weights {
  /** In a stable order: that of the names. */
  Collection<TensorInfo> tensors();

  /**
   * A fresh float32 copy of a tensor, dequantised if need be.
   *
   * @return elements in row-major order
   * @throws io.reflux.model.ModelException if there is no such tensor
   */
  float[] floats(String name);

  /** The quantised form of a matrix, if it is stored so. */
  Optional<QuantisedMatrix> quantised(String name);

  /** Whether the tensor exists. */
  boolean contains(String name);

  /** SHA-256 in lower-case hex over names, types, shapes and bytes. */
  String fingerprint();
}
