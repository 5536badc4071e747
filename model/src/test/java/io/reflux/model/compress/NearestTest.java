package io.reflux.model.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import java.util.Arrays;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class NearestTest {
  @Property(tries = 200)
  void noWeightMovesByMoreThanHalfAStep(
      @ForAll @IntRange(min = 1, max = 5) int rows,
      @ForAll @IntRange(min = 1, max = 100) int columns,
      @ForAll @DoubleRange(min = -30, max = 30) double logScale,
      @ForAll long seed) {
    float[] floats = new float[rows * columns];
    Random random = new Random(seed);
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) (random.nextGaussian() * Math.exp(logScale));
    }
    QuantisedMatrix matrix =
        MatrixQuantiser.quantise(
            WeightFormat.INT8, QuantisationMethod.RTN, floats, rows, columns, 32, null);
    float[] back = matrix.dequantised();
    for (int i = 0; i < floats.length; i++) {
      float scale = matrix.scales()[i / columns * matrix.blocks() + i % columns / 32];
      assertThat(Math.abs(floats[i] - (double) back[i])).isLessThanOrEqualTo(0.50001 * scale);
      assertThat(matrix.values()[i]).isBetween((byte) -127, (byte) 127);
    }
  }

  @Test
  void quantisingWhatIsQuantisedChangesNothing() {
    float[] floats = new float[3 * 70];
    Random random = new Random(1);
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) random.nextGaussian();
    }
    QuantisedMatrix once =
        MatrixQuantiser.quantise(
            WeightFormat.INT8, QuantisationMethod.RTN, floats, 3, 70, 32, null);
    QuantisedMatrix twice =
        MatrixQuantiser.quantise(
            WeightFormat.INT8, QuantisationMethod.RTN, once.dequantised(), 3, 70, 32, null);
    assertThat(twice.values()).isEqualTo(once.values());
  }

  @Test
  void blocksOfZerosStayZero() {
    QuantisedMatrix matrix =
        MatrixQuantiser.quantise(
            WeightFormat.INT8, QuantisationMethod.RTN, new float[40], 1, 40, 32, null);
    assertThat(matrix.dequantised()).containsOnly(0f);
    assertThat(matrix.scales()).containsOnly(0f);
  }

  @Test
  void matricesAreQuantisedAndVectorsAreNot() {
    ModelConfig config = RandomModel.config(Architecture.QWEN2, 1);
    Weights weights = RandomModel.variedWeights(config, 1);
    Weights quantised = Quantiser.of(WeightFormat.INT8).quantise(config, weights);
    assertThat(quantised.tensors()).hasSameSizeAs(weights.tensors());
    for (TensorInfo tensor : quantised.tensors()) {
      boolean matrix = tensor.shape().size() == 2;
      assertThat(tensor.dtype()).isEqualTo(matrix ? DType.I8 : DType.F32);
      assertThat(quantised.quantised(tensor.name()).isPresent()).isEqualTo(matrix);
      if (matrix) {
        assertThat(quantised.floats(tensor.name()))
            .isEqualTo(quantised.quantised(tensor.name()).orElseThrow().dequantised());
      } else {
        assertThat(quantised.floats(tensor.name())).isEqualTo(weights.floats(tensor.name()));
      }
    }
    assertThat(Quantiser.of(WeightFormat.INT8).quantise(config, weights).fingerprint())
        .isEqualTo(quantised.fingerprint());
  }

  @Test
  void weightsThatDivergedAreRefusedByName() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 1);
    Weights weights = RandomModel.weights(config, 1);
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      float[] floats = weights.floats(tensor.name());
      if (tensor.name().equals(TensorNames.gate(0))) {
        Arrays.fill(floats, 3, 4, Float.NaN);
      }
      builder.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    Weights diverged = builder.build();
    assertThatThrownBy(() -> Quantiser.of(WeightFormat.INT8).quantise(config, diverged))
        .isInstanceOf(ModelException.class)
        .hasMessage(TensorNames.gate(0) + ": NaN at element 3 (expected: finite weights)");
  }

  @Property(tries = 200)
  void fourBitsErrLessThanRoundingTheLargestWeightToSeven(
      @ForAll @IntRange(min = 1, max = 3) int rows,
      @ForAll @IntRange(min = 1, max = 100) int columns,
      @ForAll @DoubleRange(min = -20, max = 20) double logScale,
      @ForAll long seed) {
    float[] floats = new float[rows * columns];
    Random random = new Random(seed);
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) (random.nextGaussian() * Math.exp(logScale));
    }
    float[] back =
        MatrixQuantiser.quantise(
                WeightFormat.INT4, QuantisationMethod.RTN, floats, rows, columns, 32, null)
            .dequantised();
    for (int row = 0; row < rows; row++) {
      for (int from = 0; from < columns; from += 32) {
        double largest = 0;
        double error = 0;
        double plainError = 0;
        int to = Math.min(columns, from + 32);
        for (int i = row * columns + from; i < row * columns + to; i++) {
          largest = Math.max(largest, Math.abs(floats[i]));
        }
        for (int i = row * columns + from; i < row * columns + to; i++) {
          error += Math.pow(floats[i] - back[i], 2);
          plainError += Math.pow(floats[i] - largest / 7 * Math.rint(floats[i] * 7 / largest), 2);
        }
        // Scales are rounded to 11 bits.
        assertThat(error).isLessThanOrEqualTo(1.01 * plainError + 2e-4 * largest * largest);
      }
    }
  }

  @Property(tries = 200)
  void eightBitFloatsKeepThreeBitsOfEachWeight(
      @ForAll @IntRange(min = 1, max = 100) int columns,
      @ForAll @DoubleRange(min = -20, max = 20) double logScale,
      @ForAll long seed) {
    float[] floats = new float[columns];
    Random random = new Random(seed);
    float largest = 0;
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) (random.nextGaussian() * Math.exp(logScale));
      largest = Math.max(largest, Math.abs(floats[i]));
    }
    float[] back =
        MatrixQuantiser.quantise(
                WeightFormat.FP8, QuantisationMethod.RTN, floats, 1, columns, 32, null)
            .dequantised();
    for (int i = 0; i < floats.length; i++) {
      // Half of a step: of the number's own exponent, or of the smallest one.
      double step = Math.max(Math.abs(floats[i]) / 16.0, largest / 448.0 / 1024);
      assertThat(Math.abs(floats[i] - (double) back[i])).isLessThanOrEqualTo(1.0001 * step);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = WeightFormat.class,
      names = {"INT4", "FP8"})
  void zerosStayZeroInFewBits(WeightFormat format) {
    QuantisedMatrix matrix =
        MatrixQuantiser.quantise(format, QuantisationMethod.RTN, new float[40], 1, 40, 32, null);
    assertThat(matrix.dequantised()).containsOnly(0f);
    assertThat(matrix.scales()).containsOnly(0f);
  }

  @Test
  void ofFourBitsTheWordsHaveEight() {
    ModelConfig config = RandomModel.config(Architecture.QWEN2, 1);
    Weights weights = RandomModel.variedWeights(config, 1);
    Weights quantised = Quantiser.of(WeightFormat.INT4).quantise(config, weights);
    for (TensorInfo tensor : quantised.tensors()) {
      boolean words =
          tensor.name().equals(TensorNames.EMBEDDING) || tensor.name().equals(TensorNames.HEAD);
      DType expected = tensor.shape().size() == 1 ? DType.F32 : words ? DType.I8 : DType.I4;
      assertThat(tensor.dtype()).isEqualTo(expected);
    }
    assertThat(WeightFormat.of(quantised)).isEqualTo(WeightFormat.INT4);
    Weights unchanged = Quantiser.of(WeightFormat.NONE).quantise(config, weights);
    assertThat(unchanged.fingerprint()).isEqualTo(weights.fingerprint());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 8, 48, 512})
  void blocksAreOfPowersOfTwo(int blockSize) {
    assertThatThrownBy(() -> Quantiser.of(WeightFormat.INT4, QuantisationMethod.RTN, blockSize))
        .isInstanceOf(ModelException.class)
        .hasMessage("block size: " + blockSize + " (expected: 16, 32, 64, 128 or 256)");
  }
}
