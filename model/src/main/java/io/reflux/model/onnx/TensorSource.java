package io.reflux.model.onnx;

/** Writes a tensor's elements when asked, so that only one need be in memory at a time. */
@FunctionalInterface
interface TensorSource {
  void writeTo(TensorSink sink);
}
