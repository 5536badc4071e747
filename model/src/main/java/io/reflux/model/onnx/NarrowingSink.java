package io.reflux.model.onnx;

import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.Halves;

/** Rounds numbers to 16 bits on their way; bytes pass as they are. */
final class NarrowingSink implements TensorSink {
  private static final int CHUNK_FLOATS = 64 << 10;

  private final DType type;
  private final TensorSink target;

  /**
   * Narrows.
   *
   * @param type F16 or BF16
   */
  NarrowingSink(DType type, TensorSink target) {
    this.type = type;
    this.target = target;
  }

  @Override
  public void floats(float[] values) {
    byte[] chunk = new byte[Math.min(values.length, CHUNK_FLOATS) * Short.BYTES];
    for (int start = 0; start < values.length; start += CHUNK_FLOATS) {
      int count = Math.min(CHUNK_FLOATS, values.length - start);
      for (int i = 0; i < count; i++) {
        float value = values[start + i];
        short bits = type == DType.F16 ? Halves.toFloat16(value) : Halves.toBfloat16(value);
        chunk[2 * i] = (byte) bits;
        chunk[2 * i + 1] = (byte) (bits >> 8);
      }
      target.bytes(chunk, 0, count * Short.BYTES);
    }
  }

  @Override
  public void bytes(byte[] values, int offset, int length) {
    target.bytes(values, offset, length);
  }
}
