package io.reflux.model.checkpoint;

/** Element types of stored tensors. */
public enum DType {
  F32(32),
  F16(16),
  BF16(16),
  /** 8-bit integers, beside scales. */
  I8(8),
  /** 4-bit integers, beside scales; two of them share a byte. */
  I4(4),
  /** 8-bit floats, beside scales; see {@link Float8}. */
  F8_E4M3(8);

  private final int bits;

  DType(int bits) {
    this.bits = bits;
  }

  /** Bits an element. */
  public int bits() {
    return bits;
  }

  /** Bytes an element, of those that take whole ones. */
  public int bytes() {
    if (bits % Byte.SIZE != 0) {
      throw new IllegalStateException(this + ": " + bits + " bits (expected: whole bytes)");
    }
    return bits / Byte.SIZE;
  }

  /** Whether elements are numbers by themselves, without scales. */
  public boolean isPlain() {
    return this == F32 || this == F16 || this == BF16;
  }
}
