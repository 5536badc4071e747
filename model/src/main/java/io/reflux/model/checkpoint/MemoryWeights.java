package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/** Weights on the Java heap: what training exports and what quantisation makes. */
public final class MemoryWeights implements Weights {
  private final SortedMap<String, Tensor> tensors;
  private final List<TensorInfo> infos;
  private volatile String fingerprint;

  private MemoryWeights(SortedMap<String, Tensor> tensors) {
    this.tensors = tensors;
    this.infos = tensors.values().stream().map(Tensor::info).toList();
  }

  /** Starts an empty set. */
  public static Builder builder() {
    return new Builder();
  }

  /** All of the given weights, read once into memory. */
  public static MemoryWeights copyOf(Weights weights) {
    Builder builder = builder();
    for (TensorInfo tensor : weights.tensors()) {
      Optional<QuantisedMatrix> matrix = weights.quantised(tensor.name());
      if (matrix.isPresent()) {
        builder.quantised(tensor.name(), matrix.get());
      } else {
        builder.floats(
            tensor.name(),
            tensor.shape().stream().mapToLong(Long::longValue).toArray(),
            weights.floats(tensor.name()));
      }
    }
    return builder.build();
  }

  @Override
  public Collection<TensorInfo> tensors() {
    return infos;
  }

  @Override
  public float[] floats(String name) {
    Tensor tensor = require(name);
    return tensor.matrix() != null ? tensor.matrix().dequantised() : tensor.floats().clone();
  }

  /** Never: what lies in memory are numbers, not bytes. */
  @Override
  public boolean stored(String name, DType dtype, ByteChunks into) {
    require(name);
    return false;
  }

  @Override
  public Optional<QuantisedMatrix> quantised(String name) {
    return Optional.ofNullable(require(name).matrix());
  }

  @Override
  public boolean contains(String name) {
    return tensors.containsKey(name);
  }

  @Override
  public String fingerprint() {
    String known = fingerprint;
    if (known == null) {
      Fingerprints digest = new Fingerprints();
      for (Tensor tensor : tensors.values()) {
        digest.begin(tensor.info());
        if (tensor.matrix() != null) {
          digest.matrix(tensor.matrix());
        } else {
          digest.floats(tensor.floats());
        }
      }
      known = digest.finish();
      fingerprint = known;
    }
    return known;
  }

  private Tensor require(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new ModelException("tensor: " + name + " (expected: one of the model's tensors)");
    }
    return tensor;
  }

  /** Exactly one of floats and matrix is not null. */
  @SuppressWarnings("ArrayRecordComponent") // never leaves this class
  private record Tensor(TensorInfo info, float[] floats, QuantisedMatrix matrix) {}

  /** Collects tensors. The arrays are taken over, not copied: leave them alone afterwards. */
  public static final class Builder {
    private final SortedMap<String, Tensor> tensors = new TreeMap<>();

    private Builder() {}

    /**
     * Adds a float32 tensor.
     *
     * @param shape outermost dimension first
     * @param floats row-major, as many as the shape says
     */
    public Builder floats(String name, long[] shape, float[] floats) {
      List<Long> dimensions = new ArrayList<>(shape.length);
      for (long dimension : shape) {
        dimensions.add(dimension);
      }
      TensorInfo info = new TensorInfo(name, DType.F32, dimensions);
      if (info.elements() != floats.length) {
        throw new ModelException(
            "%s: %d elements (expected: shape %s)".formatted(name, floats.length, info.shape()));
      }
      return add(new Tensor(info, floats, null));
    }

    /** Adds a matrix of few bits. */
    public Builder quantised(String name, QuantisedMatrix matrix) {
      List<Long> shape = List.of((long) matrix.rows(), (long) matrix.columns());
      return add(new Tensor(new TensorInfo(name, matrix.format().dtype(), shape), null, matrix));
    }

    /** The weights; the builder may not be used again. */
    public MemoryWeights build() {
      return new MemoryWeights(new TreeMap<>(tensors));
    }

    private Builder add(Tensor tensor) {
      if (tensors.putIfAbsent(tensor.info().name(), tensor) != null) {
        throw new ModelException("tensor: " + tensor.info().name() + " given twice");
      }
      return this;
    }
  }
}
