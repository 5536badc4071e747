package io.reflux.model.compress;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.CalibrationSums.Sum;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.RuntimeOptions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Sums made in the graph against sums over a double forward pass, and what is done with them. */
class CalibrationTest {
  /** Of the largest element of a sum: float32 products against double ones. */
  private static final double TOLERANCE = 2e-4;

  private static final ModelConfig CONFIG = RandomModel.config(Architecture.QWEN2, 3);
  private static final Weights WEIGHTS = RandomModel.variedWeights(CONFIG, 3);

  @TempDir Path directory;

  @Property(tries = 24)
  void sumsAreThoseOfEachSequenceByItself(
      @ForAll Architecture architecture, @ForAll @LongRange(min = 0, max = 100_000) long seed) {
    ModelConfig config = RandomModel.config(architecture, seed);
    Weights weights = RandomModel.variedWeights(config, seed);
    // Ragged: the sums would be wrong if padding were in them.
    List<int[]> sequences = sequences(config, seed, 9, 1, 17, 4);

    CalibrationSums sums = Calibration.sums(config, weights, sequences, RuntimeOptions.DEFAULT);

    assertThat(sums.tokens()).isEqualTo(31);
    List<ReferenceForward.Trace> traces =
        sequences.stream().map(ids -> ReferenceForward.trace(config, weights, ids)).toList();
    assertThat(sums.matrices())
        .containsExactlyInAnyOrderElementsOf(traces.get(0).matrixInputs().keySet());
    for (String matrix : sums.matrices()) {
      double[] expected = null;
      for (ReferenceForward.Trace trace : traces) {
        expected = addSquares(expected, trace.matrixInputs().get(matrix));
      }
      double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
      float[] actual = sums.of(matrix);
      assertThat(actual).hasSameSizeAs(new float[expected.length]);
      for (int i = 0; i < expected.length; i++) {
        assertThat((double) actual[i])
            .as("%s at %d", matrix, i)
            .isCloseTo(expected[i], within(TOLERANCE * largest));
      }
    }
  }

  @Test
  void everyMatrixHasASumAndThoseThatShareAnInputShareIt() {
    CalibrationSums sums = sums(sequences(CONFIG, 1, 20));
    for (TensorInfo tensor : TensorNames.expected(CONFIG)) {
      boolean multiplies =
          tensor.shape().size() == 2
              && (CONFIG.tiedEmbeddings() || !tensor.name().equals(TensorNames.EMBEDDING));
      assertThat(sums.matrices().contains(tensor.name())).isEqualTo(multiplies);
      if (multiplies) {
        long width = tensor.shape().get(1);
        assertThat(sums.of(tensor.name())).hasSize((int) (width * width));
      }
    }
    assertThat(sums.of(TensorNames.query(0))).isSameAs(sums.of(TensorNames.value(0)));
    assertThat(sums.of(TensorNames.gate(0))).isSameAs(sums.of(TensorNames.up(0)));
    float[] sum = sums.of(TensorNames.down(0));
    int width = CONFIG.intermediateSize();
    for (int i = 0; i < width; i++) {
      for (int j = 0; j < i; j++) {
        assertThat(sum[i * width + j]).isEqualTo(sum[j * width + i]);
      }
    }
  }

  @Test
  void batchesAddUpToTheWhole() {
    // More positions than a batch holds, so that the whole is several batches too.
    List<int[]> some = sequences(CONFIG, 1, 200, 200, 190, 200, 200, 200, 200);
    List<int[]> others = sequences(CONFIG, 2, 250, 250, 250, 3);
    List<int[]> all = new ArrayList<>(some);
    all.addAll(others);

    CalibrationSums whole = sums(all);
    CalibrationSums parts = sums(some).plus(sums(others));

    assertThat(parts.tokens()).isEqualTo(whole.tokens()).isEqualTo(2143);
    assertClose(parts, whole, 1e-5);
  }

  @Test
  void whatIsOlderWeighsLess() {
    CalibrationSums old = sums(sequences(CONFIG, 1, 30));
    CalibrationSums fresh = sums(sequences(CONFIG, 2, 12));

    CalibrationSums rolling = old.decayed(0.5).plus(fresh);

    assertThat(rolling.tokens()).isEqualTo(27);
    float[] before = old.of(TensorNames.down(0));
    float[] added = fresh.of(TensorNames.down(0));
    float[] after = rolling.of(TensorNames.down(0));
    for (int i = 0; i < after.length; i++) {
      assertThat(after[i]).isEqualTo(before[i] / 2 + added[i]);
    }
    assertThatThrownBy(() -> old.decayed(0)).hasMessageContaining("decay: 0.0 (expected: above 0");
  }

  @Test
  void aRollingSumHalvesWithEveryHalfLifeOfTokensThatCome() {
    int[] full = new int[11];
    Arrays.fill(full, 200);
    List<int[]> oldest = sequences(CONFIG, 1, full);
    List<int[]> older = sequences(CONFIG, 2, full);
    List<int[]> newest = sequences(CONFIG, 3, 50, 100);
    List<int[]> all = new ArrayList<>(oldest);
    all.addAll(older);
    all.addAll(newest);

    CalibrationSums rolling =
        Calibration.rolling(CONFIG, WEIGHTS, all, 1000, RuntimeOptions.DEFAULT);

    double[] weights = {Math.pow(0.5, 2.35), Math.pow(0.5, 0.15), 1};
    assertThat(rolling.tokens())
        .isCloseTo(2200 * weights[0] + 2200 * weights[1] + 150, within(1e-6));
    List<CalibrationSums> parts = Stream.of(oldest, older, newest).map(part -> sums(part)).toList();
    for (String matrix : rolling.matrices()) {
      float[] actual = rolling.of(matrix);
      double largest = 0;
      double furthest = 0;
      for (int i = 0; i < actual.length; i++) {
        double expected = 0;
        for (int part = 0; part < 3; part++) {
          expected += weights[part] * parts.get(part).of(matrix)[i];
        }
        largest = Math.max(largest, Math.abs(expected));
        furthest = Math.max(furthest, Math.abs(expected - actual[i]));
      }
      assertThat(furthest).as(matrix).isLessThan(1e-5 * largest);
    }
    assertThatThrownBy(
            () -> Calibration.rolling(CONFIG, WEIGHTS, List.of(), 1000, RuntimeOptions.DEFAULT))
        .hasMessage("calibration: no sequences (expected: at least one)");
  }

  @Test
  void sumsOfAnotherShapeAreRefused() {
    CalibrationSums one = new CalibrationSums(1, List.of(new Sum(List.of("a"), 1, new float[1])));
    CalibrationSums two = new CalibrationSums(1, List.of(new Sum(List.of("a"), 2, new float[4])));
    assertThatThrownBy(() -> one.plus(two))
        .isInstanceOf(ModelException.class)
        .hasMessage("calibration: [a] of width 2 (expected: [a] of width 1, as the other)");
    assertThatThrownBy(() -> one.of("b")).hasMessageContaining("b: no sum of inputs");
    assertThatThrownBy(() -> new Sum(List.of("a"), 1, new float[] {Float.NaN}))
        .hasMessage("a: sum of inputs: NaN at element 0 (expected: finite activations)");
  }

  @Test
  void sequencesThatCannotBeRunAreNamed() {
    assertThatThrownBy(() -> sums(List.of()))
        .hasMessage("calibration: no sequences (expected: at least one)");
    assertThatThrownBy(() -> sums(List.of(new int[] {1}, new int[0])))
        .hasMessage("sequence 1: 0 tokens (expected: 1 to 256, the model's positions)");
    assertThatThrownBy(() -> sums(List.of(new int[] {1, 1_000_000})))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("sequence 0: token id: 1000000 at 1");
  }

  @Test
  void aFileGivesTheSameSumsBack() throws IOException {
    CalibrationSums sums = sums(sequences(CONFIG, 1, 30)).decayed(0.25);
    Path file = directory.resolve("sums");
    sums.save(file);
    CalibrationSums back = CalibrationSums.load(file);

    assertThat(back.tokens()).isEqualTo(7.5);
    assertThat(back.matrices()).isEqualTo(sums.matrices());
    for (String matrix : sums.matrices()) {
      assertThat(back.of(matrix)).isEqualTo(sums.of(matrix));
    }
    assertThat(back.of(TensorNames.query(0))).isSameAs(back.of(TensorNames.key(0)));
    Path again = directory.resolve("again");
    back.save(again);
    assertThat(again).hasSameBinaryContentAs(file);
    try (Stream<Path> written = Files.list(directory)) {
      assertThat(written).containsExactlyInAnyOrder(file, again);
    }
  }

  @Test
  void aFileWithAnyChangedByteOrLengthIsRefused() throws IOException {
    Path file = directory.resolve("sums");
    float[] values = {4, 1, 1, 2};
    new CalibrationSums(3, List.of(new Sum(List.of("a", "b"), 2, values))).save(file);
    byte[] good = Files.readAllBytes(file);
    for (int i = 0; i < good.length; i++) {
      byte[] bad = good.clone();
      bad[i] ^= (byte) (1 << i % 8);
      assertRefused(file, bad);
      assertRefused(file, Arrays.copyOf(good, i));
    }
    assertRefused(file, Arrays.copyOf(good, good.length + 1));
    Files.write(file, good);
    assertThat(CalibrationSums.load(file).of("b")).containsExactly(values);
    assertThatThrownBy(() -> CalibrationSums.load(directory.resolve("none")))
        .hasMessage(directory.resolve("none") + ": no such file");
  }

  private static void assertRefused(Path file, byte[] bytes) throws IOException {
    Files.write(file, bytes);
    assertThatThrownBy(() -> CalibrationSums.load(file))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith(file + ": ")
        .hasMessageNotContaining("\n");
  }

  private static CalibrationSums sums(List<int[]> sequences) {
    return Calibration.sums(CONFIG, WEIGHTS, sequences, RuntimeOptions.DEFAULT);
  }

  private static void assertClose(CalibrationSums actual, CalibrationSums expected, double share) {
    assertThat(actual.matrices()).isEqualTo(expected.matrices());
    for (String matrix : expected.matrices()) {
      float[] truth = expected.of(matrix);
      double largest = 0;
      for (float value : truth) {
        largest = Math.max(largest, Math.abs(value));
      }
      for (int i = 0; i < truth.length; i++) {
        assertThat(actual.of(matrix)[i]).isCloseTo(truth[i], within((float) (share * largest)));
      }
    }
  }

  private static double[] addSquares(double[] sum, double[][] inputs) {
    int width = inputs[0].length;
    double[] added = sum == null ? new double[width * width] : sum;
    for (double[] row : inputs) {
      for (int i = 0; i < width; i++) {
        for (int j = 0; j < width; j++) {
          added[i * width + j] += row[i] * row[j];
        }
      }
    }
    return added;
  }

  private static List<int[]> sequences(ModelConfig config, long seed, int... lengths) {
    Random random = new Random(seed);
    return Arrays.stream(lengths)
        .mapToObj(length -> random.ints(length, 0, config.vocabularySize()).toArray())
        .toList();
  }
}
