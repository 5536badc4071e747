package io.reflux.model.checkpoint;

/** Element types of stored tensors, by their safetensors names. */
public enum DType {
  F32(4),
  F16(2),
  BF16(2),
  I8(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes an element. */
  public int bytes() {
    return bytes;
  }
}
