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
import io.reflux.model.compress.PrunedModel;
import io.reflux.model.compress.PrunedShape;
import io.reflux.model.compress.PruningOptions;
import io.reflux.model.compress.StructuredPruning;
import io.reflux.model.runtime.RuntimeOptions;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class StateCutTest {
  private static final ModelConfig CONFIG =
      RandomModel.config(Architecture.QWEN2, 2).resized(2, 64, 4, 2);

  static Stream<Optimizer> kinds() {
    return Stream.of(
        new AdamW(0.9, 0.95, 1e-8, 0.1, 0.5),
        new ScheduleFreeAdamW(0.9, 0.95, 1e-8, 0.1, 0.5, Double.POSITIVE_INFINITY));
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void weightsAreThoseOfThePruningAndMomentsStayWithTheirs(Optimizer optimizer) {
    try (TrainableModel model = model(CONFIG, RandomModel.variedWeights(CONFIG, 2), optimizer)) {
      for (int step = 0; step < 4; step++) {
        step(model, step);
      }
      MemoryWeights exported = model.export();
      ModelState dense = model.state();
      PrunedModel pruned = pruned(exported);
      ModelState cut = StateCut.of(CONFIG, dense, exported, pruned);

      try (TrainableModel small =
          model(pruned.config(), RandomModel.weights(pruned.config(), 9), optimizer)) {
        small.restore(cut);
        MemoryWeights back = small.export();
        for (TensorInfo tensor : TensorNames.expected(pruned.config())) {
          float[] wanted = pruned.weights().floats(tensor.name());
          float[] is = back.floats(tensor.name());
          for (int i = 0; i < wanted.length; i++) {
            assertThat(is[i]).as("%s[%d]", tensor.name(), i).isCloseTo(wanted[i], within(2e-5f));
          }
        }
        assertThat(small.updates()).isEqualTo(4);
        step(small, 5);
        assertThat(small.updates()).isEqualTo(5);
        assertThat(small.export().floats(TensorNames.down(0))).doesNotContain(Float.NaN);
      }
      assertThat(cut.numbers()).isEqualTo(dense.numbers());
      assertRowsKept(dense, cut, pruned, "second-moments");
    }
  }

  /** Gate rows are picked, not moved: the quickest to check by hand. */
  private static void assertRowsKept(
      ModelState dense, ModelState cut, PrunedModel pruned, String moments) {
    MemoryWeights before =
        new ParameterLayout(CONFIG, Adaptation.FULL).unflatten(dense.tensors().get(moments));
    MemoryWeights after =
        new ParameterLayout(pruned.config(), Adaptation.FULL).unflatten(cut.tensors().get(moments));
    int width = CONFIG.hiddenSize();
    for (int layer = 0; layer < 2; layer++) {
      float[] old = before.floats(TensorNames.gate(layer));
      float[] kept = after.floats(TensorNames.gate(layer));
      List<Integer> neurons = pruned.mask().neurons().get(layer);
      for (int row = 0; row < neurons.size(); row++) {
        for (int i = 0; i < width; i++) {
          assertThat(kept[row * width + i]).isEqualTo(old[neurons.get(row) * width + i]);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aStateOfAnotherShapeIsRefused(Optimizer optimizer) {
    MemoryWeights weights = RandomModel.variedWeights(CONFIG, 2);
    ModelConfig narrow = CONFIG.resized(2, 32, 4, 2);
    try (TrainableModel other = model(narrow, RandomModel.weights(narrow, 1), optimizer)) {
      ModelState state = other.state();
      assertThatThrownBy(() -> StateCut.of(CONFIG, state, weights, pruned(weights)))
          .isInstanceOf(ModelException.class)
          .hasMessageStartingWith("training state: ");
    }
  }

  private static PrunedModel pruned(Weights weights) {
    Random random = new Random(3);
    List<int[]> text = new ArrayList<>();
    for (int i = 0; i < 10; i++) {
      text.add(random.ints(20, 0, CONFIG.vocabularySize()).toArray());
    }
    return StructuredPruning.prune(
        CONFIG,
        weights,
        new PrunedShape(2, 32, 1),
        PruningOptions.DEFAULT,
        text,
        RuntimeOptions.DEFAULT);
  }

  private static TrainableModel model(ModelConfig config, Weights weights, Optimizer optimizer) {
    return new TrainableModel(config, weights, optimizer, ModelOptions.DEFAULT);
  }

  private static void step(Trainable model, int seed) {
    Random random = new Random(seed);
    List<TrainingSequence> sequences = new ArrayList<>();
    for (int length = 5; length < 9; length++) {
      sequences.add(
          TrainingSequence.of(ReferenceLosses.ids(random, length, CONFIG.vocabularySize())));
    }
    model.accumulate(new Batch(sequences, CONFIG.vocabularySize()));
    model.update(0.01);
  }
}
