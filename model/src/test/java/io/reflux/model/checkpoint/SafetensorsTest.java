package io.reflux.model.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class SafetensorsTest {
  @TempDir Path directory;

  private final ModelConfig config = RandomModel.config(Architecture.QWEN3, 3);
  private final MemoryWeights weights = RandomModel.variedWeights(config, 11);
  private Path file;

  @BeforeEach
  void save() {
    Checkpoints.save(directory, config, weights, DType.F32);
    file = directory.resolve("model.safetensors");
  }

  @Test
  void float32ComesBackBitForBit() {
    Checkpoint loaded = Checkpoints.load(directory);

    assertThat(loaded.config()).isEqualTo(config);
    assertThat(loaded.weights().tensors()).isEqualTo(weights.tensors());
    for (TensorInfo tensor : weights.tensors()) {
      assertThat(loaded.weights().floats(tensor.name())).isEqualTo(weights.floats(tensor.name()));
      assertThat(loaded.weights().quantised(tensor.name())).isEmpty();
    }
    assertThat(loaded.weights().fingerprint()).isEqualTo(weights.fingerprint());
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F16", "BF16"})
  void halvesAreRoundedOnceAndThenStable(DType dtype) {
    Path first = directory.resolve("first");
    Path second = directory.resolve("second");
    Checkpoints.save(first, config, weights, dtype);
    Checkpoints.save(second, config, Checkpoints.load(first).weights(), dtype);

    assertThat(second.resolve("model.safetensors"))
        .hasSameBinaryContentAs(first.resolve("model.safetensors"));
    Weights loaded = Checkpoints.load(first).weights();
    float[] exact = weights.floats(TensorNames.EMBEDDING);
    float[] rounded = loaded.floats(TensorNames.EMBEDDING);
    for (int i = 0; i < exact.length; i++) {
      float expected =
          dtype == DType.F16
              ? Halves.fromFloat16(Halves.toFloat16(exact[i]))
              : Halves.fromBfloat16(Halves.toBfloat16(exact[i]));
      assertThat(rounded[i]).isEqualTo(expected);
    }
    assertThat(loaded.fingerprint()).isNotEqualTo(weights.fingerprint());
  }

  @Test
  void savingTwiceGivesTheSameBytes() throws IOException {
    byte[] tensors = Files.readAllBytes(file);
    byte[] description = Files.readAllBytes(directory.resolve("config.json"));

    Checkpoints.save(directory, config, Checkpoints.load(directory).weights(), DType.F32);

    assertThat(Files.readAllBytes(file)).isEqualTo(tensors);
    assertThat(Files.readAllBytes(directory.resolve("config.json"))).isEqualTo(description);
    assertThat(ByteBuffer.wrap(tensors).order(ByteOrder.LITTLE_ENDIAN).getLong() % 8).isZero();
  }

  @Test
  void eightBitMatricesComeBackAsTheyWere() {
    MemoryWeights quantised = quantised(32);
    Path target = directory.resolve("int8");

    Checkpoints.save(target, config, quantised, DType.I8);
    Weights loaded = Checkpoints.load(target).weights();

    assertThat(loaded.tensors()).isEqualTo(quantised.tensors());
    assertThat(loaded.fingerprint()).isEqualTo(quantised.fingerprint());
    String name = TensorNames.down(0);
    QuantisedMatrix before = quantised.quantised(name).orElseThrow();
    QuantisedMatrix after = loaded.quantised(name).orElseThrow();
    assertThat(after.values()).isEqualTo(before.values());
    assertThat(after.scales()).isEqualTo(before.scales());
    assertThat(after.blockSize()).isEqualTo(32);
    assertThat(loaded.floats(name)).isEqualTo(before.dequantised());
    assertThat(loaded.quantised(TensorNames.FINAL_NORM)).isEmpty();
  }

  @Test
  void eightBitMatricesAreRefusedInAPlainModel() throws IOException {
    Checkpoints.save(directory, config, quantised(32), DType.I8);
    Files.write(directory.resolve("config.json"), ConfigJson.write(config, DType.F32, 0));

    assertRefused("dtype: I8 (expected: F32, F16 or BF16)");
  }

  @Test
  void savingAsInt8NeedsEightBitMatrices() {
    assertThatThrownBy(() -> Checkpoints.save(directory, config, weights, DType.I8))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("dtype: I8 (expected: weights with 8-bit matrices)");
  }

  @Test
  void shardsAreTheSameModelAsOneFile() throws IOException {
    String whole = Checkpoints.load(directory).weights().fingerprint();
    shard();

    Checkpoint sharded = Checkpoints.load(directory);

    assertThat(sharded.weights().fingerprint()).isEqualTo(whole);
    assertThat(sharded.weights().floats(TensorNames.EMBEDDING))
        .isEqualTo(weights.floats(TensorNames.EMBEDDING));
    assertThat(Checkpoints.fingerprint(sharded.config(), sharded.weights()))
        .isEqualTo(Checkpoints.fingerprint(config, weights));
  }

  @ParameterizedTest
  @CsvSource({
    "../model.safetensors",
    "/etc/passwd",
    "a/b.safetensors",
    "''",
    ".hidden",
    "missing.safetensors"
  })
  void indexMayOnlyNameFilesBesideIt(String shard) throws IOException {
    shard();
    Files.writeString(
        directory.resolve("model.safetensors.index.json"),
        "{\"weight_map\":{\"%s\":\"%s\"}}".formatted(TensorNames.EMBEDDING, shard));

    assertRefused(shard.startsWith("missing") ? "no such file" : "expected: the plain name");
  }

  @Test
  void indexThatNamesATensorItsFileLacksIsRefused() throws IOException {
    shard();
    Files.writeString(
        directory.resolve("model.safetensors.index.json"),
        "{\"weight_map\":{\"%s\":\"shard-0.safetensors\",\"nothing\":\"shard-0.safetensors\"}}"
            .formatted(TensorNames.EMBEDDING));

    assertRefused("missing (expected: as model.safetensors.index.json says)");
  }

  @Test
  void everyTruncationIsRefusedInOneLine() throws IOException {
    byte[] whole = Files.readAllBytes(file);
    int headerBytes = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong() + 8;
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      int length = whole.length;
      while (length > 0) {
        length -= length > headerBytes + 64 ? Math.min(997, length - headerBytes - 64) : 1;
        channel.truncate(length);
        assertRefused("model.safetensors");
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"-1", "9223372036854775807", "4294967296", "0", "1", "100000001"})
  void lyingHeaderLengthIsRefusedBeforeItIsAllocated(long length) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
    Files.write(file, bytes);

    assertRefused("header length: " + Long.toUnsignedString(length));
  }

  @Test
  void flippedBytesOfTheHeaderNeverEscapeAsAnotherError() throws IOException {
    byte[] whole = Files.readAllBytes(file);
    int headerBytes = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong() + 8;
    Random random = new Random(5);
    for (int i = 0; i < 500; i++) {
      byte[] bytes = whole.clone();
      for (int flips = random.nextInt(3); flips >= 0; flips--) {
        bytes[random.nextInt(headerBytes)] = (byte) random.nextInt(256);
      }
      Files.write(file, bytes);
      try {
        Weights loaded = Checkpoints.load(directory).weights();
        loaded.tensors().forEach(tensor -> loaded.floats(tensor.name()));
      } catch (ModelException e) {
        assertThat(e.getMessage()).doesNotContain("\n");
      }
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}|12|begin 4",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,12]}}|12|begin 8",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}|8|begin 4",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}|8|as the header says",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}|8|12 for F32 [3]",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}|4|within the 4 bytes",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}|8|within the 8 bytes",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}|8|0 or more",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}|0|fits",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]}}|0|large",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,0]}}|0|VALUE_NUMBER_INT",
        "{\"a\":{\"dtype\":\"Q4\",\"shape\":[1],\"data_offsets\":[0,4]}}|4|dtype: Q4",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}|4|incomplete",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}|4|incomplete",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}|4|field x",
        "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            + "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}|4|Duplicate",
        "{\"a\":3}|0|START_OBJECT",
        "[]|0|START_OBJECT",
        "{} {}|0|nothing but padding",
        "{\"a\":|0|not JSON"
      })
  void malformedHeadersAreRefusedByName(String header, int dataBytes, String expected)
      throws IOException {
    write(header, dataBytes);

    assertRefused(expected);
  }

  @Test
  void deeplyNestedHeaderIsRefused() throws IOException {
    write("{\"__metadata__\":" + "[".repeat(50_000) + "]".repeat(50_000) + "}", 0);

    assertRefused("not JSON");
  }

  @Test
  void tensorsThatTheModelLacksAreTolerated() throws IOException {
    MemoryWeights.Builder more = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      more.floats(
          tensor.name(),
          tensor.shape().stream().mapToLong(Long::longValue).toArray(),
          weights.floats(tensor.name()));
    }
    more.floats("model.layers.0.self_attn.rotary_emb.inv_freq", new long[] {2}, new float[2]);
    SafetensorsWriter.write(file, more.build(), DType.F32);

    assertThat(Checkpoints.load(directory).weights().fingerprint())
        .isEqualTo(weights.fingerprint());
  }

  @Test
  void missingAndMisshapenTensorsAreNamed() {
    ModelConfig deeper = RandomModel.config(Architecture.QWEN2, 3);

    assertThatThrownBy(() -> Checkpoints.save(directory, deeper, weights, DType.F32))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("self_attn.q_proj.bias: missing");
    ModelConfig wider = withVocabulary(config.vocabularySize() + 1);
    write(directory.resolve("config.json"), ConfigJson.write(wider, DType.F32, 0));
    assertRefused(
        "model.embed_tokens.weight: shape: [%d, %d] (expected: [%d, %d])"
            .formatted(
                config.vocabularySize(),
                config.hiddenSize(),
                config.vocabularySize() + 1,
                config.hiddenSize()));
  }

  @Test
  void directoryWithoutWeightsIsNamed() throws IOException {
    Files.delete(file);
    assertRefused("no weights (expected: model.safetensors or model.safetensors.index.json)");

    assertThatThrownBy(() -> Checkpoints.load(directory.resolve("nowhere")))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("no such directory");
  }

  private void assertRefused(String expected) {
    assertThatThrownBy(() -> Checkpoints.load(directory))
        .isInstanceOf(ModelException.class)
        .message()
        .contains(expected)
        .doesNotContain("\n")
        .hasSizeLessThan(1000);
  }

  private void write(String header, int dataBytes) throws IOException {
    byte[] json = header.getBytes(StandardCharsets.UTF_8);
    ByteBuffer bytes =
        ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(json.length).put(json);
    Files.write(file, bytes.array());
  }

  private static void write(Path path, byte[] bytes) {
    try {
      Files.write(path, bytes);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  /** Spreads the tensors over three files, round robin. */
  private void shard() throws IOException {
    Map<String, String> map = new TreeMap<>();
    for (int shard = 0; shard < 3; shard++) {
      MemoryWeights.Builder part = MemoryWeights.builder();
      int index = 0;
      for (TensorInfo tensor : weights.tensors()) {
        if (index++ % 3 == shard) {
          part.floats(
              tensor.name(),
              tensor.shape().stream().mapToLong(Long::longValue).toArray(),
              weights.floats(tensor.name()));
          map.put(tensor.name(), "shard-" + shard + ".safetensors");
        }
      }
      SafetensorsWriter.write(
          directory.resolve("shard-" + shard + ".safetensors"), part.build(), DType.F32);
    }
    List<String> entries =
        map.entrySet().stream()
            .map(entry -> "\"%s\":\"%s\"".formatted(entry.getKey(), entry.getValue()))
            .toList();
    Files.writeString(
        directory.resolve("model.safetensors.index.json"),
        "{\"metadata\":{},\"weight_map\":{" + String.join(",", entries) + "}}");
    Files.delete(file);
  }

  private MemoryWeights quantised(int blockSize) {
    Random random = new Random(1);
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      if (tensor.shape().size() == 1) {
        builder.floats(
            tensor.name(), new long[] {tensor.elements()}, weights.floats(tensor.name()));
        continue;
      }
      int rows = tensor.shape().get(0).intValue();
      int columns = tensor.shape().get(1).intValue();
      byte[] values = new byte[rows * columns];
      float[] scales = new float[rows * ((columns + blockSize - 1) / blockSize)];
      for (int i = 0; i < values.length; i++) {
        values[i] = (byte) (random.nextInt(255) - 127);
      }
      for (int i = 0; i < scales.length; i++) {
        scales[i] = random.nextFloat();
      }
      builder.quantised(
          tensor.name(),
          new QuantisedMatrix(WeightFormat.INT8, rows, columns, blockSize, values, scales));
    }
    return builder.build();
  }

  private ModelConfig withVocabulary(int size) {
    return new ModelConfig(
        config.architecture(),
        size,
        config.hiddenSize(),
        config.intermediateSize(),
        config.layers(),
        config.heads(),
        config.keyValueHeads(),
        config.headSize(),
        config.maxPositions(),
        config.rmsNormEpsilon(),
        config.ropeTheta(),
        config.ropeScaling(),
        config.tiedEmbeddings(),
        config.attentionBias(),
        config.qkNorm(),
        config.slidingWindow(),
        config.bosTokenId(),
        config.eosTokenIds());
  }
}
