package io.reflux.model.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.compress.QuantisationMethod;
import io.reflux.model.compress.Quantiser;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Model directories whose matrices have few bits. */
class PackedCheckpointTest {
  @TempDir Path directory;

  private final ModelConfig config = RandomModel.config(Architecture.QWEN3, 3);
  private final MemoryWeights floats = RandomModel.variedWeights(config, 5);

  /** The directory was written by the first version that had 8-bit matrices. */
  @Test
  void eightBitSnapshotsOfTheFirstVersionAreRead() throws IOException, URISyntaxException {
    Path old = Path.of(PackedCheckpointTest.class.getResource("/int8-checkpoint").toURI());

    Checkpoint loaded = Checkpoints.load(old);

    assertThat(loaded.config()).isEqualTo(config);
    assertThat(loaded.weights().fingerprint())
        .isEqualTo("b514fafb352b5fda53807d14578b6dd17f7fa2f9ab42f9d043bcf039b15479bd");
    assertThat(Checkpoints.fingerprint(loaded.config(), loaded.weights()))
        .isEqualTo("3f549d083acb46d6d66fd1572dce8aa7236971e49bc2d77d20bf744e3783e166");
    assertThat(loaded.weights().floats(TensorNames.down(0)))
        .startsWith(-0.09280138f, 0.1527356f, 0.1991363f, -0.079267845f);
    // And what is written today is the same to the bit.
    Weights today = Quantiser.of(WeightFormat.INT8).quantise(config, floats);
    Checkpoints.save(directory, config, today, DType.I8);
    for (String file : new String[] {"model.safetensors", "config.json"}) {
      assertThat(directory.resolve(file)).hasSameBinaryContentAs(old.resolve(file));
    }
  }

  @ParameterizedTest
  @CsvSource({"INT8,32", "INT8,64", "INT4,32", "INT4,128", "FP8,32"})
  void matricesComeBackAsTheyWere(WeightFormat format, int blockSize) {
    Weights packed =
        Quantiser.of(format, QuantisationMethod.RTN, blockSize).quantise(config, floats);

    Checkpoints.save(directory, config, packed, format.dtype());
    Weights loaded = Checkpoints.load(directory).weights();

    assertThat(WeightFormat.of(loaded)).isEqualTo(format);
    assertThat(loaded.tensors()).isEqualTo(packed.tensors());
    assertThat(loaded.fingerprint()).isEqualTo(packed.fingerprint());
    for (TensorInfo tensor : packed.tensors()) {
      assertThat(loaded.floats(tensor.name())).isEqualTo(packed.floats(tensor.name()));
      assertThat(loaded.quantised(tensor.name()))
          .usingRecursiveComparison()
          .isEqualTo(packed.quantised(tensor.name()));
      assertThat(loaded.stored(tensor.name(), tensor.dtype(), (bytes, length) -> {}))
          .isEqualTo(tensor.dtype().isPlain());
    }
    Path again = directory.resolve("again");
    Checkpoints.save(again, config, MemoryWeights.copyOf(loaded), format.dtype());
    assertThat(again.resolve("model.safetensors"))
        .hasSameBinaryContentAs(directory.resolve("model.safetensors"));
    Path plain = directory.resolve("plain");
    Checkpoints.save(plain, config, loaded, DType.F32);
    assertThat(Checkpoints.load(plain).weights().floats(TensorNames.gate(1)))
        .isEqualTo(packed.floats(TensorNames.gate(1)));
  }

  @Test
  void oneScaleForAWholeMatrixComesBack() {
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : floats.tensors()) {
      if (tensor.shape().size() == 1) {
        builder.floats(tensor.name(), new long[] {tensor.elements()}, floats.floats(tensor.name()));
        continue;
      }
      byte[] values = new byte[(int) tensor.elements()];
      new Random(1).nextBytes(values);
      for (int i = 0; i < values.length; i++) {
        values[i] &= (byte) 0xfe;
      }
      int columns = tensor.shape().get(1).intValue();
      builder.quantised(
          tensor.name(),
          new QuantisedMatrix(
              WeightFormat.FP8,
              tensor.shape().get(0).intValue(),
              columns,
              columns,
              values,
              new float[] {0.01f}));
    }
    Weights packed = builder.build();
    Checkpoints.save(directory, config, packed, DType.F8_E4M3);
    Weights loaded = Checkpoints.load(directory).weights();
    assertThat(loaded.fingerprint()).isEqualTo(packed.fingerprint());
    assertThat(loaded.quantised(TensorNames.up(0)).orElseThrow().scales()).containsExactly(0.01f);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "INT8|INT4|: I8 (expected: F8_E4M3)|F8_E4M3",
        "INT4|FP8|: F8_E4M3 (expected: I4)|I4",
        "INT4|INT4|: I4 (expected: I8)|I8",
        "NONE|NONE|dtype: F8_E4M3 (expected: weights with 8-bit matrices)|F8_E4M3",
        "INT8|INT8|dtype: I4 (expected: weights with 4-bit matrices)|I4"
      })
  void aModelOfOneFormatTakesNoMatricesOfAnother(
      WeightFormat embedding, WeightFormat rest, String expected, DType dtype) {
    Weights mixed = mixed(embedding, 32, rest, 32);
    assertThatThrownBy(() -> Checkpoints.save(directory, config, mixed, dtype))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(expected);
  }

  @Test
  void integersOfOneModelHaveOneBlockSize() {
    Weights mixed = mixed(WeightFormat.INT8, 64, WeightFormat.INT4, 32);
    assertThatThrownBy(() -> Checkpoints.save(directory, config, mixed, DType.I4))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("block size: 32 (expected: 64, as the other matrices)");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "INT4|I8|, or I8 for a matrix)",
        "INT4|F8_E4M3|(expected: F32, F16 or BF16, or F8_E4M3 for a matrix)",
        "FP8|I4|dtype: F8_E4M3 (expected: F32, F16 or BF16, or I8 or U8 for a matrix)",
        "FP8|F32|dtype: F8_E4M3 (expected: F32, F16 or BF16)"
      })
  void filesAndTheirDescriptionMustAgree(WeightFormat format, DType said, String expected)
      throws IOException {
    Weights packed = Quantiser.of(format).quantise(config, floats);
    Checkpoints.save(directory, config, packed, format.dtype());
    Files.write(directory.resolve("config.json"), ConfigJson.write(config, said, 32));
    assertRefused(expected);
  }

  @Test
  void anotherBlockSizeThanTheFilesIsRefused() throws IOException {
    Weights packed = Quantiser.of(WeightFormat.INT4).quantise(config, floats);
    Checkpoints.save(directory, config, packed, DType.I4);
    Files.write(directory.resolve("config.json"), ConfigJson.write(config, DType.I4, 16));
    assertRefused("expected: ");
    String odd = new String(ConfigJson.write(config, DType.I4, 33), StandardCharsets.UTF_8);
    Files.writeString(directory.resolve("config.json"), odd);
    assertRefused("reflux.block_size: 33 (expected: an even number)");
  }

  @ParameterizedTest
  @EnumSource(
      value = WeightFormat.class,
      names = {"INT8", "INT4", "FP8"})
  void flippedBytesNeverEscapeAsAnotherError(WeightFormat format) throws IOException {
    Weights packed = Quantiser.of(format).quantise(config, floats);
    Checkpoints.save(directory, config, packed, format.dtype());
    Path file = directory.resolve("model.safetensors");
    byte[] whole = Files.readAllBytes(file);
    int headerBytes = (int) ByteBuffer.wrap(whole).order(ByteOrder.LITTLE_ENDIAN).getLong() + 8;
    Random random = new Random(5);
    for (int i = 0; i < 150; i++) {
      byte[] bytes = whole.clone();
      for (int flips = random.nextInt(3); flips >= 0; flips--) {
        bytes[random.nextInt(i % 3 == 0 ? whole.length : headerBytes)] = (byte) random.nextInt(256);
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

  private Weights mixed(
      WeightFormat embedding, int embeddingBlock, WeightFormat rest, int restBlock) {
    Weights words =
        Quantiser.of(embedding, QuantisationMethod.RTN, embeddingBlock).quantise(config, floats);
    Weights others = Quantiser.of(rest, QuantisationMethod.RTN, restBlock).quantise(config, floats);
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : floats.tensors()) {
      String name = tensor.name();
      Weights source = name.equals(TensorNames.EMBEDDING) ? words : others;
      if (source.quantised(name).isPresent()) {
        builder.quantised(name, source.quantised(name).get());
      } else {
        builder.floats(
            name,
            tensor.shape().stream().mapToLong(Long::longValue).toArray(),
            floats.floats(name));
      }
    }
    return builder.build();
  }

  private void assertRefused(String expected) {
    assertThatThrownBy(() -> Checkpoints.load(directory))
        .isInstanceOf(ModelException.class)
        .message()
        .contains(expected)
        .doesNotContain("\n");
  }
}
