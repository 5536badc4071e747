package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class OptimizerTest {
  private static final ModelConfig CONFIG = RandomModel.config(Architecture.QWEN2, 2);
  private static final AdamW ADAMW = new AdamW(0.9, 0.95, 1e-8, 0.1, 0.5);
  private static final ScheduleFreeAdamW SCHEDULE_FREE =
      new ScheduleFreeAdamW(0.9, 0.95, 1e-8, 0.1, 0.5, Double.POSITIVE_INFINITY);

  @TempDir private Path directory;

  static Stream<Optimizer> kinds() {
    return Stream.of(ADAMW, SCHEDULE_FREE, SCHEDULE_FREE.withLongestAverage(4));
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void manyStepsFollowTheDefinition(Optimizer optimizer) {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    Reference reference = new Reference(optimizer, weights);
    try (TrainableModel model = model(weights, optimizer, Offload.NONE)) {
      for (int step = 0; step < 60; step++) {
        model.accumulate(batch(step % 5));
        MemoryWeights gradients = model.gradients();
        // A warm-up, then a rate that varies.
        double rate = 0.004 * Math.min(1, (step + 1) / 10.0) * (1 + 0.5 * Math.sin(step));
        double norm = model.gradientNorm();
        assertThat(norm).isCloseTo(reference.norm(gradients), within(1e-9 * norm));
        assertThat(model.update(rate)).isEqualTo(norm);
        reference.step(gradients, norm, rate);
      }
      assertThat(model.updates()).isEqualTo(60);
      assertClose(model.export(), reference.exported());
    }
  }

  /** Measured, exported and continued are one thing each: x, x and y. */
  @Test
  void scheduleFreeIsMeasuredWhereItIsExported() {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    try (TrainableModel model = model(weights, SCHEDULE_FREE, Offload.NONE);
        TrainableModel unmeasured = model(weights, SCHEDULE_FREE, Offload.NONE)) {
      for (int step = 0; step < 8; step++) {
        step(model, step);
        step(unmeasured, step);
        model.measure(batch(0));
      }
      MemoryWeights exported = model.export();
      try (TrainableModel served = model(exported, ADAMW, Offload.NONE)) {
        assertThat(model.measure(batch(1))).isEqualTo(served.measure(batch(1)));
        assertThat(model.logits(new int[] {1, 2, 3})).isEqualTo(served.logits(new int[] {1, 2, 3}));
        assertThat(served.accumulate(batch(1)).objective())
            .isNotEqualTo(model.accumulate(batch(1)).objective());
      }
      model.discard();
      assertThat(exported.fingerprint()).isEqualTo(unmeasured.export().fingerprint());
      assertSame(model.state(), unmeasured.state());
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aRestoredStateContinuesBitForBit(Optimizer optimizer) {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    for (Offload offload : List.of(Offload.NONE, Offload.disk(directory).withSliceFloats(1024))) {
      try (TrainableModel straight = model(weights, optimizer, Offload.NONE);
          TrainableModel resumed = model(RandomModel.weights(CONFIG, 99), optimizer, offload)) {
        for (int step = 0; step < 3; step++) {
          step(straight, step);
        }
        resumed.restore(straight.state());
        assertSame(resumed.state(), straight.state());
        for (int step = 3; step < 6; step++) {
          step(straight, step);
          step(resumed, step);
        }
        assertSame(resumed.state(), straight.state());
        assertThat(resumed.export().fingerprint()).isEqualTo(straight.export().fingerprint());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void whereTheStateLivesDoesNotTell(Optimizer optimizer) throws IOException {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    Offload host = Offload.parse("host", directory).withSliceFloats(2048);
    Offload disk = Offload.parse("disk", directory).withSliceFloats(1024);
    try (TrainableModel resident = model(weights, optimizer, Offload.parse("none", directory))) {
      for (Offload offload : List.of(host, disk)) {
        resident.restore(freshState(weights, optimizer));
        try (TrainableModel offloaded = model(weights, optimizer, offload)) {
          for (int step = 0; step < 5; step++) {
            step(resident, step);
            step(offloaded, step);
          }
          assertSame(offloaded.state(), resident.state());
          assertThat(offloaded.export().fingerprint()).isEqualTo(resident.export().fingerprint());
        }
      }
    }
    try (Stream<Path> left = Files.list(directory)) {
      assertThat(left).isEmpty();
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void whatIsDiscardedLeavesNoTrace(Optimizer optimizer) {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    try (TrainableModel model = model(weights, optimizer, Offload.NONE);
        TrainableModel plain = model(weights, optimizer, Offload.NONE)) {
      step(model, 1);
      step(plain, 1);
      model.accumulate(batch(2));
      assertThat(model.gradientNorm()).isPositive();
      model.discard();
      assertThat(model.gradientNorm()).isZero();
      assertSame(model.state(), plain.state());
      step(model, 3);
      step(plain, 3);
      assertSame(model.state(), plain.state());
    }
  }

  @Test
  void aTornFileStopsUntilAStateIsRestored() throws IOException {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    Offload disk = Offload.disk(directory).withSliceFloats(1024);
    try (TrainableModel model = model(weights, ADAMW, disk);
        TrainableModel straight = model(weights, ADAMW, Offload.NONE)) {
      step(model, 0);
      step(straight, 0);
      ModelState checkpoint = model.state();
      Path file = directory.resolve(FileSlices.FILE_NAME);
      long half = Files.size(file) / 2;
      try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
        channel.truncate(half);
      }
      assertThatThrownBy(() -> step(model, 1))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining(file + " is torn at byte ");
      // What is half updated is neither shown nor saved.
      assertThatThrownBy(model::state)
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("torn");
      assertThatThrownBy(model::export).isInstanceOf(ModelException.class);
      assertThatThrownBy(() -> model.measure(batch(1))).isInstanceOf(ModelException.class);
      assertThatThrownBy(() -> step(model, 1)).isInstanceOf(ModelException.class);
      model.restore(checkpoint);
      step(model, 1);
      step(straight, 1);
      assertSame(model.state(), straight.state());
    }
  }

  @Test
  void aFlippedBitInTheFileIsSeen() throws IOException {
    Offload disk = Offload.disk(directory);
    try (TrainableModel model = model(RandomModel.variedWeights(CONFIG, 2), ADAMW, disk)) {
      step(model, 0);
      Path file = directory.resolve(FileSlices.FILE_NAME);
      byte[] bytes = Files.readAllBytes(file);
      bytes[bytes.length / 2] ^= 4;
      Files.write(file, bytes, StandardOpenOption.WRITE);
      assertThatThrownBy(() -> step(model, 1))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("is torn at byte");
    }
  }

  @Test
  void aFullDiskIsMetAtOnce() throws IOException {
    Path full = Path.of("/dev/full");
    org.junit.jupiter.api.Assumptions.assumeTrue(Files.exists(full));
    Files.createSymbolicLink(directory.resolve(FileSlices.FILE_NAME), full);
    assertThatThrownBy(
            () ->
                model(RandomModel.variedWeights(CONFIG, 2), ADAMW, Offload.disk(directory)).close())
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("No space left on device")
        .hasMessageContaining("(expected: room for the optimizer's state)");
  }

  @Test
  void twoTrainingsDoNotShareAFile() {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    Offload disk = Offload.disk(directory);
    try (TrainableModel model = model(weights, ADAMW, disk)) {
      assertThatThrownBy(() -> model(weights, ADAMW, disk).close())
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("(expected: a file that no other training uses)");
      step(model, 0);
    }
  }

  @Test
  void anotherKindOfStateIsRefusedUntouched() {
    Weights weights = RandomModel.variedWeights(CONFIG, 2);
    try (TrainableModel adamW = model(weights, ADAMW, Offload.NONE);
        TrainableModel scheduleFree = model(weights, SCHEDULE_FREE, Offload.NONE)) {
      step(scheduleFree, 0);
      assertThatThrownBy(() -> adamW.restore(scheduleFree.state()))
          .isInstanceOf(ModelException.class)
          .hasMessage("training state: optimizer schedule-free (expected: adamw, as configured)");
      assertThat(adamW.export().fingerprint())
          .isEqualTo(MemoryWeights.copyOf(weights).fingerprint());
    }
  }

  @Test
  void namesAreParsed() {
    assertThat(Optimizer.parse("adamw", 0.1, 2)).isEqualTo(new AdamW(0.9, 0.95, 1e-8, 0.1, 2));
    assertThat(Optimizer.parse("schedule-free", 0.1, 2))
        .isEqualTo(new ScheduleFreeAdamW(0.9, 0.95, 1e-8, 0.1, 2, Double.POSITIVE_INFINITY));
    assertThatThrownBy(() -> Optimizer.parse("sgd", 0, 1))
        .isInstanceOf(ModelException.class)
        .hasMessage("optimizer: sgd (expected: adamw or schedule-free)");
    assertThatThrownBy(() -> Offload.parse("tape", directory))
        .isInstanceOf(ModelException.class)
        .hasMessage("offload: tape (expected: none, host or disk)");
  }

  private static TrainableModel model(Weights weights, Optimizer optimizer, Offload offload) {
    return new TrainableModel(
        CONFIG, weights, optimizer, ModelOptions.DEFAULT.withOffload(offload));
  }

  private static ModelState freshState(Weights weights, Optimizer optimizer) {
    try (TrainableModel model = model(weights, optimizer, Offload.NONE)) {
      return model.state();
    }
  }

  private static void step(Trainable model, int seed) {
    model.accumulate(batch(seed));
    model.update(0.01);
  }

  private static Batch batch(int seed) {
    Random random = new Random(seed);
    List<TrainingSequence> sequences = new ArrayList<>();
    for (int length = 5; length < 9; length++) {
      sequences.add(
          TrainingSequence.of(ReferenceLosses.ids(random, length, CONFIG.vocabularySize())));
    }
    return new Batch(sequences, CONFIG.vocabularySize());
  }

  private static void assertSame(ModelState a, ModelState b) {
    assertThat(a).usingRecursiveComparison().isEqualTo(b);
  }

  private static void assertClose(Weights actual, Map<String, double[]> expected) {
    for (TensorInfo tensor : actual.tensors()) {
      float[] values = actual.floats(tensor.name());
      double[] wanted = expected.get(tensor.name());
      for (int i = 0; i < values.length; i++) {
        assertThat((double) values[i])
            .as("%s[%d]", tensor.name(), i)
            .isCloseTo(wanted[i], within(2e-6 + 2e-5 * Math.abs(wanted[i])));
      }
    }
  }

  /** Both optimizers as their papers write them down, in double precision. */
  private static final class Reference {
    private final Optimizer optimizer;
    private final Map<String, double[]> x = new TreeMap<>();
    private final Map<String, double[]> z = new TreeMap<>();
    private final Map<String, double[]> m = new TreeMap<>();
    private final Map<String, double[]> v = new TreeMap<>();
    private final Map<String, Boolean> decayed = new TreeMap<>();
    private int steps;
    private double largestRate;
    private final List<Double> averaged = new ArrayList<>();

    Reference(Optimizer optimizer, Weights weights) {
      this.optimizer = optimizer;
      for (TensorInfo tensor : weights.tensors()) {
        float[] start = weights.floats(tensor.name());
        x.put(tensor.name(), doubles(start));
        z.put(tensor.name(), doubles(start));
        m.put(tensor.name(), new double[start.length]);
        v.put(tensor.name(), new double[start.length]);
        decayed.put(tensor.name(), tensor.shape().size() > 1);
      }
    }

    double norm(Weights gradients) {
      double sum = 0;
      for (String name : x.keySet()) {
        for (float g : gradients.floats(name)) {
          sum += (double) g * g;
        }
      }
      return Math.sqrt(sum);
    }

    void step(Weights gradients, double norm, double rate) {
      steps++;
      double clip = Math.min(1, optimizer.maxGradientNorm() / norm);
      largestRate = Math.max(largestRate, rate);
      double c = averagingWeight();
      for (String name : x.keySet()) {
        float[] g = gradients.floats(name);
        double decay = decayed.get(name) ? optimizer.weightDecay() : 0;
        for (int i = 0; i < g.length; i++) {
          if (optimizer instanceof AdamW adamW) {
            adamW(adamW, name, i, clip * g[i], decay, rate);
          } else {
            scheduleFree((ScheduleFreeAdamW) optimizer, name, i, clip * g[i], decay, rate, c);
          }
        }
      }
    }

    private double averagingWeight() {
      double weight = largestRate * largestRate;
      averaged.add(weight);
      if (!(optimizer instanceof ScheduleFreeAdamW free)) {
        return 0;
      }
      double sum = 0;
      for (double w : averaged) {
        sum = Math.min(sum + w, w * free.longestAverage());
      }
      return weight / sum;
    }

    private void adamW(AdamW o, String name, int i, double g, double decay, double rate) {
      double[] w = x.get(name);
      m.get(name)[i] = o.beta1() * m.get(name)[i] + (1 - o.beta1()) * g;
      v.get(name)[i] = o.beta2() * v.get(name)[i] + (1 - o.beta2()) * g * g;
      double first = m.get(name)[i] / (1 - Math.pow(o.beta1(), steps));
      double second = v.get(name)[i] / (1 - Math.pow(o.beta2(), steps));
      w[i] -= rate * (decay * w[i] + first / (Math.sqrt(second) + o.epsilon()));
    }

    private void scheduleFree(
        ScheduleFreeAdamW o, String name, int i, double g, double decay, double rate, double c) {
      double y = (1 - o.beta()) * z.get(name)[i] + o.beta() * x.get(name)[i];
      v.get(name)[i] = o.beta2() * v.get(name)[i] + (1 - o.beta2()) * g * g;
      double second = v.get(name)[i] / (1 - Math.pow(o.beta2(), steps));
      z.get(name)[i] -= rate * (g / (Math.sqrt(second) + o.epsilon()) + decay * y);
      x.get(name)[i] = (1 - c) * x.get(name)[i] + c * z.get(name)[i];
    }

    Map<String, double[]> exported() {
      return x;
    }

    private static double[] doubles(float[] values) {
      double[] doubles = new double[values.length];
      for (int i = 0; i < values.length; i++) {
        doubles[i] = values[i];
      }
      return doubles;
    }
  }
}
