package io.reflux.model.onnx;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** A tensor inside the model's own bytes. */
final class HeapSink implements TensorSink {
  private final ByteBuffer buffer;

  HeapSink(long byteCount) {
    buffer = ByteBuffer.allocate(Math.toIntExact(byteCount)).order(ByteOrder.LITTLE_ENDIAN);
  }

  @Override
  public void floats(float[] values) {
    buffer.asFloatBuffer().put(values);
    buffer.position(buffer.position() + values.length * Float.BYTES);
  }

  @Override
  public void bytes(byte[] values, int offset, int length) {
    buffer.put(values, offset, length);
  }

  /** Everything written; the sink may not be used again. */
  byte[] array() {
    if (buffer.hasRemaining()) {
      throw new IllegalStateException("tensor: " + buffer.remaining() + " bytes were not written");
    }
    return buffer.array();
  }
}
