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
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.trainer.nn.Adaptation.Frozen;
import io.reflux.trainer.nn.Adaptation.Lora;
import io.reflux.trainer.nn.Adaptation.Lora.Target;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

class AdaptationTest {
  private static final AdamW ADAMW = new AdamW(0.9, 0.95, 1e-8, 0.1, 1);
  private static final Lora ALL = new Lora(3, 6, EnumSet.allOf(Target.class), 1);
  private static final Lora SOME = new Lora(2, 1, EnumSet.of(Target.Q, Target.DOWN), 2);

  static Stream<Adaptation> kinds() {
    return Stream.of(new Frozen(1, false), new Frozen(2, true), new Frozen(3, true), ALL, SOME);
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void frozenLayersLeaveTheOthersGradientsAsTheyAre(Architecture architecture) {
    ModelConfig config = fourLayers(architecture);
    Weights weights = RandomModel.variedWeights(config, 3);
    for (int every : new int[] {0, 3}) {
      ModelOptions options = ModelOptions.DEFAULT.withCheckpointEvery(every);
      for (Frozen frozen : List.of(new Frozen(1, false), new Frozen(2, true))) {
        try (TrainableModel whole = new TrainableModel(config, weights, ADAMW, options);
            TrainableModel part =
                new TrainableModel(config, weights, ADAMW, options.withAdaptation(frozen))) {
          assertThat(part.accumulate(batch(config, 1)))
              .isEqualTo(whole.accumulate(batch(config, 1)));
          MemoryWeights expected = whole.gradients();
          MemoryWeights actual = part.gradients();
          assertThat(actual.contains(TensorNames.EMBEDDING)).isEqualTo(!frozen.embeddings());
          assertThat(actual.contains(TensorNames.down(frozen.layers() - 1))).isFalse();
          assertThat(actual.contains(TensorNames.inputNorm(frozen.layers()))).isTrue();
          for (TensorInfo tensor : actual.tensors()) {
            assertThat(actual.floats(tensor.name()))
                .as(tensor.name())
                .isEqualTo(expected.floats(tensor.name()));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void whatIsNotTrainedKeepsEveryBitAndNothingBesideIt(Adaptation adaptation) {
    ModelConfig config = fourLayers(Architecture.QWEN3);
    Weights weights = RandomModel.variedWeights(config, 3);
    ModelOptions options = ModelOptions.DEFAULT.withAdaptation(adaptation);
    try (TrainableModel model = new TrainableModel(config, weights, ADAMW, options)) {
      ModelState before = model.state();
      Set<String> trained = new java.util.HashSet<>();
      model.gradients().tensors().forEach(tensor -> trained.add(tensor.name()));
      for (int step = 0; step < 4; step++) {
        step(model, step);
      }
      ModelState after = model.state();
      assertThat(after.tensors().get("frozen")).isEqualTo(before.tensors().get("frozen"));
      assertThat(after.tensors().get("parameters"))
          .isNotEqualTo(before.tensors().get("parameters"));
      assertThat(model.trainedParameterCount()).isLessThan(model.parameterCount());
      // Gaps of alignment aside, there is a moment a trained number and no more.
      assertThat((long) after.tensors().get("first-moments").length)
          .isBetween(model.trainedParameterCount(), model.trainedParameterCount() + 16 * 100);
      MemoryWeights exported = model.export();
      for (TensorInfo tensor : weights.tensors()) {
        boolean moves =
            trained.contains(tensor.name()) || trained.contains(tensor.name() + ".lora_A");
        assertThat(Arrays.equals(exported.floats(tensor.name()), weights.floats(tensor.name())))
            .as(tensor.name())
            .isEqualTo(!moves);
      }
    }
  }

  @Test
  void newAdaptersChangeNothing() {
    ModelConfig config = fourLayers(Architecture.LLAMA);
    Weights weights = RandomModel.variedWeights(config, 3);
    int[] ids = ReferenceLosses.ids(new Random(1), 12, config.vocabularySize());
    try (TrainableModel adapted = model(config, weights, ALL);
        TrainableModel plain = model(config, weights, Adaptation.FULL)) {
      assertThat(adapted.logits(ids)).isEqualTo(plain.logits(ids));
      assertThat(adapted.export().fingerprint())
          .isEqualTo(MemoryWeights.copyOf(weights).fingerprint());
    }
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void adaptersGradientsAgreeWithFiniteDifferencesOfTheReference(Architecture architecture) {
    ModelConfig config = fourLayers(architecture);
    Weights weights = RandomModel.variedWeights(config, 4);
    for (Lora lora : List.of(ALL, SOME)) {
      try (TrainableModel model = model(config, weights, lora)) {
        for (int step = 0; step < 5; step++) {
          step(model, step); // B has left zero
        }
        Map<String, float[]> adapters = new HashMap<>();
        MemoryWeights values = parameters(model, config, lora);
        values.tensors().forEach(t -> adapters.put(t.name(), values.floats(t.name())));
        Losses losses = model.accumulate(batch(config, 9));
        assertThat(losses.objective())
            .isCloseTo(objective(config, weights, lora, adapters), within(2e-5));
        MemoryWeights gradients = model.gradients();
        Random random = new Random(5);
        for (Adapter adapter : Adapter.of(config, lora)) {
          for (TensorInfo tensor : List.of(adapter.a(), adapter.b())) {
            float[] gradient = gradients.floats(tensor.name());
            int element = largest(gradient, random);
            double difference = difference(config, weights, lora, adapters, tensor.name(), element);
            assertThat((double) gradient[element])
                .as("%s[%d]", tensor.name(), element)
                .isCloseTo(difference, within(3e-4 + 3e-3 * Math.abs(difference)));
          }
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Architecture.class)
  void exportedWeightsDoWhatWeightsAndAdaptersDo(Architecture architecture) {
    ModelConfig config = fourLayers(architecture);
    Weights weights = RandomModel.variedWeights(config, 5);
    int[] ids = ReferenceLosses.ids(new Random(2), 15, config.vocabularySize());
    for (Optimizer optimizer : List.of(ADAMW, ScheduleFreeAdamW.DEFAULT)) {
      try (TrainableModel model =
          new TrainableModel(
              config, weights, optimizer, ModelOptions.DEFAULT.withAdaptation(ALL))) {
        for (int step = 0; step < 6; step++) {
          step(model, step);
        }
        double[][] expected = ReferenceForward.logits(config, model.export(), ids);
        double[][] before = ReferenceForward.logits(config, weights, ids);
        float[] logits = model.logits(ids);
        double moved = 0;
        for (int t = 0; t < ids.length; t++) {
          for (int v = 0; v < config.vocabularySize(); v++) {
            moved = Math.max(moved, Math.abs(expected[t][v] - before[t][v]));
            assertThat((double) logits[t * config.vocabularySize() + v])
                .isCloseTo(expected[t][v], within(2e-4));
          }
        }
        assertThat(moved).isGreaterThan(0.05);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aRestoredStateContinuesBitForBit(Adaptation adaptation) {
    ModelConfig config = fourLayers(Architecture.QWEN2);
    Weights weights = RandomModel.variedWeights(config, 3);
    ModelOptions options = ModelOptions.DEFAULT.withAdaptation(adaptation);
    for (Optimizer optimizer : List.of(ADAMW, ScheduleFreeAdamW.DEFAULT)) {
      try (TrainableModel straight = new TrainableModel(config, weights, optimizer, options);
          TrainableModel resumed =
              new TrainableModel(config, RandomModel.weights(config, 8), optimizer, options)) {
        for (int step = 0; step < 3; step++) {
          step(straight, step);
        }
        resumed.restore(straight.state());
        for (int step = 3; step < 6; step++) {
          step(straight, step);
          step(resumed, step);
        }
        assertThat(resumed.export().fingerprint()).isEqualTo(straight.export().fingerprint());
        assertThat(resumed.state()).usingRecursiveComparison().isEqualTo(straight.state());
      }
    }
  }

  @Test
  void anotherAdaptationsStateIsRefused() {
    ModelConfig config = fourLayers(Architecture.LLAMA);
    Weights weights = RandomModel.variedWeights(config, 3);
    try (TrainableModel lora = model(config, weights, SOME);
        TrainableModel full = model(config, weights, Adaptation.FULL)) {
      assertThatThrownBy(() -> full.restore(lora.state()))
          .isInstanceOf(ModelException.class)
          .hasMessage(
              "training state: adaptation lora: rank 2, alpha 1.0, q,down"
                  + " (expected: full, as configured)");
    }
  }

  @Test
  void configurationIsReadOrRefusedInOneLine() {
    assertThat(Adaptation.parse(0, true, 0, 16, "q,v", 1)).isEqualTo(Adaptation.FULL);
    assertThat(Adaptation.parse(2, true, 0, 16, "q,v", 1)).isEqualTo(new Frozen(2, true));
    assertThat(Adaptation.parse(0, true, 8, 16, "q, v", 1))
        .isEqualTo(new Lora(8, 16, EnumSet.of(Target.Q, Target.V), 1));
    assertRefused(
        () -> Adaptation.parse(2, true, 8, 16, "q", 1),
        "frozen-layers: 2 with lora rank 8 (expected: one of them, for adapters freeze every layer)");
    assertRefused(
        () -> Adaptation.parse(0, true, 8, 16, "q,head", 1),
        "lora target: head (expected: of q,k,v,o,gate,up,down)");
    assertRefused(
        () -> Adaptation.parse(0, true, 8, 0, "q", 1), "lora alpha: 0.0 (expected: above 0)");
    ModelConfig config = fourLayers(Architecture.LLAMA);
    Weights weights = RandomModel.weights(config, 1);
    assertRefused(
        () -> model(config, weights, new Frozen(4, true)).close(),
        "frozen-layers: 4 (expected: fewer than the student's 4 layers)");
    assertThatThrownBy(
            () -> model(config, weights, new Lora(500, 1, EnumSet.of(Target.Q), 1)).close())
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith("lora rank: 500 (expected: at most ");
  }

  private static void assertRefused(Runnable work, String message) {
    assertThatThrownBy(work::run).isInstanceOf(ModelException.class).hasMessage(message);
  }

  private static TrainableModel model(ModelConfig config, Weights weights, Adaptation adaptation) {
    return new TrainableModel(
        config, weights, ADAMW, ModelOptions.DEFAULT.withAdaptation(adaptation));
  }

  private static void step(Trainable model, int seed) {
    model.accumulate(batch(model.config(), seed));
    model.update(0.02);
  }

  private static Batch batch(ModelConfig config, int seed) {
    return new Batch(sequences(config, seed), config.vocabularySize());
  }

  private static List<TrainingSequence> sequences(ModelConfig config, int seed) {
    Random random = new Random(seed);
    List<TrainingSequence> sequences = new ArrayList<>();
    for (int length = 5; length < 9; length++) {
      sequences.add(
          TrainingSequence.of(ReferenceLosses.ids(random, length, config.vocabularySize())));
    }
    return sequences;
  }

  private static MemoryWeights parameters(TrainableModel model, ModelConfig config, Lora lora) {
    return new ParameterLayout(config, lora).unflatten(model.state().tensors().get("parameters"));
  }

  private static double difference(
      ModelConfig config,
      Weights weights,
      Lora lora,
      Map<String, float[]> adapters,
      String name,
      int element) {
    float step = 1f / 512;
    float before = adapters.get(name)[element];
    float above = before + step;
    float below = before - step;
    adapters.get(name)[element] = above;
    double up = objective(config, weights, lora, adapters);
    adapters.get(name)[element] = below;
    double down = objective(config, weights, lora, adapters);
    adapters.get(name)[element] = before;
    return (up - down) / ((double) above - below);
  }

  /** With W + (alpha/rank)·BA in the place of every adapted W. */
  private static double objective(
      ModelConfig config, Weights weights, Lora lora, Map<String, float[]> adapters) {
    MemoryWeights.Builder merged = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      float[] values = weights.floats(tensor.name());
      float[] a = adapters.get(tensor.name() + ".lora_A");
      float[] b = adapters.get(tensor.name() + ".lora_B");
      int columns = Math.toIntExact(tensor.shape().get(tensor.shape().size() - 1));
      for (int i = 0; a != null && i < values.length; i++) {
        double sum = 0;
        for (int r = 0; r < lora.rank(); r++) {
          sum += (double) b[i / columns * lora.rank() + r] * a[r * columns + i % columns];
        }
        values[i] += (float) (lora.alpha() / lora.rank() * sum);
      }
      merged.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), values);
    }
    return ReferenceLosses.objective(config, merged.build(), sequences(config, 9));
  }

  private static int largest(float[] values, Random random) {
    int best = random.nextInt(values.length);
    for (int i = 0; i < 20; i++) {
      int other = random.nextInt(values.length);
      best = Math.abs(values[other]) > Math.abs(values[best]) ? other : best;
    }
    return best;
  }

  private static ModelConfig fourLayers(Architecture architecture) {
    ModelConfig config = RandomModel.config(architecture, 3);
    return new ModelConfig(
        architecture,
        config.vocabularySize(),
        config.hiddenSize(),
        config.intermediateSize(),
        4,
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
}
