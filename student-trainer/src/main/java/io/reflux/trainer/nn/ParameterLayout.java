package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where each tensor lies in the one flat float32 buffer that holds all parameters. Gradients and
 * moments have buffers of the same layout. Matrices come first, because weight decay acts on them
 * alone; every tensor starts on a cache line, and the gaps stay zero.
 */
final class ParameterLayout {
  private static final int ALIGNMENT_FLOATS = 16;

  private final List<TensorInfo> tensors;
  private final Map<String, Integer> offsets = new LinkedHashMap<>();
  private final int decayedFloats;
  private final int floats;

  ParameterLayout(ModelConfig config) {
    tensors = TensorNames.expected(config);
    int next = 0;
    for (TensorInfo tensor : tensors) {
      next = tensor.shape().size() > 1 ? place(tensor, next) : next;
    }
    decayedFloats = next;
    for (TensorInfo tensor : tensors) {
      next = tensor.shape().size() > 1 ? next : place(tensor, next);
    }
    floats = next;
  }

  /** In the order that a forward pass meets them. */
  List<TensorInfo> tensors() {
    return tensors;
  }

  int offset(String name) {
    return offsets.get(name);
  }

  int index(String name) {
    for (int i = 0; i < tensors.size(); i++) {
      if (tensors.get(i).name().equals(name)) {
        return i;
      }
    }
    throw new IllegalArgumentException("tensor: " + name + " (expected: one of the model's)");
  }

  /** Length of the buffer. */
  int floats() {
    return floats;
  }

  /** Length of its front part, the matrices. */
  int decayedFloats() {
    return decayedFloats;
  }

  float[] flatten(Weights weights) {
    float[] flat = new float[floats];
    for (TensorInfo tensor : tensors) {
      float[] values = weights.floats(tensor.name());
      System.arraycopy(values, 0, flat, offset(tensor.name()), values.length);
    }
    return flat;
  }

  MemoryWeights unflatten(float[] flat) {
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : tensors) {
      int elements = Math.toIntExact(tensor.elements());
      float[] values = new float[elements];
      System.arraycopy(flat, offset(tensor.name()), values, 0, elements);
      long[] shape = tensor.shape().stream().mapToLong(Long::longValue).toArray();
      weights.floats(tensor.name(), shape, values);
    }
    return weights.build();
  }

  /** Names in the order of their offsets. */
  List<String> names() {
    return new ArrayList<>(offsets.keySet());
  }

  private int place(TensorInfo tensor, int start) {
    offsets.put(tensor.name(), start);
    long end = start + tensor.elements();
    long aligned = (end + ALIGNMENT_FLOATS - 1) / ALIGNMENT_FLOATS * ALIGNMENT_FLOATS;
    return Math.toIntExact(aligned);
  }
}
