package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.SafetensorsHeader.Entry;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedMap;
import java.util.TreeMap;

/** The weights of one model in one safetensors file or several, checked against its shape. */
final class FileWeights implements Weights {
  private final SortedMap<String, Located> tensors = new TreeMap<>();
  private final List<TensorInfo> infos;
  private volatile String fingerprint;

  /**
   * @param located every tensor of the files, by name; those that the model lacks are left alone
   * @param source the file or folder to name in errors
   * @param blockSize of 8-bit matrices; empty when there may be none
   */
  FileWeights(
      ModelConfig config, SortedMap<String, Stored> located, String source, OptionalInt blockSize) {
    for (TensorInfo expected : TensorNames.expected(config)) {
      Stored stored = require(located, expected, source);
      if (!stored.entry().shape().equals(expected.shape())) {
        throw new ModelException(
            "%s: %s: shape: %s (expected: %s)"
                .formatted(
                    stored.file().path(),
                    expected.name(),
                    stored.entry().shape(),
                    expected.shape()));
      }
      tensors.put(expected.name(), locate(located, stored, source, blockSize));
    }
    infos = tensors.values().stream().map(Located::info).toList();
  }

  /** A tensor as a file has it. */
  record Stored(SafetensorsFile file, Entry entry) {}

  /** scales is null unless the tensor is an 8-bit matrix. */
  private record Located(TensorInfo info, Stored values, Stored scales, int blockSize) {
    QuantisedMatrix matrix() {
      return new QuantisedMatrix(
          info.shape().get(0).intValue(),
          info.shape().get(1).intValue(),
          blockSize,
          values.file().bytes(values.entry()),
          scales.file().floats(scales.entry()));
    }
  }

  @Override
  public Collection<TensorInfo> tensors() {
    return infos;
  }

  @Override
  public float[] floats(String name) {
    Located tensor = require(name);
    return tensor.scales() != null
        ? tensor.matrix().dequantised()
        : tensor.values().file().floats(tensor.values().entry());
  }

  @Override
  public boolean stored(String name, DType dtype, ByteChunks into) {
    Located tensor = require(name);
    if (tensor.info().dtype() != dtype || dtype == DType.I8) {
      return false;
    }
    tensor.values().file().forEachChunk(tensor.values().entry(), into);
    return true;
  }

  @Override
  public Optional<QuantisedMatrix> quantised(String name) {
    Located tensor = require(name);
    return tensor.scales() == null ? Optional.empty() : Optional.of(tensor.matrix());
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
      for (Located tensor : tensors.values()) {
        digest.begin(tensor.info());
        if (tensor.scales() != null) {
          digest.matrix(tensor.matrix());
        } else {
          tensor.values().file().forEachChunk(tensor.values().entry(), digest::bytes);
        }
      }
      known = digest.finish();
      fingerprint = known;
    }
    return known;
  }

  private Located require(String name) {
    Located tensor = tensors.get(name);
    if (tensor == null) {
      throw new ModelException("tensor: " + name + " (expected: one of the model's tensors)");
    }
    return tensor;
  }

  private static Stored require(
      SortedMap<String, Stored> located, TensorInfo expected, String source) {
    Stored stored = located.get(expected.name());
    if (stored == null) {
      throw new ModelException(
          "%s: %s: missing (expected: shape %s)"
              .formatted(source, expected.name(), expected.shape()));
    }
    return stored;
  }

  private static Located locate(
      SortedMap<String, Stored> located, Stored stored, String source, OptionalInt blockSize) {
    Entry entry = stored.entry();
    switch (entry.dtype()) {
      case "F32", "F16", "BF16" -> {
        DType dtype = DType.valueOf(entry.dtype());
        return new Located(new TensorInfo(entry.name(), dtype, entry.shape()), stored, null, 0);
      }
      case "I8" -> {
        if (blockSize.isPresent() && entry.shape().size() == 2) {
          return quantised(located, stored, source, blockSize.getAsInt());
        }
      }
      default -> {}
    }
    throw new ModelException(
        "%s: %s: dtype: %s (expected: F32, F16 or BF16%s)"
            .formatted(
                stored.file().path(),
                entry.name(),
                entry.dtype(),
                blockSize.isPresent() ? ", or I8 for a matrix" : ""));
  }

  private static Located quantised(
      SortedMap<String, Stored> located, Stored stored, String source, int blockSize) {
    Entry entry = stored.entry();
    long rows = entry.shape().get(0);
    long blocks = (entry.shape().get(1) + blockSize - 1) / blockSize;
    TensorInfo expected =
        new TensorInfo(entry.name() + TensorNames.SCALES_SUFFIX, DType.F32, List.of(rows, blocks));
    Stored scales = require(located, expected, source);
    boolean fits =
        scales.entry().dtype().equals("F32") && scales.entry().shape().equals(expected.shape());
    if (!fits) {
      throw new ModelException(
          "%s: %s: %s %s (expected: F32 %s)"
              .formatted(
                  scales.file().path(),
                  expected.name(),
                  scales.entry().dtype(),
                  scales.entry().shape(),
                  expected.shape()));
    }
    return new Located(
        new TensorInfo(entry.name(), DType.I8, entry.shape()), stored, scales, blockSize);
  }
}
