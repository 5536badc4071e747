package io.reflux.bench.train;

import io.reflux.bench.Result;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.LossKernel;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.TrainableModel;
import io.reflux.trainer.nn.TrainingSequence;
import java.io.PrintWriter;
import java.util.List;

/**
 * What a training step does of what the machine could. Counted are the products that the
 * mathematics asks for: {@code 6·N} operations a token for the matrices, embedding look-ups left
 * out, and {@code 6·layers·querySize·length} for causal attention. Nothing that is computed twice
 * counts, and no norm, rotation, activation, softmax, loss or optimizer does.
 */
final class Utilisation {
  private static final int SQUARE = 2048;
  private static final double LEAST_OPERATIONS = 3e10;
  private static final double LEAST_OPERATIONS_A_SHAPE = 5e9;
  private static final int K = 50;

  private Utilisation() {}

  /**
   * What to measure.
   *
   * @param square side of the matrices that the peak is taken of
   */
  record Size(
      String shape, int vocabulary, int sequences, int length, int runs, int square, double share) {
    static Size of(String shape, int vocabulary, int sequences, int length, int runs) {
      return new Size(shape, vocabulary, sequences, length, runs, SQUARE, 1);
    }
  }

  static void measure(Size size, int threads, Result.Builder result, PrintWriter progress) {
    ModelConfig config = TrainProbe.config(size.shape(), size.vocabulary());
    TrainingBatches batches = new TrainingBatches(size.vocabulary(), K, 1);
    List<TrainingSequence> sequences = batches.uniform(size.sequences(), size.length());
    Batch batch = new Batch(sequences, size.vocabulary());
    TrainProbe.LossInputs inputs = TrainProbe.LossInputs.of(config, sequences);
    double operations = operationsAToken(config, size.length()) * batch.tokens();
    double peak = 0;
    try (Products products = new Products(threads);
        TrainableModel model =
            new TrainableModel(
                config,
                RandomModel.weights(config, 1),
                AdamW.DEFAULT,
                ModelOptions.DEFAULT.withThreads(threads));
        LossKernel loss =
            new LossKernel(inputs.hidden(), inputs.head(), config.hiddenSize(), threads)) {
      double[] steps = new double[size.runs()];
      for (int run = -1; run < size.runs(); run++) {
        progress.printf("utilisation: run %d of %d%n", Math.max(run, 0) + 1, size.runs());
        progress.flush();
        peak =
            Math.max(
                peak,
                products.rate(
                    size.square(), size.square(), size.square(), LEAST_OPERATIONS * size.share()));
        long started = System.nanoTime();
        model.accumulate(batch);
        long accumulated = System.nanoTime();
        model.update(Trainee.LEARNING_RATE);
        long updated = System.nanoTime();
        loss.accumulate(batch);
        long lost = System.nanoTime();
        if (run >= 0) {
          steps[run] = (updated - started) / 1e9;
          result
              .sample("update_share", (updated - accumulated) / (double) (updated - started), "")
              .sample("head_share", (lost - updated) / (double) (updated - started), "");
        }
      }
      double inItsShapes = operations / secondsOfProducts(config, batch.tokens(), products, size);
      for (double seconds : steps) {
        result
            .sample("flops_utilisation", operations / seconds / peak, "")
            .sample("training_tokens_per_second", batch.tokens() / seconds, "tokens/s");
      }
      result
          .sample("gemm_peak", peak / 1e9, "GFLOP/s")
          .sample("gemm_in_its_shapes_share", inItsShapes / peak, "");
    }
    result.condition(
        "flops_utilisation",
        ("%s, V %d: %,d weights, %d x %d tokens, k %d, %d threads; 6 N a token and causal attention"
                + " counted, recomputation not; over the best product of %d x %d matrices in the"
                + " same run")
            .formatted(
                size.shape(),
                size.vocabulary(),
                config.parameters(),
                size.sequences(),
                size.length(),
                K,
                threads,
                size.square(),
                size.square()));
  }

  /** Forward and back of one token in a sequence of a length, each token seeing half of it. */
  static double operationsAToken(ModelConfig config, int length) {
    double querySize = (double) config.heads() * config.headSize();
    double keySize = (double) config.keyValueHeads() * config.headSize();
    double layer =
        config.hiddenSize() * (2 * querySize + 2 * keySize)
            + 3.0 * config.hiddenSize() * config.intermediateSize();
    double matrices =
        config.layers() * layer + (double) config.vocabularySize() * config.hiddenSize();
    return 6 * matrices + 6 * config.layers() * querySize * length;
  }

  /** What the matrices' products alone would take, one after another, in the shapes they have. */
  private static double secondsOfProducts(
      ModelConfig config, int tokens, Products products, Size size) {
    int querySize = config.heads() * config.headSize();
    int keySize = config.keyValueHeads() * config.headSize();
    int hidden = config.hiddenSize();
    double least = LEAST_OPERATIONS_A_SHAPE * size.share();
    double layer =
        2 * linear(products, tokens, hidden, querySize, least)
            + 2 * linear(products, tokens, hidden, keySize, least)
            + 3 * linear(products, tokens, hidden, config.intermediateSize(), least);
    return config.layers() * layer
        + linear(products, tokens, hidden, config.vocabularySize(), least);
  }

  /** Forward, and back to input and weights. */
  private static double linear(Products products, int tokens, int in, int out, double least) {
    double operations = 2.0 * tokens * in * out;
    return operations / products.rate(tokens, in, out, least)
        + operations / products.rate(tokens, out, in, least)
        + operations / products.rate(out, tokens, in, least);
  }
}
