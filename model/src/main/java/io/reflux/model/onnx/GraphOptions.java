package io.reflux.model.onnx;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import java.nio.file.Path;

/**
 * How a graph is written.
 *
 * @param type of weights, activations and key-value memory: F32, F16 or BF16. Whatever comes after
 *     the last layer is float32 all the same: final norm, head and log-softmax
 * @param accuracyLevel of products with matrices of 8 or 4 bits: 4 rounds activations to 8 bits
 *     too, which is about 20 times as fast a step and errs by 1 to 2 % RMS; 0 computes in float32
 * @param dataThresholdBytes models whose weights take more than this keep them in a file; protobuf
 *     ends at 2 GiB
 * @param dataDirectory where that file goes; null when there will be none
 */
public record GraphOptions(
    DType type, int accuracyLevel, long dataThresholdBytes, Path dataDirectory) {
  /** Below this a model is built in memory: it costs up to three times its size in heap. */
  public static final long DEFAULT_DATA_THRESHOLD_BYTES = 96L << 20;

  public GraphOptions {
    if (!type.isPlain()) {
      throw new ModelException("element type: " + type + " (expected: F32, F16 or BF16)");
    }
    if (accuracyLevel < 0 || accuracyLevel > 4) {
      throw new ModelException("accuracy level: " + accuracyLevel + " (expected: 0 to 4)");
    }
  }

  /** In float32. */
  public GraphOptions(int accuracyLevel, long dataThresholdBytes, Path dataDirectory) {
    this(DType.F32, accuracyLevel, dataThresholdBytes, dataDirectory);
  }

  /**
   * In float32, with 8-bit arithmetic where matrices are of integers; for weights below the default
   * threshold.
   */
  public static GraphOptions inMemory() {
    return new GraphOptions(4, DEFAULT_DATA_THRESHOLD_BYTES, null);
  }

  /** With a place for large weights. */
  public GraphOptions withDataIn(Path directory) {
    return new GraphOptions(type, accuracyLevel, dataThresholdBytes, directory);
  }

  /** With another element type. */
  public GraphOptions withType(DType elementType) {
    return new GraphOptions(elementType, accuracyLevel, dataThresholdBytes, dataDirectory);
  }

  /** At most about how many bytes weights take in a graph of any element type. */
  public static long weightBytes(Weights weights) {
    long bytes = 0;
    for (TensorInfo tensor : weights.tensors()) {
      // Matrices of few bits have a float32 scale for every block, of 32 in general.
      bytes +=
          tensor.dtype().isPlain()
              ? tensor.elements() * Float.BYTES
              : tensor.elements() * tensor.dtype().bits() / 8 + tensor.elements() / 8;
    }
    return bytes;
  }
}
