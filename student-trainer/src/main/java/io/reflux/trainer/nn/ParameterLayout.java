package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.trainer.nn.Adaptation.Frozen;
import io.reflux.trainer.nn.Adaptation.Lora;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Where each tensor lies in two flat float32 buffers: one of all parameters that are trained, one
 * of those that stay as they are. Gradients and moments have buffers of the first one's layout; the
 * second has nothing beside it. Trained matrices come first, because weight decay acts on them
 * alone; every tensor starts on a cache line, and the gaps stay zero.
 */
final class ParameterLayout {
  private static final int ALIGNMENT_FLOATS = 16;

  private final Adaptation adaptation;
  private final List<TensorInfo> modelTensors;
  private final List<Adapter> adapters;
  private final List<TensorInfo> tensors = new ArrayList<>();
  private final Map<String, Integer> indices = new HashMap<>();
  private final Map<String, Integer> trained = new HashMap<>();
  private final Map<String, Integer> frozen = new HashMap<>();
  private final int decayedFloats;
  private final int floats;
  private final int frozenFloats;

  /**
   * Of a shape.
   *
   * @throws io.reflux.model.ModelException if it cannot be adapted so
   */
  ParameterLayout(ModelConfig config, Adaptation adaptation) {
    adaptation.check(config);
    this.adaptation = adaptation;
    modelTensors = TensorNames.expected(config);
    adapters = adaptation instanceof Lora lora ? Adapter.of(config, lora) : List.of();
    for (TensorInfo tensor : modelTensors) {
      tensors.add(tensor);
      for (Adapter adapter : adapters) {
        // Last in their layer, so that all layers have as many tensors in the same order.
        if (tensor.name().equals(TensorNames.down(adapter.layer()))) {
          tensors.add(adapter.a());
          tensors.add(adapter.b());
        }
      }
    }
    for (TensorInfo tensor : tensors) {
      indices.put(tensor.name(), indices.size());
    }
    List<TensorInfo> moved = tensors.stream().filter(this::isToBeTrained).toList();
    decayedFloats = place(moved.stream().filter(ParameterLayout::isMatrix).toList(), trained, 0);
    floats =
        place(moved.stream().filter(tensor -> !isMatrix(tensor)).toList(), trained, decayedFloats);
    frozenFloats =
        place(tensors.stream().filter(tensor -> !isToBeTrained(tensor)).toList(), frozen, 0);
  }

  private boolean isToBeTrained(TensorInfo tensor) {
    if (adaptation instanceof Lora) {
      return modelTensors.stream().noneMatch(known -> known.name().equals(tensor.name()));
    }
    if (adaptation instanceof Frozen part) {
      boolean embedding = tensor.name().equals(TensorNames.EMBEDDING);
      int first = index(TensorNames.inputNorm(part.layers()));
      return embedding ? !part.embeddings() : index(tensor.name()) >= first;
    }
    return true;
  }

  private static boolean isMatrix(TensorInfo tensor) {
    return tensor.shape().size() > 1;
  }

  private static int place(List<TensorInfo> tensors, Map<String, Integer> offsets, int start) {
    int next = start;
    for (TensorInfo tensor : tensors) {
      offsets.put(tensor.name(), next);
      long end = next + tensor.elements();
      long aligned = (end + ALIGNMENT_FLOATS - 1) / ALIGNMENT_FLOATS * ALIGNMENT_FLOATS;
      next = Math.toIntExact(aligned);
    }
    return next;
  }

  Adaptation adaptation() {
    return adaptation;
  }

  /** In the order that a forward pass meets them; a layer's adapters come last in it. */
  List<TensorInfo> tensors() {
    return tensors;
  }

  /** Those of the model, without adapters. */
  List<TensorInfo> modelTensors() {
    return modelTensors;
  }

  /** Layer after layer. */
  List<Adapter> adapters() {
    return adapters;
  }

  /** Whether training moves it. */
  boolean isTrained(String name) {
    return trained.containsKey(name);
  }

  /** Where it begins in its buffer. */
  int offset(String name) {
    return isTrained(name) ? trained.get(name) : frozen.get(name);
  }

  /** Place among {@link #tensors()}. */
  int index(String name) {
    Integer index = indices.get(name);
    if (index == null) {
      throw new IllegalArgumentException("tensor: " + name + " (expected: one of the model's)");
    }
    return index;
  }

  /** Length of the trained buffer. */
  int floats() {
    return floats;
  }

  /** Length of its front part, the matrices. */
  int decayedFloats() {
    return decayedFloats;
  }

  /** Length of the buffer of what stays as it is; 0 if nothing does. */
  int frozenFloats() {
    return frozenFloats;
  }

  /** Numbers that training moves, without gaps. */
  long trainedElements() {
    return tensors.stream()
        .filter(tensor -> isTrained(tensor.name()))
        .mapToLong(TensorInfo::elements)
        .sum();
  }

  /** What new adapters begin with, under their names; those that are not there begin with zero. */
  Map<String, float[]> freshAdapters() {
    Map<String, float[]> fresh = new LinkedHashMap<>();
    if (adaptation instanceof Lora lora) {
      Random random = new Random(lora.seed());
      adapters.forEach(adapter -> fresh.put(adapter.a().name(), adapter.freshA(random)));
    }
    return fresh;
  }

  /** What is in the trained buffer under the tensors' names, adapters among them. */
  MemoryWeights unflatten(float[] flat) {
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : tensors) {
      if (isTrained(tensor.name())) {
        float[] values = new float[Math.toIntExact(tensor.elements())];
        System.arraycopy(flat, offset(tensor.name()), values, 0, values.length);
        weights.floats(tensor.name(), shape(tensor), values);
      }
    }
    return weights.build();
  }

  /** The trained buffer with the values of weights that have every trained tensor. */
  float[] flatten(Weights weights) {
    float[] flat = new float[floats];
    for (TensorInfo tensor : tensors) {
      if (isTrained(tensor.name())) {
        float[] values = weights.floats(tensor.name());
        System.arraycopy(values, 0, flat, offset(tensor.name()), values.length);
      }
    }
    return flat;
  }

  static long[] shape(TensorInfo tensor) {
    return tensor.shape().stream().mapToLong(Long::longValue).toArray();
  }
}
