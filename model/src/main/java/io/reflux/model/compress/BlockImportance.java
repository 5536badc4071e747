package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.CalibrationGraph;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SummingSession;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * How much each block of a model changes what passes through it: one minus the mean cosine of its
 * input and its output (ShortGPT, arXiv 2403.03853).
 */
public final class BlockImportance {
  private BlockImportance() {}

  /**
   * Measures every block in one run.
   *
   * @param sequences token ids
   * @return [layers], 0 to 2
   * @throws ModelException if there is no sequence, one is not possible, or activations are not
   *     finite
   */
  public static List<Double> of(
      ModelConfig config, Weights weights, Iterable<int[]> sequences, RuntimeOptions options) {
    try (SummingSession session = SummingSession.ofSimilarities(config, weights, options)) {
      session.add(sequences);
      List<Double> importance = new ArrayList<>();
      for (double similarity : session.sum(CalibrationGraph.SIMILARITIES)) {
        if (!Double.isFinite(similarity)) {
          throw new ModelException(
              "layer %d: similarity: %s (expected: finite activations)"
                  .formatted(importance.size(), similarity));
        }
        importance.add(1 - similarity / session.tokens());
      }
      return importance;
    }
  }

  /** The most important blocks in their order; of equals the earlier. */
  static List<Integer> mostImportant(List<Double> importance, int count) {
    return IntStream.range(0, importance.size())
        .boxed()
        .sorted(Comparator.<Integer>comparingDouble(layer -> -importance.get(layer)))
        .limit(count)
        .sorted()
        .toList();
  }
}
