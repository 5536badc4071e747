package io.reflux.bench.train;

import ai.djl.ndarray.NDArray;
import io.reflux.bench.ProcessMemory;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.LossKernel;
import io.reflux.trainer.nn.TorchArrays;
import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.pretrain.Shape;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;

/**
 * A process that takes a few training steps, and says what its memory grew by meanwhile: resident
 * memory with the library loaded and a tiny model trained, and its peak from then on. Weights,
 * gradients and moments are in the growth. The heap is resident from the start, so that what Java
 * keeps there is not.
 */
final class TrainProbe {
  /** First word of its one line of output. */
  static final String SAYS = "memory";

  private static final String TINY = "hidden=16,layers=1,heads=2,kv-heads=1,ffn=32";
  private static final int TINY_VOCABULARY = 256;
  private static final int STEPS = 2;
  private static final int K = 50;

  private TrainProbe() {}

  /**
   * Runs.
   *
   * @param arguments step or loss, way, shape, vocabulary, sequences, tokens a sequence, threads, a
   *     directory for scratch files
   */
  public static void main(String[] arguments) throws IOException {
    boolean whole = arguments[0].equals("step");
    Trainee.Way way = Trainee.Way.valueOf(arguments[1]);
    int vocabulary = Integer.parseInt(arguments[3]);
    int sequences = Integer.parseInt(arguments[4]);
    int length = Integer.parseInt(arguments[5]);
    int threads = Integer.parseInt(arguments[6]);
    Path scratch = Path.of(arguments[7]);
    step(way, config(TINY, TINY_VOCABULARY), 1, 16, threads, scratch);
    // What loading left would make room for what is measured, and hide it.
    System.gc();
    ModelConfig config = config(arguments[2], vocabulary);
    long[] beforeAndPeak =
        whole
            ? step(way, config, sequences, length, threads, scratch)
            : loss(way, config, sequences, length, threads);
    System.out.println(SAYS + " " + beforeAndPeak[0] + " " + beforeAndPeak[1]);
  }

  static ModelConfig config(String shape, int vocabulary) {
    return Shape.parse(shape).config(vocabulary, OptionalInt.empty(), List.of(0));
  }

  private static long[] step(
      Trainee.Way way, ModelConfig config, int sequences, int length, int threads, Path scratch)
      throws IOException {
    ProcessMemory.forgetPeak();
    long before = ProcessMemory.resident();
    TrainingBatches batches = new TrainingBatches(config.vocabularySize(), K, 1);
    try (Trainee trainee =
        Trainee.of(way, config, RandomModel.weights(config, 1), threads, scratch)) {
      for (int i = 0; i < STEPS; i++) {
        trainee.step(batches.uniform(sequences, length));
      }
    }
    return new long[] {before, ProcessMemory.peak()};
  }

  /** Hidden states and head are there before, as the trunk and the model leave them. */
  private static long[] loss(
      Trainee.Way way, ModelConfig config, int sequences, int length, int threads)
      throws IOException {
    List<TrainingSequence> batch =
        new TrainingBatches(config.vocabularySize(), K, 1).uniform(sequences, length);
    LossInputs inputs = LossInputs.of(config, batch);
    if (way == Trainee.Way.NAIVE) {
      ModelConfig tiny = config(TINY, TINY_VOCABULARY);
      try (NaiveStudent naive =
          new NaiveStudent(tiny, RandomModel.weights(tiny, 1), AdamW.DEFAULT, threads)) {
        NDArray hidden =
            TorchArrays.floats(
                naive.manager(), inputs.hidden(), inputs.rows(), config.hiddenSize());
        NDArray head =
            TorchArrays.floats(
                naive.manager(), inputs.head(), config.vocabularySize(), config.hiddenSize());
        NDArray gradient = naive.zerosLike(head);
        ProcessMemory.forgetPeak();
        long before = ProcessMemory.resident();
        for (int i = 0; i < STEPS; i++) {
          naive.lossAlone(batch, hidden, head, gradient);
        }
        return new long[] {before, ProcessMemory.peak()};
      }
    }
    try (LossKernel fused =
        new LossKernel(inputs.hidden(), inputs.head(), config.hiddenSize(), threads)) {
      ProcessMemory.forgetPeak();
      long before = ProcessMemory.resident();
      for (int i = 0; i < STEPS; i++) {
        fused.accumulate(new Batch(batch, config.vocabularySize()));
      }
      return new long[] {before, ProcessMemory.peak()};
    }
  }

  /**
   * What a head is given.
   *
   * @param hidden [rows, hiddenSize]
   * @param head [vocabularySize, hiddenSize]
   */
  record LossInputs(float[] hidden, float[] head, int rows) {
    static LossInputs of(ModelConfig config, List<TrainingSequence> batch) {
      Random random = new Random(3);
      int rows = batch.stream().mapToInt(TrainingSequence::rows).sum();
      float[] hidden = new float[rows * config.hiddenSize()];
      for (int i = 0; i < hidden.length; i++) {
        hidden[i] = (float) random.nextGaussian();
      }
      float[] head = new float[config.vocabularySize() * config.hiddenSize()];
      for (int i = 0; i < head.length; i++) {
        head[i] = (float) (0.05 * random.nextGaussian());
      }
      return new LossInputs(hidden, head, rows);
    }
  }
}
