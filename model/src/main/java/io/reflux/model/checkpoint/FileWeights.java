package io.reflux.model.checkpoint;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ConfigJson.Quantisation;
import io.reflux.model.checkpoint.SafetensorsHeader.Entry;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/** The weights of one model in one safetensors file or several, checked against its shape. */
final class FileWeights implements Weights {
  private static final Set<String> PLAIN = Set.of("F32", "F16", "BF16");

  private final SortedMap<String, Located> tensors = new TreeMap<>();
  private final List<TensorInfo> infos;
  private volatile String fingerprint;

  /**
   * @param located every tensor of the files, by name; those that the model lacks are left alone
   * @param source the file or folder to name in errors
   * @param quantisation of matrices; empty when there may be none
   */
  FileWeights(
      ModelConfig config,
      SortedMap<String, Stored> located,
      String source,
      Optional<Quantisation> quantisation) {
    for (TensorInfo expected : TensorNames.expected(config)) {
      Stored stored = require(located, expected, source);
      Optional<WeightFormat> packed = packedFormat(expected, stored, quantisation);
      tensors.put(
          expected.name(),
          packed.isPresent()
              ? packed(located, expected, stored, source, packed.get(), quantisation.get())
              : plain(expected, stored));
    }
    infos = tensors.values().stream().map(Located::info).toList();
  }

  /** A tensor as a file has it. */
  record Stored(SafetensorsFile file, Entry entry) {}

  /** format and scales are null unless the tensor is a matrix of few bits. */
  private record Located(
      TensorInfo info, Stored values, WeightFormat format, Stored scales, int blockSize) {
    QuantisedMatrix matrix() {
      return new QuantisedMatrix(
          format,
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
    if (tensor.info().dtype() != dtype || !dtype.isPlain()) {
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

  /**
   * The format of a matrix of few bits, empty for plain numbers.
   *
   * @throws ModelException if the tensor's dtype does not belong into such a model
   */
  private static Optional<WeightFormat> packedFormat(
      TensorInfo expected, Stored stored, Optional<Quantisation> quantisation) {
    String dtype = stored.entry().dtype();
    if (PLAIN.contains(dtype)) {
      return Optional.empty();
    }
    Set<String> packed = new LinkedHashSet<>();
    for (WeightFormat format : WeightFormat.values()) {
      if (quantisation.isPresent() && quantisation.get().format().admits(format)) {
        packed.add(SafetensorsWriter.storedType(format.dtype()));
        if (expected.shape().size() == 2 && packed.contains(dtype)) {
          return Optional.of(format);
        }
      }
    }
    throw new ModelException(
        "%s: %s: dtype: %s (expected: F32, F16 or BF16%s)"
            .formatted(
                stored.file().path(),
                expected.name(),
                dtype,
                packed.isEmpty() ? "" : ", or " + String.join(" or ", packed) + " for a matrix"));
  }

  private static Located plain(TensorInfo expected, Stored stored) {
    requireShape(stored, expected.shape());
    DType dtype = DType.valueOf(stored.entry().dtype());
    return new Located(
        new TensorInfo(expected.name(), dtype, expected.shape()), stored, null, null, 0);
  }

  private static Located packed(
      SortedMap<String, Stored> located,
      TensorInfo expected,
      Stored stored,
      String source,
      WeightFormat format,
      Quantisation quantisation) {
    long rows = expected.shape().get(0);
    int columns = Math.toIntExact(expected.shape().get(1));
    int blockSize = format == WeightFormat.FP8 ? columns : quantisation.blockSize();
    requireShape(stored, List.of(rows, QuantisedMatrix.rowBytes(format, columns, blockSize)));
    long blocks = QuantisedMatrix.blocks(columns, blockSize);
    TensorInfo expectedScales =
        new TensorInfo(
            expected.name() + TensorNames.SCALES_SUFFIX, DType.F32, List.of(rows, blocks));
    Stored scales = require(located, expectedScales, source);
    Entry entry = scales.entry();
    boolean oneScale = format == WeightFormat.FP8 && entry.shape().equals(List.of(1L, 1L));
    boolean fits =
        entry.dtype().equals("F32") && (oneScale || entry.shape().equals(expectedScales.shape()));
    if (!fits) {
      throw new ModelException(
          "%s: %s: %s %s (expected: F32 %s)"
              .formatted(
                  scales.file().path(),
                  expectedScales.name(),
                  entry.dtype(),
                  entry.shape(),
                  expectedScales.shape()));
    }
    TensorInfo info = new TensorInfo(expected.name(), format.dtype(), expected.shape());
    return new Located(info, stored, format, scales, blockSize);
  }

  private static void requireShape(Stored stored, List<Long> shape) {
    if (!stored.entry().shape().equals(shape)) {
      throw new ModelException(
          "%s: %s: shape: %s (expected: %s)"
              .formatted(
                  stored.file().path(), stored.entry().name(), stored.entry().shape(), shape));
    }
  }
}
