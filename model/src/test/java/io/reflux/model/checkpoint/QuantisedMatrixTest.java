package io.reflux.model.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.ModelException;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class QuantisedMatrixTest {
  @Property(tries = 200)
  void fourBitIntegersComeBackFromTheirBytes(
      @ForAll @IntRange(min = 1, max = 4) int rows,
      @ForAll @IntRange(min = 1, max = 70) int columns,
      @ForAll @IntRange(min = 1, max = 20) int halfBlock,
      @ForAll long seed) {
    Random random = new Random(seed);
    int blockSize = 2 * halfBlock;
    int blocks = (columns + blockSize - 1) / blockSize;
    byte[] integers = new byte[rows * columns];
    for (int i = 0; i < integers.length; i++) {
      integers[i] = (byte) (random.nextInt(16) - 8);
    }
    float[] scales = new float[rows * blocks];
    for (int i = 0; i < scales.length; i++) {
      scales[i] = random.nextFloat() - 0.5f;
    }
    QuantisedMatrix matrix = QuantisedMatrix.int4(rows, columns, blockSize, integers, scales);
    assertThat(matrix.values()).hasSize(rows * blocks * halfBlock);
    assertThat(matrix.integers()).isEqualTo(integers);
    float[] floats = matrix.dequantised();
    for (int row = 0; row < rows; row++) {
      for (int column = 0; column < columns; column++) {
        int index = row * columns + column;
        assertThat(matrix.valueAt(row, column)).isEqualTo(integers[index]);
        assertThat(floats[index])
            .isEqualTo(integers[index] * scales[row * blocks + column / blockSize]);
      }
    }
  }

  @Test
  void theEvenColumnIsInTheLowHalf() {
    QuantisedMatrix matrix =
        QuantisedMatrix.int4(1, 3, 4, new byte[] {-8, 7, 0}, new float[] {0.5f});
    assertThat(matrix.values()).containsExactly(0xf0, 0x88);
    assertThat(matrix.dequantised()).containsExactly(-4, 3.5f, 0);
  }

  @Test
  void aScaleMayBelongToARowOrToTheWholeMatrix() {
    byte[] ones = {0x38, 0x38, (byte) 0xb8, 0x40};
    assertThat(
            new QuantisedMatrix(WeightFormat.FP8, 2, 2, 2, ones, new float[] {3, 5}).dequantised())
        .containsExactly(3, 3, -5, 10);
    assertThat(new QuantisedMatrix(WeightFormat.FP8, 2, 2, 2, ones, new float[] {3}).dequantised())
        .containsExactly(3, 3, -3, 6);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "INT8|0|2|2|4|2|rows 0, columns 2, block size 2 (expected: all at least 1)",
        "INT8|2|3|2|5|4|5 values (expected: 2 x 3)",
        "INT8|2|3|2|6|3|3 scales (expected: 2 x 2)",
        "INT8|2|3|3|6|1|1 scales (expected: 2 x 1)",
        "INT4|2|3|3|6|2|int4: block size: 3 (expected: even)",
        "INT4|2|3|2|3|4|3 values (expected: 2 x 2)",
        "FP8|2|3|2|6|4|fp8: block size: 2 (expected: 3, the columns)",
        "FP8|3|3|3|9|2|2 scales (expected: 3 x 1)",
        "NONE|1|1|1|1|1|none (expected: int8, int4 or fp8)"
      })
  void whatDoesNotFitIsRefused(
      WeightFormat format,
      int rows,
      int columns,
      int blockSize,
      int values,
      int scales,
      String expected) {
    assertThatThrownBy(
            () ->
                new QuantisedMatrix(
                    format, rows, columns, blockSize, new byte[values], new float[scales]))
        .isInstanceOf(ModelException.class)
        .hasMessage("quantised matrix: " + expected);
  }

  @Test
  void valuesThatAreNoNumbersAreRefused() {
    assertThatThrownBy(
            () ->
                new QuantisedMatrix(
                    WeightFormat.FP8, 1, 2, 2, new byte[] {1, (byte) 0xff}, new float[1]))
        .isInstanceOf(ModelException.class)
        .hasMessage("quantised matrix: NaN at 1 (expected: numbers)");
    assertThatThrownBy(() -> QuantisedMatrix.int4(1, 1, 2, new byte[] {8}, new float[1]))
        .isInstanceOf(ModelException.class)
        .hasMessage("int4: 8 (expected: -8 to 7)");
  }

  @ParameterizedTest
  @EnumSource
  void formatsAreReadAsTheyArePrinted(WeightFormat format) {
    assertThat(WeightFormat.parse(" " + format.name() + " ")).isEqualTo(format);
    assertThat(WeightFormat.parse(format.toString())).isEqualTo(format);
  }

  @Test
  void unknownFormatsAreNamed() {
    assertThatThrownBy(() -> WeightFormat.parse("int3"))
        .isInstanceOf(ModelException.class)
        .hasMessage("weight format: int3 (expected: none, int8, int4 or fp8)");
  }
}
