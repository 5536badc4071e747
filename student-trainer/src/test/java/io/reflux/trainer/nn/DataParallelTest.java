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
import io.reflux.trainer.nn.Adaptation.Lora;
import io.reflux.trainer.nn.Adaptation.Lora.Target;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class DataParallelTest {
  private static final ModelConfig CONFIG = RandomModel.config(Architecture.LLAMA, 7);
  private static final Weights WEIGHTS = RandomModel.variedWeights(CONFIG, 7);

  @Test
  void gradientsAreTheSumOfWhatEachReplicaFound() {
    List<Batch> batches = batches(0, 5);
    try (DataParallel several = (DataParallel) on("cpu,cpu,cpu", ModelOptions.DEFAULT);
        TrainableModel first = (TrainableModel) on("cpu", ModelOptions.DEFAULT);
        TrainableModel second = (TrainableModel) on("cpu", ModelOptions.DEFAULT);
        TrainableModel third = (TrainableModel) on("cpu", ModelOptions.DEFAULT)) {
      // Dealt to whoever has the fewest tokens: 0, 1, 2, and then again the first and the second.
      List<Losses> losses = several.accumulate(batches);
      List<TrainableModel> alone = List.of(first, second, third, first, second);
      for (int i = 0; i < batches.size(); i++) {
        assertThat(losses.get(i)).isEqualTo(alone.get(i).accumulate(batches.get(i)));
      }
      MemoryWeights sum = several.gradients();
      for (TensorInfo tensor : WEIGHTS.tensors()) {
        float[] a = first.gradients().floats(tensor.name());
        float[] b = second.gradients().floats(tensor.name());
        float[] c = third.gradients().floats(tensor.name());
        float[] actual = sum.floats(tensor.name());
        for (int i = 0; i < a.length; i++) {
          assertThat(actual[i]).isEqualTo(a[i] + b[i] + c[i]);
        }
      }
    }
  }

  @Test
  void theSameDevicesGiveTheSameBitsAndAboutThoseOfOne() {
    try (Trainable one = on("cpu", ModelOptions.DEFAULT);
        Trainable two = on("cpu, cpu", ModelOptions.DEFAULT);
        Trainable again = on("cpu,cpu", ModelOptions.DEFAULT)) {
      for (int step = 0; step < 6; step++) {
        List<Trainable> all = List.of(one, two, again);
        for (Trainable model : all) {
          model.accumulate(batches(step, 3));
          model.accumulate(batches(step + 50, 1).get(0));
        }
        double norm = one.gradientNorm();
        assertThat(two.gradientNorm()).isCloseTo(norm, within(1e-4 * norm));
        all.forEach(model -> model.update(0.01));
      }
      assertThat(two.updates()).isEqualTo(6);
      assertThat(again.export().fingerprint()).isEqualTo(two.export().fingerprint());
      assertThat(again.state()).usingRecursiveComparison().isEqualTo(two.state());
      Batch held = batches(99, 1).get(0);
      assertThat(two.measure(held).objective())
          .isCloseTo(one.measure(held).objective(), within(2e-3));
    }
  }

  @Test
  void aRestoredStateContinuesBitForBitOnAllDevices() {
    ModelOptions options =
        ModelOptions.DEFAULT.withAdaptation(new Lora(2, 4, EnumSet.of(Target.Q, Target.UP), 3));
    try (Trainable straight = on("cpu,cpu", options);
        Trainable resumed =
            Trainable.on(
                "cpu,cpu",
                CONFIG,
                RandomModel.weights(CONFIG, 1),
                ScheduleFreeAdamW.DEFAULT,
                options)) {
      step(straight, 0);
      resumed.accumulate(batches(3, 2));
      resumed.restore(straight.state());
      step(straight, 1);
      step(resumed, 1);
      assertThat(resumed.state()).usingRecursiveComparison().isEqualTo(straight.state());
    }
  }

  @Test
  void whatFailsOnOneDeviceFailsAsAWholeAndIsForgotten() {
    List<Batch> batches = new ArrayList<>(batches(0, 3));
    int[] tooLong = new int[CONFIG.maxPositions() + 1];
    batches.set(1, new Batch(List.of(TrainingSequence.of(tooLong)), CONFIG.vocabularySize()));
    try (Trainable two = on("cpu,cpu", ModelOptions.DEFAULT);
        Trainable plain = on("cpu,cpu", ModelOptions.DEFAULT)) {
      assertThatThrownBy(() -> two.accumulate(batches))
          .isInstanceOf(ModelException.class)
          .hasMessageContaining("max_position_embeddings");
      two.discard();
      assertThat(two.gradientNorm()).isZero();
      step(two, 1);
      step(plain, 1);
      assertThat(two.state()).usingRecursiveComparison().isEqualTo(plain.state());
    }
  }

  @Test
  void aDeviceThatIsNotThereIsNamed() {
    assertThatThrownBy(() -> on("cpu,cuda:99", ModelOptions.DEFAULT).close())
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("cuda:99");
    assertThatThrownBy(() -> on("cpu,", ModelOptions.DEFAULT).close())
        .isInstanceOf(ModelException.class);
  }

  private static Trainable on(String devices, ModelOptions options) {
    return Trainable.on(devices, CONFIG, WEIGHTS, ScheduleFreeAdamW.DEFAULT, options);
  }

  private static void step(Trainable model, int seed) {
    model.accumulate(batches(seed, 3));
    model.update(0.01);
  }

  /** Of equal sizes. */
  private static List<Batch> batches(int seed, int count) {
    Random random = new Random(seed);
    List<Batch> batches = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      List<TrainingSequence> sequences = new ArrayList<>();
      for (int length = 5; length < 8; length++) {
        sequences.add(
            TrainingSequence.of(ReferenceLosses.ids(random, length, CONFIG.vocabularySize())));
      }
      batches.add(new Batch(sequences, CONFIG.vocabularySize(), 15.0 * count));
    }
    return batches;
  }
}
