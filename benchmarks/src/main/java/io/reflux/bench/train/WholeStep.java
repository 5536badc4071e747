package io.reflux.bench.train;

import ai.djl.ndarray.NDArray;
import io.reflux.bench.Result;
import io.reflux.bench.train.Trainee.Way;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.LossKernel;
import io.reflux.trainer.nn.TorchArrays;
import io.reflux.trainer.nn.TrainingSequence;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A whole training step, and its loss alone, against an ordinary trainer's. */
final class WholeStep {
  private static final int K = 50;
  private static final double MIB = 1 << 20;

  private final Size size;
  private final int threads;
  private final Result.Builder result;
  private final PrintWriter progress;

  /**
   * What to measure.
   *
   * @param raggedMedian of the lengths where they differ
   * @param runs of each way, in turns, after one that warms up
   * @param memoryRuns of each way, every one in a process of its own
   */
  record Size(
      String shape,
      int vocabulary,
      int sequences,
      int length,
      int raggedMedian,
      int runs,
      int memoryRuns) {
    int tokens() {
      return sequences * length;
    }
  }

  WholeStep(Size size, int threads, Result.Builder result, PrintWriter progress) {
    this.size = size;
    this.threads = threads;
    this.result = result;
    this.progress = progress;
  }

  void memory(Probes probes) throws IOException, InterruptedException {
    for (int run = 0; run < size.memoryRuns(); run++) {
      say("memory of a step: run %d of %d", run + 1, size.memoryRuns());
      double naive = grown(probes, "step", Way.NAIVE);
      double fused = grown(probes, "step", Way.FUSED);
      double checkpointed = grown(probes, "step", Way.CHECKPOINTED);
      double naiveLoss = grown(probes, "loss", Way.NAIVE);
      double fusedLoss = grown(probes, "loss", Way.FUSED);
      result
          .sample("memory_ratio", fused / naive, "")
          .sample("memory_ratio_checkpointed", checkpointed / naive, "")
          .sample("loss_memory_ratio", fusedLoss / naiveLoss, "")
          .sample("memory_naive", naive / MIB, "MiB")
          .sample("memory_fused", fused / MIB, "MiB")
          .sample("memory_checkpointed", checkpointed / MIB, "MiB")
          .sample("loss_memory_naive", naiveLoss / MIB, "MiB")
          .sample("loss_memory_fused", fusedLoss / MIB, "MiB");
    }
  }

  void time(Path scratch) {
    ModelConfig config = TrainProbe.config(size.shape(), size.vocabulary());
    Weights weights = RandomModel.weights(config, 1);
    TrainingBatches batches = new TrainingBatches(size.vocabulary(), K, 1);
    List<TrainingSequence> uniform = batches.uniform(size.sequences(), size.length());
    List<TrainingSequence> ragged =
        batches.ragged(size.tokens(), size.raggedMedian(), size.length());
    List<List<TrainingSequence>> padded = paddedBatches(ragged);
    try (Trainee naive = Trainee.of(Way.NAIVE, config, weights, threads, scratch);
        Trainee fused = Trainee.of(Way.FUSED, config, weights, threads, scratch);
        Trainee checkpointed = Trainee.of(Way.CHECKPOINTED, config, weights, threads, scratch)) {
      for (int run = -1; run < size.runs(); run++) {
        say("time of a step: run %d of %d", Math.max(run, 0) + 1, size.runs());
        double naiveSeconds = seconds(() -> naive.step(uniform));
        double fusedSeconds = seconds(() -> fused.step(uniform));
        double checkpointedSeconds = seconds(() -> checkpointed.step(uniform));
        double naiveRagged = seconds(() -> padded.forEach(naive::step));
        double fusedRagged = seconds(() -> fused.step(ragged));
        if (run >= 0) {
          result
              .sample("time_ratio", fusedSeconds / naiveSeconds, "")
              .sample("time_ratio_checkpointed", checkpointedSeconds / naiveSeconds, "")
              .sample("time_ratio_ragged", fusedRagged / naiveRagged, "")
              .sample("time_naive", naiveSeconds, "s")
              .sample("time_fused", fusedSeconds, "s");
        }
      }
    }
    lossTime(config, uniform);
    long real = ragged.stream().mapToLong(s -> s.tokenIds().length).sum();
    long withPadding = padded.stream().mapToLong(WholeStep::paddedTokens).sum();
    result
        .condition("threads", threads)
        .condition(
            "step",
            "%s, V %d: %,d weights; %d x %d tokens, all predicted, k %d"
                .formatted(
                    size.shape(),
                    size.vocabulary(),
                    config.parameters(),
                    size.sequences(),
                    size.length(),
                    K))
        .condition(
            "ragged",
            ("%d sequences, %d tokens, median %d, the second half of each predicted; the ordinary"
                    + " trainer takes them in random order, %d batches of at most %d padded tokens,"
                    + " %.0f %% of which are padding")
                .formatted(
                    ragged.size(),
                    real,
                    size.raggedMedian(),
                    padded.size(),
                    size.tokens(),
                    100 * (1 - (double) real / withPadding)))
        .condition(
            "naive",
            "padded batches, logits of every position at once, one log_softmax, gather, autograd,"
                + " fused AdamW; the same labels, threads and update")
        .condition(
            "memory",
            "VmHWM over VmRSS before the model is made, in a process of its own, heap resident"
                + " before; of the loss alone: hidden states, head and its gradient were there");
  }

  private void lossTime(ModelConfig config, List<TrainingSequence> batch) {
    TrainProbe.LossInputs inputs = TrainProbe.LossInputs.of(config, batch);
    try (NaiveStudent naive =
            new NaiveStudent(config, RandomModel.weights(config, 1), AdamW.DEFAULT, threads);
        LossKernel fused =
            new LossKernel(inputs.hidden(), inputs.head(), config.hiddenSize(), threads)) {
      NDArray hidden =
          TorchArrays.floats(naive.manager(), inputs.hidden(), inputs.rows(), config.hiddenSize());
      NDArray head =
          TorchArrays.floats(
              naive.manager(), inputs.head(), config.vocabularySize(), config.hiddenSize());
      NDArray gradient = naive.zerosLike(head);
      for (int run = -1; run < size.runs(); run++) {
        say("time of the loss: run %d of %d", Math.max(run, 0) + 1, size.runs());
        double naiveSeconds = seconds(() -> naive.lossAlone(batch, hidden, head, gradient));
        double fusedSeconds =
            seconds(() -> fused.accumulate(new Batch(batch, config.vocabularySize())));
        if (run >= 0) {
          result
              .sample("loss_time_ratio", fusedSeconds / naiveSeconds, "")
              .sample("loss_time_naive", naiveSeconds, "s")
              .sample("loss_time_fused", fusedSeconds, "s");
        }
      }
    }
  }

  /** In the order they came, as many as fit when padded to the longest among them. */
  private List<List<TrainingSequence>> paddedBatches(List<TrainingSequence> sequences) {
    List<List<TrainingSequence>> batches = new ArrayList<>();
    List<TrainingSequence> batch = new ArrayList<>();
    for (TrainingSequence sequence : sequences) {
      batch.add(sequence);
      if (paddedTokens(batch) > size.tokens() && batch.size() > 1) {
        batch.remove(batch.size() - 1);
        batches.add(batch);
        batch = new ArrayList<>(List.of(sequence));
      }
    }
    batches.add(batch);
    return batches;
  }

  private static long paddedTokens(List<TrainingSequence> batch) {
    return (long) batch.size()
        * batch.stream().mapToInt(s -> s.tokenIds().length).max().orElseThrow();
  }

  private double grown(Probes probes, String what, Way way)
      throws IOException, InterruptedException {
    return probes.growth(
        what, way, size.shape(), size.vocabulary(), size.sequences(), size.length());
  }

  private static double seconds(Runnable work) {
    long started = System.nanoTime();
    work.run();
    return (System.nanoTime() - started) / 1e9;
  }

  private void say(String format, Object... values) {
    progress.printf(format + "%n", values);
    progress.flush();
  }
}
