package io.reflux.bench.score;

import ai.onnxruntime.OrtException;
import io.reflux.bench.Result;
import io.reflux.bench.score.BareSession.Inputs;
import io.reflux.bench.score.BareSession.Sequence;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Scoring with top-k in the graph against logits that are copied out, the trunk the same. */
final class InGraphTopK {
  private InGraphTopK() {}

  /**
   * How much to measure.
   *
   * @param batches a run and way, of {@code sequences} of {@code tokens}
   * @param runs counted, after one that warms up
   */
  record Size(RandomTeachers.Size model, int sequences, int tokens, int k, int batches, int runs) {}

  static void measure(Size size, long seed, Result.Builder result, PrintWriter progress)
      throws IOException, OrtException {
    ModelConfig config = size.model().config(List.of(0));
    Weights weights = RandomModel.weights(config, seed);
    Random random = new Random(seed);
    try (Scorer inGraph = new Scorer(config, weights, size.k(), RuntimeOptions.DEFAULT);
        CopyOut copied = new CopyOut(config, weights, size.k(), CopyOut.Way.COPIED);
        CopyOut pinned = new CopyOut(config, weights, size.k(), CopyOut.Way.PINNED)) {
      for (int run = -1; run < size.runs(); run++) {
        progress.printf(
            "top-k in the graph and copied out: run %d of %d%n", Math.max(run, 0) + 1, size.runs());
        progress.flush();
        long inGraphNanos = 0;
        long copiedNanos = 0;
        long pinnedNanos = 0;
        int rows = 0;
        for (int batch = 0; batch < size.batches(); batch++) {
          List<int[]> sequences = new ArrayList<>();
          for (int i = 0; i < size.sequences(); i++) {
            sequences.add(random.ints(size.tokens(), 0, config.vocabularySize()).toArray());
          }
          List<ScoreRequest> requests =
              sequences.stream().map(ids -> ScoreRequest.of(ids, 1)).toList();
          Inputs inputs = Inputs.of(sequences.stream().map(ids -> new Sequence(ids, 1)).toList());
          long started = System.nanoTime();
          inGraph.score(requests);
          long second = System.nanoTime();
          copied.score(inputs);
          long third = System.nanoTime();
          pinned.score(inputs);
          pinnedNanos += System.nanoTime() - third;
          copiedNanos += third - second;
          inGraphNanos += second - started;
          rows += inputs.rows();
        }
        if (run >= 0) {
          result
              .sample("in_graph_topk_speedup", (double) copiedNanos / inGraphNanos, "")
              .sample("in_graph_topk_speedup_pinned", (double) pinnedNanos / inGraphNanos, "")
              .sample("in_graph_rows_per_second", rows / (inGraphNanos / 1e9), "rows/s")
              .sample("copy_out_rows_per_second", rows / (copiedNanos / 1e9), "rows/s")
              .sample("copy_out_pinned_rows_per_second", rows / (pinnedNanos / 1e9), "rows/s");
        }
      }
    }
  }
}
