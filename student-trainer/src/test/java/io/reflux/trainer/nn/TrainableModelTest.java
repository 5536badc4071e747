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
import io.reflux.model.reference.ReferenceForward;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class TrainableModelTest {
  private static final int SEEDS = 4;
  private static final Objective MIXED = Objective.forwardKl(0.3);

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void logitsAgreeWithTheReference(Architecture architecture) {
    for (int seed = 0; seed < SEEDS; seed++) {
      ModelConfig config = RandomModel.config(architecture, seed);
      Weights weights = RandomModel.variedWeights(config, seed);
      int[] ids = ReferenceLosses.ids(new Random(seed), 19, config.vocabularySize());
      double[][] expected = ReferenceForward.logits(config, weights, ids);
      try (TrainableModel model = model(config, weights)) {
        float[] logits = model.logits(ids);
        for (int t = 0; t < ids.length; t++) {
          for (int v = 0; v < config.vocabularySize(); v++) {
            assertThat((double) logits[t * config.vocabularySize() + v])
                .as("%s, position %d, id %d", config, t, v)
                .isCloseTo(expected[t][v], within(1e-4));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void gradientsAgreeWithFiniteDifferencesOfTheReference(Architecture architecture) {
    for (int seed = 0; seed < SEEDS; seed++) {
      ModelConfig config = RandomModel.config(architecture, seed);
      Weights weights = RandomModel.variedWeights(config, seed);
      List<TrainingSequence> batch = raggedBatch(config, seed);
      try (TrainableModel model = model(config, weights)) {
        Losses losses = model.accumulate(new Batch(batch, config.vocabularySize()));
        assertThat(losses.objective())
            .isCloseTo(ReferenceLosses.objective(config, weights, batch), within(1e-5));
        assertGradients(config, weights, batch, model.gradients(), 2, seed);
      }
    }
  }

  @Test
  void gradientsSurviveCollectionsAtAnyMoment() throws InterruptedException {
    ModelConfig config = RandomModel.config(Architecture.QWEN3, 1);
    Weights weights = RandomModel.variedWeights(config, 1);
    List<TrainingSequence> sequences = raggedBatch(config, 1);
    Batch batch = new Batch(sequences, config.vocabularySize());
    AtomicBoolean stop = new AtomicBoolean();
    Thread collector =
        new Thread(
            () -> {
              List<float[]> garbage = new ArrayList<>();
              while (!stop.get()) {
                garbage.add(new float[1 << 16]);
                if (garbage.size() > 8) {
                  garbage.clear();
                  System.gc();
                }
              }
            });
    collector.start();
    try (TrainableModel model = model(config, weights)) {
      model.accumulate(batch);
      MemoryWeights first = model.gradients();
      assertGradients(config, weights, sequences, first, 2, 1);
      ModelState fresh = model.state();
      for (int i = 0; i < 50; i++) {
        model.restore(fresh);
        model.accumulate(batch);
        assertThat(model.gradients().fingerprint()).isEqualTo(first.fingerprint());
      }
    } finally {
      stop.set(true);
      collector.join();
    }
  }

  @Test
  void aFullyMaskedBatchChangesNothing() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 3);
    Random random = new Random(3);
    int[] ids = ReferenceLosses.ids(random, 9, config.vocabularySize());
    NamedTargets targets = ReferenceLosses.targets(random, 6, 4, config.vocabularySize());
    TrainingSequence masked =
        new TrainingSequence(ids, 3, targets, new float[6], Objective.forwardKl(0.5), null);
    try (TrainableModel model = model(config, RandomModel.variedWeights(config, 3))) {
      Losses losses = model.accumulate(new Batch(List.of(masked), config.vocabularySize()));
      assertThat(losses).isEqualTo(Losses.NONE);
      for (TensorInfo tensor : model.gradients().tensors()) {
        assertThat(model.gradients().floats(tensor.name())).containsOnly(0f);
      }
      assertThat(model.accumulate(new Batch(List.of(), config.vocabularySize())))
          .isEqualTo(Losses.NONE);
    }
  }

  @Test
  void maskedRowsAndPaddingDoNotTell() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 4);
    Random random = new Random(4);
    int vocabulary = config.vocabularySize();
    int[] longer = ReferenceLosses.ids(random, 17, vocabulary);
    int[] shorter = ReferenceLosses.ids(random, 5, vocabulary);
    TrainingSequence wanted = TrainingSequence.of(shorter);
    TrainingSequence masked =
        new TrainingSequence(longer, 1, null, new float[16], Objective.CROSS_ENTROPY, null);
    Weights weights = RandomModel.variedWeights(config, 4);
    try (TrainableModel alone = model(config, weights);
        TrainableModel padded = model(config, weights)) {
      Losses expected = alone.accumulate(new Batch(List.of(wanted), vocabulary));
      Losses losses = padded.accumulate(new Batch(List.of(masked, wanted), vocabulary));
      assertThat(losses.rows()).isEqualTo(4);
      assertThat(losses.objective()).isCloseTo(expected.objective(), within(1e-6));
      for (TensorInfo tensor : weights.tensors()) {
        float[] a = alone.gradients().floats(tensor.name());
        float[] b = padded.gradients().floats(tensor.name());
        for (int i = 0; i < a.length; i++) {
          assertThat(b[i]).as(tensor.name()).isCloseTo(a[i], within(1e-5f));
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 0})
  void aStudentThatEqualsTheTeacherHasNoDivergence(int k) {
    ModelConfig config = RandomModel.config(Architecture.MISTRAL, 5);
    int vocabulary = config.vocabularySize();
    Weights weights = RandomModel.variedWeights(config, 5);
    int[] ids = ReferenceLosses.ids(new Random(5), 12, vocabulary);
    NamedTargets own = topOf(config, weights, ids, k == 0 ? vocabulary : k);
    try (TrainableModel model = model(config, weights)) {
      Losses losses =
          model.accumulate(
              new Batch(
                  List.of(new TrainingSequence(ids, 1, own, null, Objective.forwardKl(0), null)),
                  vocabulary));
      assertThat(losses.objective()).isCloseTo(0, within(1e-5));
      assertThat(losses.agreements()).isEqualTo(11);
      assertThat(losses.meanKl()).isCloseTo(0, within(1e-5));
      for (TensorInfo tensor : weights.tensors()) {
        for (float g : model.gradients().floats(tensor.name())) {
          assertThat(g).isCloseTo(0, within(2e-5f));
        }
      }
    }
  }

  @Test
  void adamWMatchesItsDefinition() {
    ModelConfig config = RandomModel.config(Architecture.QWEN2, 2);
    Weights weights = RandomModel.variedWeights(config, 2);
    AdamW options = new AdamW(0.9, 0.95, 1e-8, 0.1, 0.5);
    Batch batch = new Batch(raggedBatch(config, 2), config.vocabularySize());
    try (TrainableModel model =
        new TrainableModel(config, weights, options, ModelOptions.DEFAULT)) {
      model.accumulate(batch);
      MemoryWeights gradients = model.gradients();
      double norm = 0;
      for (TensorInfo tensor : gradients.tensors()) {
        for (float g : gradients.floats(tensor.name())) {
          norm += (double) g * g;
        }
      }
      norm = Math.sqrt(norm);
      assertThat(model.update(0.01)).isCloseTo(norm, within(1e-5 * norm));
      double scale = Math.min(1, 0.5 / norm);
      MemoryWeights updated = model.export();
      for (TensorInfo tensor : weights.tensors()) {
        float[] before = weights.floats(tensor.name());
        float[] after = updated.floats(tensor.name());
        float[] g = gradients.floats(tensor.name());
        double decay = tensor.shape().size() > 1 ? 0.1 : 0;
        for (int i = 0; i < before.length; i++) {
          // After one step the bias-corrected moments are the gradient and its square.
          double clipped = g[i] * scale;
          double expected =
              before[i] * (1 - 0.01 * decay) - 0.01 * clipped / (Math.abs(clipped) + 1e-8);
          assertThat((double) after[i]).as(tensor.name()).isCloseTo(expected, within(2e-4));
        }
      }
      assertThat(model.updates()).isEqualTo(1);
    }
  }

  @Test
  void aGradientThatIsNotFiniteChangesNothing() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 6);
    MemoryWeights weights = RandomModel.variedWeights(config, 6);
    Weights broken =
        ReferenceLosses.moved(weights, "model.norm.weight", 0, Float.POSITIVE_INFINITY);
    try (TrainableModel model = model(config, broken)) {
      model.accumulate(new Batch(raggedBatch(config, 6), config.vocabularySize()));
      assertThat(model.update(0.1)).isNaN();
      assertThat(model.updates()).isZero();
      assertThat(model.export().fingerprint()).isEqualTo(broken.fingerprint());
    }
  }

  @Test
  void aRestoredStateContinuesBitForBit() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 7);
    Weights weights = RandomModel.variedWeights(config, 7);
    List<Batch> batches = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      batches.add(new Batch(raggedBatch(config, i), config.vocabularySize()));
    }
    try (TrainableModel straight = model(config, weights);
        TrainableModel first = model(config, weights);
        TrainableModel second = model(config, RandomModel.weights(config, 99))) {
      batches.forEach(batch -> step(straight, batch));
      batches.subList(0, 3).forEach(batch -> step(first, batch));
      second.restore(first.state());
      batches.subList(3, 6).forEach(batch -> step(second, batch));
      assertThat(second.export().fingerprint()).isEqualTo(straight.export().fingerprint());
      assertThat(second.updates()).isEqualTo(6);
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    ModelConfig config = RandomModel.config(Architecture.LLAMA, 8);
    int vocabulary = config.vocabularySize();
    assertThatThrownBy(
            () -> new Batch(List.of(TrainingSequence.of(new int[] {0, vocabulary})), vocabulary))
        .hasMessage("token id: %d (expected: 0 to %d)", vocabulary, vocabulary - 1);
    try (TrainableModel model = model(config, RandomModel.weights(config, 8))) {
      assertThatThrownBy(() -> model.logits(new int[300]))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("300 tokens");
      assertThatThrownBy(
              () ->
                  model.restore(
                      new ModelState(
                          "adamw", "full", 1, Map.of(), Map.of("parameters", new float[3]))))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("3 parameters");
    }
  }

  private static TrainableModel model(ModelConfig config, Weights weights) {
    return new TrainableModel(config, weights, AdamW.DEFAULT, ModelOptions.DEFAULT);
  }

  private static void step(TrainableModel model, Batch batch) {
    model.accumulate(batch);
    model.update(1e-2);
  }

  /**
   * Different lengths, objectives, temperatures, k from 1 to V, draws, an absent and an unknown
   * tail, masked rows, and one without a teacher.
   */
  private static List<TrainingSequence> raggedBatch(ModelConfig config, int seed) {
    Random random = new Random(seed);
    int vocabulary = config.vocabularySize();
    NamedTargets sharp = ReferenceLosses.targets(random, 3, 1, vocabulary);
    sharp.tailLogMass()[1] = -31;
    sharp.logprobs()[1] = 0;
    NamedTargets untold = ReferenceLosses.targets(random, 7, 5, vocabulary);
    untold.tailLogMass()[3] = Float.NaN;
    return List.of(
        new TrainingSequence(
            ReferenceLosses.ids(random, 11, vocabulary),
            4,
            untold,
            new float[] {1, 1, 0, 2, 1, 0.5f, 1},
            MIXED,
            null),
        new TrainingSequence(
            ReferenceLosses.ids(random, 4, vocabulary), 1, sharp, null, MIXED, null),
        new TrainingSequence(
            ReferenceLosses.ids(random, 8, vocabulary),
            6,
            ReferenceLosses.targets(random, 2, vocabulary, vocabulary),
            null,
            MIXED,
            null),
        new TrainingSequence(
            ReferenceLosses.ids(random, 9, vocabulary),
            4,
            ReferenceLosses.drawn(random, 5, 7, vocabulary),
            new float[] {1, 0, 2, 1, 1},
            MIXED,
            null),
        labelled(Labels.DENSE, Objective.parse("jsd:0.3", 0), 2, vocabulary, random),
        labelled(Labels.SUPPORT, Objective.parse("reverse-kl", 0.1), 1, vocabulary, random),
        labelled(
            Labels.TOP_K,
            Objective.parse("0.5*skewed-kl:0.1+0.5*skewed-reverse-kl:0.1", 0.3),
            0.8,
            vocabulary,
            random),
        TrainingSequence.of(ReferenceLosses.ids(random, 6, vocabulary)));
  }

  private static TrainingSequence labelled(
      Labels labels, Objective objective, double temperature, int vocabulary, Random random) {
    int[] ids = ReferenceLosses.ids(random, 8, vocabulary);
    double[][] teacher = new double[3][];
    for (int row = 0; row < teacher.length; row++) {
      teacher[row] = random.doubles(vocabulary, -3, 3).toArray();
    }
    int[] tokens = Arrays.copyOfRange(ids, 5, 8);
    Targets targets = labels.of(teacher, tokens, temperature, random);
    return new TrainingSequence(ids, 5, targets, null, objective, null);
  }

  private static NamedTargets topOf(ModelConfig config, Weights weights, int[] ids, int k) {
    double[][] logits = ReferenceForward.logits(config, weights, ids);
    int rows = ids.length - 1;
    int[] top = new int[rows * k];
    float[] logprobs = new float[rows * k];
    float[] tail = new float[rows];
    for (int row = 0; row < rows; row++) {
      double[] left = ReferenceForward.logSoftmax(logits[row]);
      for (int j = 0; j < k; j++) {
        int best = ReferenceForward.argmax(left);
        top[row * k + j] = best;
        logprobs[row * k + j] = (float) left[best];
        left[best] = Double.NEGATIVE_INFINITY;
      }
      double rest = 0;
      for (double logp : left) {
        rest += Math.exp(logp);
      }
      tail[row] = (float) Math.log(rest);
    }
    return new NamedTargets(k, top, logprobs, tail);
  }

  /** Checks some elements of every tensor. */
  private static void assertGradients(
      ModelConfig config,
      Weights weights,
      List<TrainingSequence> batch,
      Weights gradients,
      int samples,
      int seed) {
    Random random = new Random(seed);
    for (TensorInfo tensor : weights.tensors()) {
      float[] values = gradients.floats(tensor.name());
      for (int i = 0; i < samples; i++) {
        int element = largestOf(values, random);
        // Wide enough that float32 weights move exactly, narrow enough for the third derivative.
        float step = 1f / 512;
        double up =
            ReferenceLosses.objective(
                config, ReferenceLosses.moved(weights, tensor.name(), element, step), batch);
        double down =
            ReferenceLosses.objective(
                config, ReferenceLosses.moved(weights, tensor.name(), element, -step), batch);
        double difference = (up - down) / (2 * step);
        assertThat((double) values[element])
            .as("%s[%d] of %s", tensor.name(), element, config)
            .isCloseTo(difference, within(2e-4 + 2e-3 * Math.abs(difference)));
      }
    }
  }

  private static int largestOf(float[] values, Random random) {
    int best = random.nextInt(values.length);
    for (int i = 0; i < 10; i++) {
      int other = random.nextInt(values.length);
      best = Math.abs(values[other]) > Math.abs(values[best]) ? other : best;
    }
    return best;
  }
}
