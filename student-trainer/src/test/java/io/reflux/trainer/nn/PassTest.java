package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import ai.djl.Device;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Ways through the model that must not tell in what it learns. */
class PassTest {
  @ParameterizedTest
  @EnumSource(Architecture.class)
  void sequencesThatArePackedTogetherDoNotSeeEachOther(Architecture architecture) {
    // Lengths that make groups with padding, groups without, and windows narrower than both.
    int[] lengths = {9, 2, 31, 9, 17, 9, 30, 3, 140, 16, 9, 200};
    for (int seed = 0; seed < 3; seed++) {
      ModelConfig config = RandomModel.config(architecture, seed);
      Weights weights = RandomModel.variedWeights(config, seed);
      List<TrainingSequence> sequences = sequences(config, seed, lengths);
      double total = Batch.totalWeight(sequences);
      try (TrainableModel together = model(config, weights, ModelOptions.DEFAULT);
          TrainableModel apart = model(config, weights, ModelOptions.DEFAULT)) {
        Batch batch = new Batch(sequences, config.vocabularySize(), total);
        assertThat(batch.packing().groups()).isBetween(2, lengths.length - 1);
        Losses losses = together.accumulate(batch);
        Losses sum = Losses.NONE;
        for (TrainingSequence sequence : sequences) {
          Batch alone = new Batch(List.of(sequence), config.vocabularySize(), total);
          sum = sum.plus(apart.accumulate(alone));
        }
        assertThat(losses.objective()).isCloseTo(sum.objective(), within(1e-6 * sum.objective()));
        assertClose(together.gradients(), apart.gradients(), 2e-5);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 5, 100})
  void checkpointsDoNotChangeABit(int every) {
    for (Architecture architecture : Architecture.values()) {
      ModelConfig config = withLayers(RandomModel.config(architecture, 5), 5);
      Weights weights = RandomModel.variedWeights(config, 5);
      Batch batch = new Batch(sequences(config, 5, 4, 17, 9, 9, 40, 23), config.vocabularySize());
      try (TrainableModel plain = model(config, weights, ModelOptions.DEFAULT);
          TrainableModel again =
              model(config, weights, ModelOptions.DEFAULT.withCheckpointEvery(every))) {
        for (int step = 0; step < 2; step++) {
          assertThat(again.accumulate(batch)).isEqualTo(plain.accumulate(batch));
          assertThat(again.gradients().fingerprint()).isEqualTo(plain.gradients().fingerprint());
          assertThat(again.update(1e-2)).isEqualTo(plain.update(1e-2));
        }
        assertThat(again.export().fingerprint()).isEqualTo(plain.export().fingerprint());
      }
    }
  }

  /** The tolerance is what eight bits of mantissa make of three layers. */
  @ParameterizedTest
  @EnumSource(Architecture.class)
  void bfloat16StaysNearFloat32(Architecture architecture) {
    ModelConfig config = withLayers(RandomModel.config(architecture, 2), 3);
    Weights weights = RandomModel.variedWeights(config, 2);
    Batch batch = new Batch(sequences(config, 2, 12, 30, 7, 25, 30), config.vocabularySize());
    ModelOptions half = ModelOptions.DEFAULT.withPrecision(Precision.BF16);
    try (TrainableModel exact = model(config, weights, ModelOptions.DEFAULT);
        TrainableModel rounded = model(config, weights, half);
        TrainableModel again = model(config, weights, half.withCheckpointEvery(2))) {
      Losses expected = exact.accumulate(batch);
      assertThat(rounded.accumulate(batch).objective())
          .isCloseTo(expected.objective(), within(5e-3 * expected.objective()));
      assertThat(cosine(exact.gradients(), rounded.gradients())).isBetween(0.999, 0.9999999);
      again.accumulate(batch);
      assertThat(again.gradients().fingerprint()).isEqualTo(rounded.gradients().fingerprint());
    }
  }

  @Test
  void bfloat16LearnsAsFloat32Does() {
    ModelConfig config = withLayers(RandomModel.config(Architecture.LLAMA, 9), 2);
    List<TrainingSequence> sequences = sequences(config, 9, 20, 20, 12, 8);
    Batch batch = new Batch(sequences, config.vocabularySize());
    List<Double> last = new ArrayList<>();
    for (Precision precision : List.of(Precision.F32, Precision.BF16)) {
      Weights weights = RandomModel.weights(config, 9);
      ModelOptions options = ModelOptions.DEFAULT.withPrecision(precision);
      try (TrainableModel model = model(config, weights, options)) {
        for (int step = 0; step < 60; step++) {
          model.accumulate(batch);
          model.update(1e-2);
        }
        last.add(model.measure(batch).objective());
      }
    }
    assertThat(last.get(0)).isLessThan(0.5);
    assertThat(last.get(1)).isCloseTo(last.get(0), within(0.05));
  }

  @Test
  void halfTheBitsAreUsedWhereTheProcessorMultipliesThem(@TempDir Path directory)
      throws IOException {
    Path described = directory.resolve("cpuinfo");
    for (String flag : List.of("amx_bf16", "avx512_bf16")) {
      Files.writeString(described, "processor\t: 0\nflags\t\t: fpu avx512f " + flag + " sse\n");
      assertThat(Devices.multipliesBf16(described)).isTrue();
    }
    Files.writeString(described, "processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16x\n");
    assertThat(Devices.multipliesBf16(described)).isFalse();
    assertThat(Devices.multipliesBf16(directory.resolve("absent"))).isFalse();
    assertThat(Devices.resolve(Precision.F32, Device.cpu())).isEqualTo(Precision.F32);
    assertThat(Devices.resolve(Precision.BF16, Device.cpu())).isEqualTo(Precision.BF16);
    assertThat(Devices.resolve(Precision.AUTO, Device.cpu())).isNotEqualTo(Precision.AUTO);
  }

  @Test
  void refusesADeviceThatIsNotThere() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 1);
    Weights weights = RandomModel.weights(config, 1);
    ModelOptions options = ModelOptions.DEFAULT.withDevice("cuda:99");
    assertThatThrownBy(() -> model(config, weights, options))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("device: cuda:99 (expected: cpu")
        .hasMessageEndingWith("CUDA devices)");
    assertThatThrownBy(() -> ModelOptions.DEFAULT.withDevice("tpu"))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("device: tpu");
    assertThatThrownBy(() -> ModelOptions.DEFAULT.withDevice("tensorrt:0"))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("expected: cpu or cuda[:N]");
  }

  private static TrainableModel model(ModelConfig config, Weights weights, ModelOptions options) {
    return new TrainableModel(config, weights, AdamW.DEFAULT, options);
  }

  private static List<TrainingSequence> sequences(ModelConfig config, int seed, int... lengths) {
    Random random = new Random(seed);
    List<TrainingSequence> sequences = new ArrayList<>();
    for (int length : lengths) {
      int[] ids = ReferenceLosses.ids(random, length, config.vocabularySize());
      int first = 1 + random.nextInt(length - 1);
      sequences.add(new TrainingSequence(ids, first, null, null, Objective.CROSS_ENTROPY, null));
    }
    return sequences;
  }

  private static ModelConfig withLayers(ModelConfig config, int layers) {
    return new ModelConfig(
        config.architecture(),
        config.vocabularySize(),
        config.hiddenSize(),
        config.intermediateSize(),
        layers,
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
        OptionalInt.empty(),
        config.eosTokenIds());
  }

  /** Within a share of the tensor's largest gradient. */
  private static void assertClose(Weights actual, Weights expected, double tolerance) {
    for (TensorInfo tensor : expected.tensors()) {
      float[] a = actual.floats(tensor.name());
      float[] b = expected.floats(tensor.name());
      double largest = 0;
      for (float value : b) {
        largest = Math.max(largest, Math.abs(value));
      }
      for (int i = 0; i < a.length; i++) {
        assertThat((double) a[i])
            .as("%s[%d]", tensor.name(), i)
            .isCloseTo(b[i], within(tolerance * largest + 1e-9));
      }
    }
  }

  private static double cosine(MemoryWeights a, MemoryWeights b) {
    double both = 0;
    double first = 0;
    double second = 0;
    for (TensorInfo tensor : a.tensors()) {
      float[] x = a.floats(tensor.name());
      float[] y = b.floats(tensor.name());
      for (int i = 0; i < x.length; i++) {
        both += (double) x[i] * y[i];
        first += (double) x[i] * x[i];
        second += (double) y[i] * y[i];
      }
    }
    return both / Math.sqrt(first * second);
  }
}
