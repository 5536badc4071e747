package io.reflux.model.onnx;

/** Where a tensor's little-endian bytes go, piece by piece. */
interface TensorSink {
  void floats(float[] values);

  void bytes(byte[] values, int offset, int length);
}
