package io.reflux.model.checkpoint;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.FileWeights.Stored;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/** Reads and writes config.json and the safetensors files of a model directory. */
public final class Checkpoints {
  private static final String SINGLE = "model.safetensors";
  private static final String INDEX = "model.safetensors.index.json";
  private static final long MAX_INDEX_BYTES = 100_000_000;

  private Checkpoints() {}

  /**
   * Opens a model directory. Weights stay in the files, mapped, until they are asked for.
   *
   * @param directory with config.json and either model.safetensors or shards and their index
   * @throws ModelException naming the file and tensor, if anything is missing or does not fit
   */
  public static Checkpoint load(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw new ModelException(directory + ": no such directory (expected: a model directory)");
    }
    ConfigJson.Parsed parsed = ConfigJson.read(directory);
    SortedMap<String, Stored> tensors;
    String source;
    if (Files.exists(directory.resolve(SINGLE))) {
      source = directory.resolve(SINGLE).toString();
      tensors = single(directory.resolve(SINGLE));
    } else if (Files.exists(directory.resolve(INDEX))) {
      source = directory.resolve(INDEX).toString();
      tensors = sharded(directory);
    } else {
      throw new ModelException(
          "%s: no weights (expected: %s or %s)".formatted(directory, SINGLE, INDEX));
    }
    return new Checkpoint(
        parsed.config(), new FileWeights(parsed.config(), tensors, source, parsed.quantisation()));
  }

  /**
   * Writes config.json and model.safetensors, each whole or not at all. The same input gives the
   * same bytes.
   *
   * @param directory made if need be
   * @param weights exactly the tensors that the configuration asks for
   * @param dtype I8, I4 and F8_E4M3 keep such matrices, I4 those of 8 bits too, and write the rest
   *     as F32; any other dequantises. {@link WeightFormat#dtype} says which
   */
  public static void save(Path directory, ModelConfig config, Weights weights, DType dtype) {
    Weights checked = check(config, weights);
    int blockSize = dtype.isPlain() ? 0 : blockSize(checked, dtype);
    try {
      Files.createDirectories(directory);
      Path temporary = directory.resolve(SINGLE + ".partial");
      SafetensorsWriter.write(temporary, checked, dtype);
      move(temporary, directory.resolve(SINGLE));
      Path description = directory.resolve("config.json.partial");
      Files.write(description, ConfigJson.write(config, dtype, blockSize));
      move(description, directory.resolve("config.json"));
    } catch (IOException e) {
      throw new ModelException(directory + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /** SHA-256 of shape and weights in lower-case hex, however the weights are spread over files. */
  public static String fingerprint(ModelConfig config, Weights weights) {
    MessageDigest digest = Fingerprints.sha256();
    digest.update(ConfigJson.write(config, DType.F32, 0));
    digest.update(weights.fingerprint().getBytes(StandardCharsets.US_ASCII));
    return HexFormat.of().formatHex(digest.digest());
  }

  private static void move(Path from, Path to) throws IOException {
    Files.move(from, to, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
  }

  private static Weights check(ModelConfig config, Weights weights) {
    Map<String, TensorInfo> given = new HashMap<>();
    weights.tensors().forEach(tensor -> given.put(tensor.name(), tensor));
    for (TensorInfo expected : TensorNames.expected(config)) {
      TensorInfo tensor = given.remove(expected.name());
      if (tensor == null || !tensor.shape().equals(expected.shape())) {
        throw new ModelException(
            "%s: %s (expected: shape %s)"
                .formatted(
                    expected.name(),
                    tensor == null ? "missing" : "shape " + tensor.shape(),
                    expected.shape()));
      }
    }
    if (!given.isEmpty()) {
      throw new ModelException(
          "tensor: %s (expected: one of the model's tensors)"
              .formatted(new TreeMap<>(given).firstKey()));
    }
    return weights;
  }

  /** The block size that all integer matrices have; 0 when there are none. */
  private static int blockSize(Weights weights, DType dtype) {
    int blockSize = 0;
    boolean found = false;
    for (TensorInfo tensor : weights.tensors()) {
      Optional<QuantisedMatrix> matrix = weights.quantised(tensor.name());
      if (matrix.isEmpty()) {
        continue;
      }
      WeightFormat format = matrix.get().format();
      if (!WeightFormat.of(dtype).admits(format)) {
        throw new ModelException(
            "%s: %s (expected: %s)".formatted(tensor.name(), format.dtype(), dtype));
      }
      found |= format.dtype() == dtype;
      int own = format == WeightFormat.FP8 ? 0 : matrix.get().blockSize();
      if (blockSize != 0 && own != blockSize) {
        throw new ModelException(
            "%s: block size: %d (expected: %d, as the other matrices)"
                .formatted(tensor.name(), own, blockSize));
      }
      blockSize = own;
    }
    if (!found) {
      throw new ModelException(
          "dtype: %s (expected: weights with %d-bit matrices)".formatted(dtype, dtype.bits()));
    }
    return blockSize;
  }

  private static SortedMap<String, Stored> single(Path path) {
    SafetensorsFile file = SafetensorsFile.open(path);
    SortedMap<String, Stored> tensors = new TreeMap<>();
    file.entries().forEach((name, entry) -> tensors.put(name, new Stored(file, entry)));
    return tensors;
  }

  private static SortedMap<String, Stored> sharded(Path directory) {
    Path index = directory.resolve(INDEX);
    JsonNode map = JsonFiles.readObject(index, MAX_INDEX_BYTES).path("weight_map");
    if (!map.isObject()) {
      throw new ModelException(index + ": weight_map: missing (expected: tensor names to files)");
    }
    Map<String, SafetensorsFile> files = new HashMap<>();
    SortedMap<String, Stored> tensors = new TreeMap<>();
    for (Map.Entry<String, JsonNode> mapped : map.properties()) {
      String name = mapped.getKey();
      SafetensorsFile file =
          files.computeIfAbsent(
              shardName(index, name, mapped.getValue()),
              shard -> SafetensorsFile.open(directory.resolve(shard)));
      SafetensorsHeader.Entry entry = file.entries().get(name);
      if (entry == null) {
        throw new ModelException(
            "%s: %s: missing (expected: as %s says)".formatted(file.path(), name, INDEX));
      }
      tensors.put(name, new Stored(file, entry));
    }
    return tensors;
  }

  /** An index may only name files that lie beside it. */
  private static String shardName(Path index, String tensor, JsonNode value) {
    String name = value.isTextual() ? value.textValue() : "";
    if (!name.matches("[A-Za-z0-9][A-Za-z0-9._-]{0,254}")) {
      throw new ModelException(
          "%s: weight_map: %s: %s (expected: the plain name of a file beside it)"
              .formatted(index, tensor, value.toString().replaceAll("\\p{Cntrl}+", " ")));
    }
    return name;
  }
}
