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

  /**
   * Hands on a tensor's bytes as they are stored, little-endian and row-major, piece by piece.
   *
   * @param dtype that the tensor must be stored in
   * @param into sees the first bytes of an array that is reused
   * @return false, and nothing is handed on, when the tensor is stored otherwise
   * @throws io.reflux.model.ModelException if there is no such tensor
   */
  boolean stored(String name, DType dtype, ByteChunks into);

  /** The quantised form of a matrix, if it is stored so. */
  Optional<QuantisedMatrix> quantised(String name);

  /** Whether the tensor exists. */
  boolean contains(String name);

  /** Takes bytes piece by piece. */
  @FunctionalInterface
  interface ByteChunks {
    /** Takes the first bytes of an array that the caller uses again. */
    void accept(byte[] bytes, int length);
  }

  /** SHA-256 in lower-case hex over names, types, shapes and bytes. */
  String fingerprint();
}
