package io.reflux.trainer.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.reference.ReferenceForward;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Values and gradients of every objective on every kind of label, against plain definitions. */
class HeadTest {
  private static final int VOCABULARY = 13;
  private static final int ROWS = 5;
  private static final double STEP = 1e-4;

  private static final List<String> OBJECTIVES =
      List.of(
          "forward-kl",
          "reverse-kl",
          "jsd:0.0",
          "jsd:0.1",
          "jsd:0.5",
          "jsd:0.9",
          "jsd:1.0",
          "skewed-kl:0.0",
          "skewed-kl:0.1",
          "skewed-kl:0.7",
          "skewed-reverse-kl:0.0",
          "skewed-reverse-kl:0.1",
          "sampled-reverse-kl",
          "0.5*forward-kl+0.2*reverse-kl+0.1*jsd:0.3+0.1*skewed-kl:0.2+0.1*sampled-reverse-kl");

  private static HeadHarness head;

  @BeforeAll
  static void start() {
    head = new HeadHarness(Precision.F32);
  }

  @AfterAll
  static void stop() {
    head.close();
  }

  /** A sequence and the student's logits at its rows. */
  private record Example(TrainingSequence sequence, double[][] logits) {}

  @ParameterizedTest
  @EnumSource(Labels.class)
  void valuesAndGradientsAreThoseOfTheDefinition(Labels labels) {
    Random random = new Random(labels.ordinal());
    for (String text : OBJECTIVES) {
      if (labels == Labels.TOKENS && !text.startsWith("sampled")) {
        continue;
      }
      for (double temperature : new double[] {1, 2, 0.7}) {
        for (double share : new double[] {0, 0.3}) {
          for (Behaviour behaviour : behaviours(random, temperature)) {
            Objective objective = Objective.parse(text, share);
            Example example = example(labels, objective, temperature, behaviour, 2, 2, random);
            assertFitsTheDefinition(example, within(1e-5));
          }
        }
      }
    }
  }

  /**
   * Probabilities down to e^-150 on both sides, one-hot teachers, tails that are all or nothing.
   */
  @ParameterizedTest
  @EnumSource(Labels.class)
  void extremeDistributionsStayFiniteAndExact(Labels labels) {
    Random random = new Random(labels.ordinal());
    for (String text : OBJECTIVES) {
      if (labels == Labels.TOKENS && !text.startsWith("sampled")) {
        continue;
      }
      for (double share : new double[] {0, 0.5, 1}) {
        for (double temperature : new double[] {1, 3}) {
          Objective objective = Objective.parse(text, share);
          assertFitsTheDefinition(
              example(labels, objective, temperature, null, 40, 2, random), within(1e-4));
          assertFitsTheDefinition(
              example(labels, objective, temperature, null, 2, 40, random), within(1e-4));
          assertFitsTheDefinition(
              example(labels, objective, temperature, null, 40, 40, random), within(1e-4));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Labels.class,
      names = {"TOP_K", "ALL_IDS", "DENSE", "TOKENS"})
  void aStudentThatIsTheTeacherHasNothingToLearn(Labels labels) {
    Random random = new Random(7);
    for (String text : OBJECTIVES) {
      if (labels == Labels.TOKENS && !text.startsWith("sampled")) {
        continue;
      }
      for (double temperature : new double[] {1, 1.7}) {
        double[][] logits = logits(random, 3);
        int[] ids = ids(random);
        Targets targets = labels.of(logits, rowsOf(ids), temperature, random);
        TrainingSequence sequence =
            new TrainingSequence(ids, 1, targets, null, Objective.parse(text, 0), null);
        HeadHarness.Result result = head.onLogits(List.of(sequence), logits);
        assertThat(result.losses().objective()).as(text).isEqualTo(0, within(2e-6));
        for (float g : result.hidden()) {
          assertThat(g).as(text).isEqualTo(0, within(2e-6f));
        }
      }
    }
  }

  @Test
  void noDivergenceIsNegative() {
    Random random = new Random(8);
    for (int i = 0; i < 200; i++) {
      Labels labels = List.of(Labels.TOP_K, Labels.ALL_IDS, Labels.DENSE, Labels.DRAWS).get(i % 4);
      String text = OBJECTIVES.get(random.nextInt(12));
      double spread = random.nextDouble() * 8;
      Example example = example(labels, Objective.parse(text, 0), 1, null, spread, spread, random);
      double offsets =
          example.sequence.targets() instanceof NamedTargets t && t.klOffsets() != null ? ROWS : 0;
      Losses losses = head.onLogits(List.of(example.sequence), example.logits).losses();
      assertThat(losses.objectiveSum()).as("%s of %s", text, labels).isGreaterThan(-1e-5);
      assertThat(losses.klSum()).isGreaterThan(-1e-5);
      assertThat(losses.klSum()).isLessThan(1e3 + offsets);
    }
  }

  /** Teacher (0.9, 0.1), student (0.5, 0.5): worked out by hand, none like another. */
  @ParameterizedTest
  @CsvSource({
    "forward-kl, 0.368064",
    "reverse-kl, 0.510826",
    "jsd:0, 0.368064",
    "jsd:0.1, 0.033603",
    "jsd:0.9, 0.043074",
    "jsd:1, 0.510826",
    "skewed-kl:0.1, 0.307137",
    "skewed-reverse-kl:0.1, 0.365321",
    "sampled-reverse-kl, -0.587787",
    "0.5*forward-kl+0.5*reverse-kl, 0.439445"
  })
  void directionsAreTheRightWayRound(String text, double expected) {
    float[] logp = {(float) Math.log(0.9), (float) Math.log(0.1)};
    float[] noTail = {Float.NEGATIVE_INFINITY};
    float[] token = {logp[0]};
    for (Targets targets :
        List.of(
            new NamedTargets(2, new int[] {0, 1}, logp, noTail, null, 1, token, 0),
            new NamedTargets(
                1, new int[] {0}, new float[] {logp[0]}, new float[] {logp[1]}, null, 1, token, 0),
            new DenseTargets(2, logp, 1, token))) {
      TrainingSequence sequence =
          new TrainingSequence(new int[] {1, 0}, 1, targets, null, Objective.parse(text, 0), null);
      HeadHarness.Result result = head.onLogits(List.of(sequence), new double[][] {{0.3, 0.3}});
      assertThat(result.losses().objective()).isEqualTo(expected, within(2e-6));
      assertThat(result.losses().meanKl()).isEqualTo(0.368064, within(2e-6));
      // The teacher wants more of token 0, whatever the divergence.
      assertThat(result.hidden()[0]).isNegative();
      assertThat(result.hidden()[1]).isPositive();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 7, 1000})
  void aMixedBatchIsTheSumOfItsParts(int chunkRows) {
    Random random = new Random(9);
    List<Example> examples = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      Labels labels = Labels.values()[i % 8];
      String text = OBJECTIVES.get(random.nextInt(OBJECTIVES.size()));
      double temperature = i % 3 == 0 ? 2 : 1;
      List<Behaviour> behaviours = behaviours(random, temperature);
      examples.add(
          example(
              labels,
              Objective.parse(text, random.nextInt(3) * 0.5),
              temperature,
              behaviours.get(random.nextInt(behaviours.size())),
              2,
              2,
              random));
    }
    examples.add(new Example(TrainingSequence.of(ids(random)), logits(random, 2)));
    List<TrainingSequence> batch = examples.stream().map(Example::sequence).toList();
    double[][] logits =
        examples.stream().flatMap(e -> Arrays.stream(e.logits)).toArray(double[][]::new);
    double total = Batch.totalWeight(batch);
    HeadHarness.Result whole =
        head.onLogits(batch, logits, new ChunkSize(chunkRows, chunkRows), total);
    Losses sum = Losses.NONE;
    float[] weights = new float[VOCABULARY * VOCABULARY];
    for (int i = 0; i < examples.size(); i++) {
      Example example = examples.get(i);
      HeadHarness.Result part =
          head.onLogits(List.of(example.sequence), example.logits, new ChunkSize(3, 2), total);
      sum = sum.plus(part.losses());
      for (int j = 0; j < part.hidden().length; j++) {
        assertThat(whole.hidden()[i * part.hidden().length + j])
            .isEqualTo(part.hidden()[j], within(1e-8f));
      }
      for (int j = 0; j < weights.length; j++) {
        weights[j] += part.weights()[j];
      }
    }
    for (int j = 0; j < weights.length; j++) {
      assertThat(whole.weights()[j]).isEqualTo(weights[j], within(2e-6f));
    }
    assertThat(whole.losses().parts().keySet()).isEqualTo(sum.parts().keySet());
    assertThat(whole.losses().objectiveSum()).isEqualTo(sum.objectiveSum(), within(1e-4));
    assertThat(whole.losses().klSum()).isEqualTo(sum.klSum(), within(1e-4));
    assertThat(whole.losses().rows()).isEqualTo(sum.rows()).isEqualTo((long) 41 * (ROWS - 1) + 1);
  }

  @Test
  void figuresAreThoseOfTheDefinition() {
    Random random = new Random(10);
    for (Labels labels : Labels.values()) {
      Objective objective =
          Objective.parse(labels == Labels.TOKENS ? "sampled-reverse-kl" : "reverse-kl", 0.2);
      double temperature = labels.ordinal() % 2 == 0 ? 1 : 1.5;
      Behaviour behaviour = behaviours(random, temperature).get(3);
      Example example = example(labels, objective, temperature, behaviour, 2, 2, random);
      TrainingSequence sequence = example.sequence;
      Losses losses = head.onLogits(List.of(sequence), example.logits).losses();
      double entropy = 0;
      double kl = 0;
      double crossEntropy = 0;
      double gap = 0;
      double factors = 0;
      long clipped = 0;
      long correct = 0;
      for (int row = 0; row < ROWS; row++) {
        if (sequence.weight(row) > 0) {
          double[] z = example.logits[row];
          double[] logq = ReferenceForward.logSoftmax(z);
          int token = ReferenceObjective.token(sequence, row);
          entropy -= Arrays.stream(logq).map(l -> l * Math.exp(l)).sum();
          crossEntropy -= logq[token];
          gap -= ReferenceObjective.logSoftmax(z, temperature)[token];
          gap += sequence.targets().tokenLogprobs()[row];
          double ratio = ReferenceObjective.ratio(sequence, row, z);
          factors += Math.min(ratio, behaviour.clip());
          clipped += ratio > behaviour.clip() ? 1 : 0;
          correct += ReferenceForward.argmax(z) == token ? 1 : 0;
          kl += labels == Labels.TOKENS ? 0 : ReferenceObjective.forwardKl(sequence, row, z);
        }
      }
      assertThat(losses.entropySum()).isEqualTo(entropy, within(1e-5));
      assertThat(losses.crossEntropySum()).isEqualTo(crossEntropy, within(1e-5));
      assertThat(losses.klSum()).as(labels.name()).isEqualTo(kl, within(1e-5));
      assertThat(losses.correct()).isEqualTo(correct);
      assertThat(losses.studentTokenSum() - losses.teacherTokenSum()).isEqualTo(gap, within(1e-5));
      assertThat(losses.relativeGap()).isEqualTo(gap / losses.teacherTokenSum(), within(1e-5));
      assertThat(losses.importance().sum()).isEqualTo(factors, within(1e-5));
      assertThat(losses.importance().clipped()).isEqualTo(clipped);
      assertThat(losses.importance().rows()).isEqualTo(losses.rows()).isEqualTo(ROWS - 1);
      assertThat(losses.distilledRows()).isEqualTo(labels == Labels.TOKENS ? 0 : ROWS - 1);
    }
  }

  @Test
  void agreementIsTheLikeliestTokenOfBoth() {
    float[] logp = {-3, -0.1f, -4, -5};
    Targets dense = new DenseTargets(4, logp, 1);
    Targets named =
        new NamedTargets(2, new int[] {1, 0}, new float[] {-0.1f, -3}, new float[] {-4});
    for (Targets targets : List.of(dense, named)) {
      TrainingSequence sequence =
          new TrainingSequence(new int[] {0, 2}, 1, targets, null, Objective.forwardKl(0), null);
      Losses same = head.onLogits(List.of(sequence), new double[][] {{1, 2, 0, 1.9}}).losses();
      assertThat(same.agreements()).isEqualTo(1);
      assertThat(same.correct()).isZero();
      Losses other = head.onLogits(List.of(sequence), new double[][] {{1, 2, 2.1, 1.9}}).losses();
      assertThat(other.agreements()).isZero();
      assertThat(other.correct()).isEqualTo(1);
    }
  }

  @Test
  void weightsOfTheHeadHaveTheirGradientToo() {
    Random random = new Random(11);
    for (double temperature : new double[] {1, 2}) {
      Example example =
          example(Labels.TOP_K, Objective.parse("jsd:0.3", 0.2), temperature, null, 2, 2, random);
      int width = 6;
      float[] hidden = floats(random, ROWS * width);
      float[] weights = floats(random, VOCABULARY * width);
      List<TrainingSequence> batch = List.of(example.sequence);
      HeadHarness.Result result = head.run(batch, hidden, weights, VOCABULARY);
      double[][] logits = product(hidden, weights, width);
      double[] dz = differences(example.sequence, logits);
      for (int v = 0; v < VOCABULARY; v++) {
        for (int i = 0; i < width; i++) {
          double expected = 0;
          for (int row = 0; row < ROWS; row++) {
            expected += dz[row * VOCABULARY + v] * hidden[row * width + i];
          }
          assertThat((double) result.weights()[v * width + i]).isEqualTo(expected, within(2e-6));
        }
      }
      for (int row = 0; row < ROWS; row++) {
        for (int i = 0; i < width; i++) {
          double expected = 0;
          for (int v = 0; v < VOCABULARY; v++) {
            expected += dz[row * VOCABULARY + v] * weights[v * width + i];
          }
          assertThat((double) result.hidden()[row * width + i]).isEqualTo(expected, within(2e-6));
        }
      }
      HeadHarness.Result again = head.run(batch, hidden, weights, VOCABULARY);
      assertThat(again.hidden()).isEqualTo(result.hidden());
      assertThat(again.weights()).isEqualTo(result.weights());
      assertThat(head.forward(batch, hidden, weights, VOCABULARY).losses())
          .isEqualTo(result.losses());
    }
  }

  @Test
  void bfloat16RoundsTheGradientAlone() {
    Random random = new Random(12);
    Example example =
        example(Labels.TOP_K, Objective.parse("reverse-kl", 0.1), 1, null, 2, 2, random);
    int width = 16;
    float[] hidden = floats(random, ROWS * width);
    float[] weights = floats(random, VOCABULARY * width);
    List<TrainingSequence> batch = List.of(example.sequence);
    HeadHarness.Result exact = head.run(batch, hidden, weights, VOCABULARY);
    try (HeadHarness half = new HeadHarness(Precision.BF16)) {
      HeadHarness.Result rounded = half.run(batch, hidden, weights, VOCABULARY);
      assertThat(rounded.losses()).isEqualTo(exact.losses());
      assertThat(half.forward(batch, hidden, weights, VOCABULARY).losses())
          .isEqualTo(exact.losses());
      assertNear(rounded.weights(), exact.weights());
      assertNear(rounded.hidden(), exact.hidden());
    }
  }

  private static void assertFitsTheDefinition(Example example, Offset<Double> tolerance) {
    TrainingSequence sequence = example.sequence;
    double[][] z = example.logits;
    HeadHarness.Result result = head.onLogits(List.of(sequence), z);
    double expected = 0;
    double scale = 1;
    for (int row = 0; row < ROWS; row++) {
      if (sequence.weight(row) > 0) {
        double value = ReferenceObjective.row(sequence, row, z[row], z[row]);
        expected += value;
        scale += Math.abs(value);
      }
    }
    String name = sequence + " of " + sequence.objective();
    assertThat(result.losses().objectiveSum())
        .as(name)
        .isEqualTo(expected, within(tolerance.value * scale));
    double[] gradients = differences(sequence, z);
    double largest = Math.max(1, Arrays.stream(gradients).map(Math::abs).max().orElseThrow());
    for (int i = 0; i < gradients.length; i++) {
      assertThat((double) result.hidden()[i])
          .as("%s, row %d, id %d", name, i / VOCABULARY, i % VOCABULARY)
          .isEqualTo(gradients[i], within(tolerance.value * largest));
    }
  }

  /** dD/dz of the rows' mean, [rows, vocabulary], by differences of the definition. */
  private static double[] differences(TrainingSequence sequence, double[][] logits) {
    double[] gradients = new double[ROWS * VOCABULARY];
    double total = Batch.totalWeight(List.of(sequence));
    for (int row = 0; row < ROWS; row++) {
      if (sequence.weight(row) == 0) {
        continue;
      }
      for (int v = 0; v < VOCABULARY; v++) {
        double[] up = logits[row].clone();
        double[] down = logits[row].clone();
        up[v] += STEP;
        down[v] -= STEP;
        double difference =
            ReferenceObjective.row(sequence, row, up, logits[row])
                - ReferenceObjective.row(sequence, row, down, logits[row]);
        gradients[row * VOCABULARY + v] = difference / (2 * STEP) / total;
      }
    }
    return gradients;
  }

  /** Row 2 is masked, the others weigh differently. */
  private static Example example(
      Labels labels,
      Objective objective,
      double temperature,
      Behaviour behaviour,
      double teacherSpread,
      double studentSpread,
      Random random) {
    int[] ids = ids(random);
    Targets targets = labels.of(logits(random, teacherSpread), rowsOf(ids), temperature, random);
    float[] weights = {1, 0.5f, 0, 2, 1};
    TrainingSequence sequence =
        new TrainingSequence(ids, 1, targets, weights, objective, behaviour);
    return new Example(sequence, logits(random, studentSpread));
  }

  /** None, at temperature 1, at the targets', and at another; with factors on both sides of 1. */
  private static List<Behaviour> behaviours(Random random, double temperature) {
    List<Behaviour> behaviours = new ArrayList<>();
    behaviours.add(null);
    for (double drawnAt : new double[] {1, temperature, 0.8}) {
      float[] logprobs = new float[ROWS];
      for (int row = 0; row < ROWS; row++) {
        logprobs[row] = -4 * random.nextFloat();
      }
      behaviours.add(new Behaviour(logprobs, drawnAt, 1.5));
    }
    return behaviours;
  }

  /** Rounded to float32, so that the reference sees what the head does. */
  private static double[][] logits(Random random, double spread) {
    double[][] logits = new double[ROWS][VOCABULARY];
    for (double[] row : logits) {
      for (int v = 0; v < row.length; v++) {
        row[v] = (float) (spread * random.nextGaussian());
      }
    }
    return logits;
  }

  private static int[] ids(Random random) {
    return random.ints(ROWS + 1, 0, VOCABULARY).toArray();
  }

  private static int[] rowsOf(int[] ids) {
    return Arrays.copyOfRange(ids, 1, ids.length);
  }

  private static float[] floats(Random random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }

  private static double[][] product(float[] hidden, float[] weights, int width) {
    double[][] logits = new double[ROWS][VOCABULARY];
    for (int row = 0; row < ROWS; row++) {
      for (int v = 0; v < VOCABULARY; v++) {
        for (int i = 0; i < width; i++) {
          logits[row][v] += (double) hidden[row * width + i] * weights[v * width + i];
        }
      }
    }
    return logits;
  }

  /** By bfloat16's 2^-8 of the largest, twice. */
  private static void assertNear(float[] rounded, float[] exact) {
    float largest = 0;
    for (float value : exact) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int i = 0; i < exact.length; i++) {
      assertThat(rounded[i]).isEqualTo(exact[i], within(largest / 128));
    }
    assertThat(rounded).isNotEqualTo(exact);
  }
}
