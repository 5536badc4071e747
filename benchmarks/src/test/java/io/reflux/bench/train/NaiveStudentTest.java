package io.reflux.bench.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import ai.djl.ndarray.NDArray;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.LossKernel;
import io.reflux.trainer.nn.Losses;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.TorchArrays;
import io.reflux.trainer.nn.TrainableModel;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What is measured against is right, and does the same work. */
class NaiveStudentTest {
  private static final int VOCABULARY = 300;
  private static final int K = 12;
  private static final ModelConfig CONFIG =
      TrainProbe.config("hidden=32,layers=2,heads=4,kv-heads=2,ffn=64", VOCABULARY);

  @Test
  void takesTheSameStepsAsTheProduct() {
    List<TrainingSequence> batch = new TrainingBatches(VOCABULARY, K, 5).ragged(200, 20, 60);
    try (NaiveStudent naive =
            new NaiveStudent(CONFIG, RandomModel.variedWeights(CONFIG, 1), AdamW.DEFAULT, 1);
        TrainableModel fused =
            new TrainableModel(
                CONFIG,
                RandomModel.variedWeights(CONFIG, 1),
                AdamW.DEFAULT,
                ModelOptions.DEFAULT)) {
      for (int step = 0; step < 5; step++) {
        NaiveStudent.Step expected = naive.step(batch, 1e-2);
        Losses losses = fused.accumulate(new Batch(batch, VOCABULARY));
        double norm = fused.update(1e-2);
        assertThat(losses.objective())
            .as("objective, step %d", step)
            .isCloseTo(expected.objective(), within(2e-4 * expected.objective()));
        assertThat(norm)
            .as("gradient norm, step %d", step)
            .isCloseTo(expected.gradientNorm(), within(2e-3 * expected.gradientNorm()));
      }
    }
  }

  @Test
  void findsTheSameLossAlone() {
    List<TrainingSequence> batch = new TrainingBatches(VOCABULARY, K, 5).uniform(3, 20);
    TrainProbe.LossInputs inputs = TrainProbe.LossInputs.of(CONFIG, batch);
    try (NaiveStudent naive =
            new NaiveStudent(CONFIG, RandomModel.weights(CONFIG, 1), AdamW.DEFAULT, 1);
        LossKernel fused = new LossKernel(inputs.hidden(), inputs.head(), CONFIG.hiddenSize(), 1)) {
      NDArray hidden =
          TorchArrays.floats(naive.manager(), inputs.hidden(), inputs.rows(), CONFIG.hiddenSize());
      NDArray head =
          TorchArrays.floats(naive.manager(), inputs.head(), VOCABULARY, CONFIG.hiddenSize());
      double expected = naive.lossAlone(batch, hidden, head, naive.zerosLike(head));
      assertThat(fused.accumulate(new Batch(batch, VOCABULARY)).objective())
          .isCloseTo(expected, within(1e-5 * expected));
    }
  }
}
