package io.reflux.trainer;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.NamedTargets;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Offload;
import io.reflux.trainer.nn.Optimizer;
import io.reflux.trainer.nn.Trainable;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;

/**
 * How long a training step takes here, tried out on made-up sequences.
 *
 * @param step seconds
 * @param tokensPerSecond prompts included
 * @param utilisation of the peak
 * @param peak of matrix products, floating-point operations a second
 * @param device what it was tried on
 */
record StepTime(
    double step, double tokensPerSecond, double utilisation, double peak, String device) {
  /** A larger model is not tried: reading it in alone would take long. */
  private static final long MOST_WEIGHTS = 200_000_000;

  private static final int USUAL_LENGTH = 256;

  /** Empty if that would take long. */
  static Optional<StepTime> measure(
      TrainerConfig config, int microBatchTokens, StartingStudent student, int k) {
    ModelConfig shape = student.config();
    if (shape.parameters() > MOST_WEIGHTS) {
      return Optional.empty();
    }
    Utilisation utilisation = Utilisation.of(config, shape);
    Optimizer optimizer =
        Optimizer.parse(config.optimizer(), config.weightDecay(), config.maxGradientNorm());
    // Where the optimizer's state is matters little for the time, and nothing is to be written.
    ModelOptions options = StudentModel.options(config).withOffload(Offload.NONE);
    List<TrainingSequence> sequences = sequences(shape, microBatchTokens, k);
    int tokens = sequences.stream().mapToInt(sequence -> sequence.tokenIds().length).sum();
    Batch batch = new Batch(sequences, shape.vocabularySize());
    try (Trainable model =
        Trainable.on(config.devices(), shape, student.weights(), optimizer, options)) {
      // The first call loads kernels and claims memory.
      model.accumulate(batch);
      model.update(0);
      long started = System.nanoTime();
      model.accumulate(batch);
      long accumulated = System.nanoTime();
      model.update(0);
      long updated = System.nanoTime();
      long microBatches = Math.max(1, (config.batchTokens() + tokens - 1L) / tokens);
      double step = microBatches * (accumulated - started) / 1e9 + (updated - accumulated) / 1e9;
      long trained = microBatches * tokens;
      long drawn = microBatches * sequences.size();
      double share = utilisation.share(trained, drawn, trained / 2, step);
      return Optional.of(
          new StepTime(step, trained / step, share, utilisation.peak(), config.devices()));
    }
  }

  /** Half prompt, half response, as traffic often is. */
  private static List<TrainingSequence> sequences(ModelConfig shape, int tokens, int named) {
    int length = Math.min(Math.min(USUAL_LENGTH, shape.maxPositions()), Math.max(2, tokens));
    int k = Math.min(named, shape.vocabularySize());
    Random random = new Random(1);
    List<TrainingSequence> sequences = new ArrayList<>();
    for (int at = 0; at + length <= Math.max(tokens, length); at += length) {
      int[] ids = random.ints(length, 0, shape.vocabularySize()).toArray();
      int rows = length - length / 2;
      int[] likeliest = new int[rows * k];
      Arrays.setAll(likeliest, i -> i % k);
      float[] logprobs = new float[rows * k];
      Arrays.fill(logprobs, (float) Math.log(0.9 / k));
      float[] tail = new float[rows];
      Arrays.fill(tail, (float) Math.log(0.1));
      sequences.add(
          new TrainingSequence(
              ids,
              length / 2,
              new NamedTargets(k, likeliest, logprobs, tail),
              null,
              Objective.parse("forward-kl", 0.1),
              null));
    }
    return sequences;
  }
}
