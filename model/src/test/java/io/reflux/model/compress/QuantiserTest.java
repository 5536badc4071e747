package io.reflux.model.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.QuantisedMatrix;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.CalibrationSums.Sum;
import io.reflux.model.runtime.RuntimeOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class QuantiserTest {
  private static final Path TEACHER = Path.of("../deploy/src/main/resources/teacher");

  /** On the bundled teacher, its last layer above all, with questions like those it was taught. */
  @Test
  void everyLayerErrsLessByGptqThanByRoundingAndLeastByQuantEase() {
    LanguageModel teacher = LanguageModel.load(TEACHER);
    List<int[]> sequences = new ArrayList<>();
    for (String product : List.of("kettle", "desk lamp", "tent", "router", "toaster")) {
      for (String question :
          List.of(
              "where is my %s order",
              "can you check the status of my %s order",
              "i want to send the %s back, it does not work",
              "how much is the delivery of one %s to the coast",
              "my %s came with the wrong colour, what now")) {
        String text = question.formatted(product);
        sequences.add(teacher.promptIds(text));
        sequences.add(teacher.promptIds("Your " + product + " is packed, the team sends it out."));
      }
    }
    CalibrationSums sums =
        Calibration.sums(teacher.config(), teacher.weights(), sequences, RuntimeOptions.DEFAULT);
    int last = teacher.config().layers() - 1;
    for (String name : matrices(last)) {
      assertErrorsFall(WeightFormat.INT4, name, teacher.weights(), sums);
    }
    assertErrorsFall(WeightFormat.INT4, TensorNames.value(0), teacher.weights(), sums);
    assertErrorsFall(WeightFormat.INT8, TensorNames.query(0), teacher.weights(), sums);
    assertErrorsFall(WeightFormat.FP8, TensorNames.output(last), teacher.weights(), sums);
  }

  private static void assertErrorsFall(
      WeightFormat format, String name, Weights weights, CalibrationSums sums) {
    float[] floats = weights.floats(name);
    float[] sigma = sums.of(name);
    int columns = (int) Math.sqrt(sigma.length);
    double[] errors = new double[3];
    for (QuantisationMethod method : QuantisationMethod.values()) {
      errors[method.ordinal()] =
          QuantisationError.of(
              floats, quantise(format, method, floats, columns, sigma).dequantised(), sigma);
    }
    assertThat(errors[1]).as("%s: gptq, rounding %s", name, errors[0]).isLessThan(errors[0]);
    assertThat(errors[2]).as("%s: quantease, gptq %s", name, errors[1]).isLessThan(errors[1]);
    // And rounding without calibration is no better than with it.
    float[] blind = quantise(format, QuantisationMethod.RTN, floats, columns, null).dequantised();
    assertThat(errors[1]).isLessThan(QuantisationError.of(floats, blind, sigma));
  }

  @Test
  void theErrorIsTheSquaredChangeOfTheOutputs() {
    Random random = new Random(3);
    float[] inputs = gaussian(random, 9 * 5);
    float[] floats = gaussian(random, 4 * 5);
    float[] quantised = gaussian(random, 4 * 5);
    double expected = 0;
    double whole = 0;
    for (int token = 0; token < 9; token++) {
      for (int row = 0; row < 4; row++) {
        double change = 0;
        double output = 0;
        for (int j = 0; j < 5; j++) {
          double x = inputs[token * 5 + j];
          change += x * ((double) floats[row * 5 + j] - quantised[row * 5 + j]);
          output += x * floats[row * 5 + j];
        }
        expected += change * change;
        whole += output * output;
      }
    }
    float[] sigma = sigma(inputs, 5);
    assertThat(QuantisationError.of(floats, quantised, sigma))
        .isCloseTo(expected, within(1e-5 * expected));
    assertThat(QuantisationError.relative(floats, quantised, sigma))
        .isCloseTo(expected / whole, within(1e-5 * expected / whole));
    assertThat(QuantisationError.of(floats, floats, sigma)).isZero();
    assertThat(QuantisationError.relative(floats, quantised, new float[25])).isZero();
  }

  /**
   * One column after the other, the inverse brought up to date each time: the paper's equations.
   */
  @ParameterizedTest
  @CsvSource({"5, 30", "40, 200", "150, 400", "300, 100"})
  void gptqIsOptimalBrainQuantisationInItsOrder(int columns, int tokens) {
    Random random = new Random(columns);
    float[] sigma = sigma(gaussian(random, tokens * columns), columns);
    float[] floats = gaussian(random, 2 * columns);
    Grid grid = Grid.fit(WeightFormat.INT4, floats, 2, columns, 32, null);

    float[] actual = new Gptq(grid, sigma, columns).quantise(floats, 2);

    float[] expected = naiveGptq(grid, floats, sigma, columns);
    int different = 0;
    for (int i = 0; i < actual.length; i++) {
      different += actual[i] == expected[i] ? 0 : 1;
    }
    // Two ways of computing one number may fall on two sides of a half.
    assertThat(different).isLessThanOrEqualTo(columns / 100);
  }

  private static float[] naiveGptq(Grid grid, float[] floats, float[] sigma, int columns) {
    double mean = 0;
    for (int j = 0; j < columns; j++) {
      mean += (double) sigma[j * columns + j] / columns;
    }
    double[][] hessian = new double[columns][columns];
    for (int i = 0; i < columns; i++) {
      for (int j = 0; j < columns; j++) {
        hessian[i][j] = sigma[i * columns + j] + (i == j ? 0.01 * mean : 0);
      }
    }
    double[][] inverse = inverse(hessian);
    double[] rest = new double[floats.length];
    for (int i = 0; i < rest.length; i++) {
      rest[i] = floats[i];
    }
    float[] quantised = new float[floats.length];
    boolean[] done = new boolean[columns];
    for (int step = 0; step < columns; step++) {
      int next = -1;
      for (int j = 0; j < columns; j++) {
        boolean larger = next < 0 || sigma[j * columns + j] > sigma[next * columns + next];
        next = !done[j] && larger ? j : next;
      }
      done[next] = true;
      for (int row = 0; row < 2; row++) {
        int at = row * columns + next;
        quantised[at] = grid.nearest(row, next, rest[at]);
        double error = (rest[at] - quantised[at]) / inverse[next][next];
        for (int j = 0; j < columns; j++) {
          rest[row * columns + j] -= done[j] ? 0 : error * inverse[next][j];
        }
      }
      double pivot = inverse[next][next];
      double[] pivotRow = inverse[next].clone();
      for (int i = 0; i < columns; i++) {
        double factor = pivotRow[i] / pivot;
        for (int j = 0; j < columns; j++) {
          inverse[i][j] -= factor * pivotRow[j];
        }
      }
    }
    return quantised;
  }

  @Test
  void quantEaseEndsWhereNoSingleWeightCanBeBettered() {
    Random random = new Random(8);
    for (int round = 0; round < 40; round++) {
      int columns = 2 + round % 3;
      float[] sigma = sigma(gaussian(random, 6 * columns), columns);
      float[] floats = gaussian(random, columns);
      Grid grid = Grid.fit(WeightFormat.INT4, floats, 1, columns, 32, null);
      float[] nearest = grid.matrix(floats).dequantised();
      float[] gptq = new Gptq(grid, sigma, columns).quantise(floats, 1);

      float[] eased = new QuantEase(grid, sigma, columns).quantise(floats, 1, nearest, gptq);

      double error = QuantisationError.of(floats, eased, sigma);
      double[] values = values(grid, floats);
      double slack = 1e-9 * QuantisationError.of(floats, new float[columns], sigma);
      assertThat(error).isLessThanOrEqualTo(QuantisationError.of(floats, nearest, sigma) + slack);
      assertThat(error).isLessThanOrEqualTo(QuantisationError.of(floats, gptq, sigma) + slack);
      assertThat(error).isGreaterThanOrEqualTo(least(floats, sigma, values, columns) - slack);
      for (int j = 0; j < columns; j++) {
        for (double value : values) {
          float[] other = eased.clone();
          other[j] = (float) value;
          assertThat(QuantisationError.of(floats, other, sigma))
              .isGreaterThanOrEqualTo(error - slack);
        }
      }
    }
  }

  /** All that a weight of the only block can become. */
  private static double[] values(Grid grid, float[] floats) {
    double largest = 0;
    for (float value : floats) {
      largest = Math.max(largest, Math.abs(value));
    }
    double most = largest;
    return java.util.stream.IntStream.rangeClosed(-4000, 4000)
        .mapToDouble(i -> grid.nearest(0, 0, i * most / 2000))
        .distinct()
        .toArray();
  }

  /** Of all matrices there are. */
  private static double least(float[] floats, float[] sigma, double[] values, int columns) {
    double least = Double.POSITIVE_INFINITY;
    float[] candidate = new float[columns];
    int count = (int) Math.pow(values.length, columns);
    for (int i = 0; i < count; i++) {
      int rest = i;
      for (int j = 0; j < columns; j++) {
        candidate[j] = (float) values[rest % values.length];
        rest /= values.length;
      }
      least = Math.min(least, QuantisationError.of(floats, candidate, sigma));
    }
    return least;
  }

  @ParameterizedTest
  @EnumSource
  void inputsThatAreAlwaysZeroLeaveTheirWeightsRounded(QuantisationMethod method) {
    Random random = new Random(4);
    float[] inputs = gaussian(random, 50 * 40);
    for (int token = 0; token < 50; token++) {
      inputs[token * 40 + 7] = 0;
      inputs[token * 40 + 33] = 0;
    }
    float[] floats = gaussian(random, 3 * 40);
    float[] sigma = sigma(inputs, 40);

    QuantisedMatrix matrix = quantise(WeightFormat.INT8, method, floats, 40, sigma);

    QuantisedMatrix nearest =
        quantise(WeightFormat.INT8, QuantisationMethod.RTN, floats, 40, sigma);
    for (int row = 0; row < 3; row++) {
      for (int column : new int[] {7, 33}) {
        assertThat(matrix.valueAt(row, column)).isEqualTo(nearest.valueAt(row, column));
      }
    }
    // And without any input at all everything is.
    assertThat(quantise(WeightFormat.INT8, method, floats, 40, new float[40 * 40]).values())
        .isEqualTo(nearest.values());
  }

  @ParameterizedTest
  @EnumSource
  void fewTokensAndConstantRowsAreNoTrouble(QuantisationMethod method) {
    Random random = new Random(5);
    float[] sigma = sigma(gaussian(random, 3 * 48), 48);
    float[] floats = gaussian(random, 4 * 48);
    Arrays.fill(floats, 48, 2 * 48, 0.25f);
    Arrays.fill(floats, 2 * 48, 3 * 48, 0);
    for (WeightFormat format : List.of(WeightFormat.INT8, WeightFormat.INT4, WeightFormat.FP8)) {
      float[] back = quantise(format, method, floats, 48, sigma).dequantised();
      double error = QuantisationError.relative(floats, back, sigma);
      assertThat(error).isLessThan(0.02);
      assertThat(Arrays.copyOfRange(back, 2 * 48, 3 * 48)).containsOnly(0f);
    }
  }

  @Test
  void theSameBitsComeOutEachTime() {
    ModelConfig config = RandomModel.config(Architecture.QWEN2, 4);
    Weights weights = RandomModel.variedWeights(config, 1);
    List<int[]> sequences = List.of(new int[] {3, 1, 4, 1, 5, 9, 2, 6}, new int[] {2, 7, 1, 8});
    Optional<CalibrationSums> sums =
        Optional.of(Calibration.sums(config, weights, sequences, RuntimeOptions.DEFAULT));
    Quantiser quantiser = Quantiser.of(WeightFormat.INT4, QuantisationMethod.QUANTEASE, 32);
    String first = quantiser.quantise(config, weights, sums).fingerprint();
    assertThat(quantiser.quantise(config, weights, sums).fingerprint()).isEqualTo(first);
  }

  @Test
  void whatCannotBeCalibratedIsRefusedInOneLine() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 1);
    Weights weights = RandomModel.weights(config, 1);
    Quantiser gptq = Quantiser.of(WeightFormat.INT4, QuantisationMethod.GPTQ, 32);
    assertThatThrownBy(() -> gptq.quantise(config, weights))
        .isInstanceOf(ModelException.class)
        .hasMessage("gptq: no calibration (expected: some, or method rtn)");
    CalibrationSums narrow =
        new CalibrationSums(1, List.of(new Sum(List.of(TensorNames.key(0)), 1, new float[1])));
    assertThatThrownBy(() -> gptq.quantise(config, weights, Optional.of(narrow)))
        .isInstanceOf(ModelException.class)
        .hasMessageEndingWith(": no sum of inputs (expected: a calibrated matrix)");
    List<String> names = matrices(0);
    CalibrationSums other = new CalibrationSums(1, List.of(new Sum(names, 1, new float[] {1})));
    assertThatThrownBy(() -> gptq.quantise(config, weights, Optional.of(other)))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("sum of inputs: 1 elements (expected: ");
    assertThatThrownBy(() -> QuantisationMethod.parse("awq"))
        .isInstanceOf(ModelException.class)
        .hasMessage("quantisation method: awq (expected: rtn, gptq or quantease)");
    assertThat(QuantisationMethod.parse(" GPTQ ")).isEqualTo(QuantisationMethod.GPTQ);
  }

  @Test
  void aSumThatIsNoneIsRefused() {
    float[] sigma = {1, 3e8f, 3e8f, 1};
    assertThatThrownBy(
            () ->
                quantise(WeightFormat.INT4, QuantisationMethod.GPTQ, new float[] {1, 2}, 2, sigma))
        .isInstanceOf(ModelException.class)
        .hasMessage("gptq: sum of inputs: not positive (expected: XᵀX of some inputs)");
  }

  private static QuantisedMatrix quantise(
      WeightFormat format, QuantisationMethod method, float[] floats, int columns, float[] sigma) {
    return MatrixQuantiser.quantise(
        format, method, floats, floats.length / columns, columns, 32, sigma);
  }

  private static List<String> matrices(int layer) {
    return List.of(
        TensorNames.query(layer),
        TensorNames.key(layer),
        TensorNames.value(layer),
        TensorNames.output(layer),
        TensorNames.gate(layer),
        TensorNames.up(layer),
        TensorNames.down(layer));
  }

  private static float[] gaussian(Random random, int count) {
    float[] floats = new float[count];
    for (int i = 0; i < count; i++) {
      floats[i] = (float) random.nextGaussian();
    }
    return floats;
  }

  /** XᵀX. */
  private static float[] sigma(float[] inputs, int columns) {
    float[] sigma = new float[columns * columns];
    for (int i = 0; i < columns; i++) {
      for (int j = 0; j < columns; j++) {
        double sum = 0;
        for (int token = 0; token < inputs.length / columns; token++) {
          sum += (double) inputs[token * columns + i] * inputs[token * columns + j];
        }
        sigma[i * columns + j] = (float) sum;
      }
    }
    return sigma;
  }

  /** By Gauss and Jordan, without pivoting: of a positive definite matrix. */
  private static double[][] inverse(double[][] matrix) {
    int n = matrix.length;
    double[][] left = new double[n][];
    double[][] right = new double[n][n];
    for (int i = 0; i < n; i++) {
      left[i] = matrix[i].clone();
      right[i][i] = 1;
    }
    for (int pivot = 0; pivot < n; pivot++) {
      double scale = left[pivot][pivot];
      for (int j = 0; j < n; j++) {
        left[pivot][j] /= scale;
        right[pivot][j] /= scale;
      }
      for (int i = 0; i < n; i++) {
        double factor = left[i][pivot];
        for (int j = 0; j < n && i != pivot; j++) {
          left[i][j] -= factor * left[pivot][j];
          right[i][j] -= factor * right[pivot][j];
        }
      }
    }
    return right;
  }
}
