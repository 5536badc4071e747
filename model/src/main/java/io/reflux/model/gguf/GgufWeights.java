package io.reflux.model.gguf;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/** The weights of a GGUF file under the checkpoint's names, rows in the checkpoint's order. */
final class GgufWeights implements Weights {
  private final GgufFile file;
  private final SortedMap<String, GgufTensors.Mapped> mapped = new TreeMap<>();
  private final List<TensorInfo> infos;

  GgufWeights(GgufFile file, ModelConfig config) {
    this.file = file;
    for (GgufTensors.Mapped one : GgufTensors.of(config)) {
      GgufFile.Tensor tensor = file.tensors().get(one.name());
      if (tensor == null || !tensor.shape().equals(one.shape())) {
        throw new ModelException(
            "%s: %s: %s (expected: shape %s)"
                .formatted(
                    file.path(),
                    one.name(),
                    tensor == null ? "missing" : "shape " + tensor.shape(),
                    one.shape()));
      }
      mapped.put(one.source(), one);
    }
    infos =
        mapped.values().stream()
            .map(one -> new TensorInfo(one.source(), dtype(one), one.shape()))
            .toList();
  }

  @Override
  public Collection<TensorInfo> tensors() {
    return infos;
  }

  @Override
  public float[] floats(String name) {
    GgufTensors.Mapped one = require(name);
    float[] stored = file.floats(one.name());
    if (one.rotatedHeads() == 0) {
      return stored;
    }
    int columns = one.shape().get(1).intValue();
    float[] floats = new float[stored.length];
    for (int row = 0; row < one.shape().get(0); row++) {
      System.arraycopy(stored, row * columns, floats, one.sourceRow(row) * columns, columns);
    }
    return floats;
  }

  /** Never: rows may stand in another order, and blocks have a layout of their own. */
  @Override
  public boolean stored(String name, DType dtype, ByteChunks into) {
    require(name);
    return false;
  }

  @Override
  public Optional<QuantisedMatrix> quantised(String name) {
    GgufTensors.Mapped one = require(name);
    DType dtype = dtype(one);
    if (dtype.isPlain()) {
      return Optional.empty();
    }
    int rows = one.shape().get(0).intValue();
    int columns = one.shape().get(1).intValue();
    byte[] stored = new byte[Math.multiplyExact(rows, columns)];
    float[] storedScales = new float[stored.length / BlockCodec.BLOCK];
    file.blocks(one.name(), stored, storedScales);
    byte[] values = new byte[stored.length];
    float[] scales = new float[storedScales.length];
    int blocks = columns / BlockCodec.BLOCK;
    for (int row = 0; row < rows; row++) {
      int source = one.sourceRow(row);
      System.arraycopy(stored, row * columns, values, source * columns, columns);
      System.arraycopy(storedScales, row * blocks, scales, source * blocks, blocks);
    }
    return Optional.of(
        dtype == DType.I4
            ? QuantisedMatrix.int4(rows, columns, BlockCodec.BLOCK, values, scales)
            : new QuantisedMatrix(
                WeightFormat.INT8, rows, columns, BlockCodec.BLOCK, values, scales));
  }

  @Override
  public boolean contains(String name) {
    return mapped.containsKey(name);
  }

  @Override
  public String fingerprint() {
    return MemoryWeights.copyOf(this).fingerprint();
  }

  private DType dtype(GgufTensors.Mapped one) {
    return switch (file.tensors().get(one.name()).type()) {
      case F32 -> DType.F32;
      case F16 -> DType.F16;
      case Q8_0 -> DType.I8;
      case Q4_0 -> DType.I4;
    };
  }

  private GgufTensors.Mapped require(String name) {
    GgufTensors.Mapped one = mapped.get(name);
    if (one == null) {
      throw new ModelException(
          "%s: %s: missing (expected: one of the model's tensors)".formatted(file.path(), name));
    }
    return one;
  }
}
