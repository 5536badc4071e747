package io.reflux.model.compress;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.CalibrationSums.Sum;
import io.reflux.model.onnx.CalibrationGraph;
import io.reflux.model.onnx.MatrixInput;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SummingSession;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Runs a model over sequences and sums XᵀX of its matrices' inputs inside the graph: activations
 * never leave the runtime, and padding is not in the sums.
 */
public final class Calibration {
  /** Tokens of a part of a rolling sum, whose tokens all weigh the same. */
  private static final int PART_TOKENS = 2048;

  private Calibration() {}

  /**
   * Sums of the inputs of every matrix, the head's included.
   *
   * @param sequences token ids; read once, in batches of consecutive ones
   * @throws io.reflux.model.ModelException if there is no sequence, one is not possible (it names
   *     which), or activations are not finite
   */
  public static CalibrationSums sums(
      ModelConfig config, Weights weights, Iterable<int[]> sequences, RuntimeOptions options) {
    return sums(config, weights, new LinkedHashSet<>(MatrixInput.of(config)), sequences, options);
  }

  /**
   * Sums that follow a stream: a token weighs half as much for every half-life of tokens that came
   * after it. They are what sums that are decayed and added to as traffic comes would be, had the
   * model been this one all along: a sum that is kept while the model changes holds inputs which it
   * no longer has.
   *
   * @param sequences token ids, oldest first
   * @param halfLife tokens, above 0; weights change in steps of about {@value #PART_TOKENS} tokens
   * @throws io.reflux.model.ModelException as {@link #sums}
   */
  public static CalibrationSums rolling(
      ModelConfig config,
      Weights weights,
      List<int[]> sequences,
      double halfLife,
      RuntimeOptions options) {
    Set<MatrixInput> wanted = new LinkedHashSet<>(MatrixInput.of(config));
    try (SummingSession session = SummingSession.ofInputs(config, weights, wanted, options)) {
      CalibrationSums rolling = null;
      int from = 0;
      do {
        int to = from;
        for (long tokens = 0; to < sequences.size() && tokens < PART_TOKENS; to++) {
          tokens += sequences.get(to).length;
        }
        session.clear();
        session.add(sequences.subList(from, to));
        CalibrationSums fresh = sums(session, wanted);
        rolling =
            rolling == null
                ? fresh
                : rolling.decayed(Math.pow(0.5, fresh.tokens() / halfLife)).plus(fresh);
        from = to;
      } while (from < sequences.size());
      return rolling;
    }
  }

  /** Sums of some inputs only. */
  static CalibrationSums sums(
      ModelConfig config,
      Weights weights,
      Set<MatrixInput> wanted,
      Iterable<int[]> sequences,
      RuntimeOptions options) {
    try (SummingSession session = SummingSession.ofInputs(config, weights, wanted, options)) {
      session.add(sequences);
      return sums(session, wanted);
    }
  }

  private static CalibrationSums sums(SummingSession session, Set<MatrixInput> wanted) {
    List<Sum> sums = new ArrayList<>(wanted.size());
    for (MatrixInput input : wanted) {
      double[] sum = session.sum(CalibrationGraph.inputSum(input));
      sums.add(new Sum(input.matrices(), input.width(), symmetric(sum, input.width())));
    }
    return new CalibrationSums(session.tokens(), sums);
  }

  /** A product's two halves may differ in their last bits. */
  private static float[] symmetric(double[] sum, int width) {
    float[] values = new float[sum.length];
    for (int i = 0; i < width; i++) {
      for (int j = 0; j <= i; j++) {
        float mean = (float) ((sum[i * width + j] + sum[j * width + i]) / 2);
        values[i * width + j] = mean;
        values[j * width + i] = mean;
      }
    }
    return values;
  }
}
