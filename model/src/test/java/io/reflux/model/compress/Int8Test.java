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
import io.reflux.model.checkpoint.Weights;
import java.util.Arrays;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;

class Int8Test {
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
    QuantisedMatrix matrix = Int8.quantise(floats, rows, columns);
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
    QuantisedMatrix once = Int8.quantise(floats, 3, 70);
    QuantisedMatrix twice = Int8.quantise(once.dequantised(), 3, 70);
    assertThat(twice.values()).isEqualTo(once.values());
  }

  @Test
  void blocksOfZerosStayZero() {
    QuantisedMatrix matrix = Int8.quantise(new float[40], 1, 40);
    assertThat(matrix.dequantised()).containsOnly(0f);
    assertThat(matrix.scales()).containsOnly(0f);
  }

  @Test
  void matricesAreQuantisedAndVectorsAreNot() {
    ModelConfig config = RandomModel.config(Architecture.QWEN2, 1);
    Weights weights = RandomModel.variedWeights(config, 1);
    Weights quantised = Int8.quantise(config, weights);
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
    assertThat(Int8.quantise(config, weights).fingerprint()).isEqualTo(quantised.fingerprint());
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
    assertThatThrownBy(() -> Int8.quantise(config, diverged))
        .isInstanceOf(ModelException.class)
        .hasMessage(TensorNames.gate(0) + ": NaN at element 3 (expected: finite weights)");
  }
}
