package io.reflux.bench.score;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.reflux.bench.score.BareSession.Inputs;
import io.reflux.bench.score.BareSession.Sequence;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/** Scores a list of sequences with nothing around the session: the most that can be had. */
final class BareLoop {
  /**
   * Largest share of a batch that may be padding: half of what the scorer allows itself, so that it
   * is not compared with a loop that wastes more.
   */
  private static final double MOST_PADDING = 0.1;

  private BareLoop() {}

  /**
   * What it took.
   *
   * @param padding share of the tokens that were padding
   */
  record Outcome(double seconds, double padding) {}

  /**
   * Sorts by length, cuts into batches of little padding, and then, on the clock, runs them and
   * reads what they say.
   *
   * @param budget most tokens a batch, padding included
   */
  static Outcome run(BareSession session, List<Sequence> sequences, int budget)
      throws OrtException {
    List<Inputs> batches = batches(sequences, budget);
    long padded = batches.stream().mapToLong(b -> (long) b.sequences() * b.tokens()).sum();
    long tokens = sequences.stream().mapToLong(sequence -> sequence.ids().length).sum();
    long started = System.nanoTime();
    for (Inputs batch : batches) {
      try (OrtSession.Result result = session.run(batch, Map.of())) {
        read(result);
      }
    }
    return new Outcome((System.nanoTime() - started) / 1e9, 1 - (double) tokens / padded);
  }

  private static List<Inputs> batches(List<Sequence> sequences, int budget) {
    List<Sequence> sorted = new ArrayList<>(sequences);
    sorted.sort(Comparator.comparingInt((Sequence s) -> s.ids().length).reversed());
    List<Inputs> batches = new ArrayList<>();
    int from = 0;
    while (from < sorted.size()) {
      int longest = sorted.get(from).ids().length;
      int to = from;
      long tokens = 0;
      do {
        tokens += sorted.get(to++).ids().length;
      } while (to < sorted.size()
          && fits(longest, to + 1 - from, tokens + sorted.get(to).ids().length, budget));
      batches.add(Inputs.of(sorted.subList(from, to)));
      from = to;
    }
    return batches;
  }

  private static boolean fits(int longest, int sequences, long tokens, int budget) {
    long padded = (long) longest * sequences;
    return padded <= budget && padded - tokens <= MOST_PADDING * padded;
  }

  private static void read(OrtSession.Result result) {
    for (Map.Entry<String, OnnxValue> output : result) {
      OnnxTensor tensor = (OnnxTensor) output.getValue();
      switch (tensor.getInfo().type) {
        case FLOAT -> {
          FloatBuffer floats = tensor.getFloatBuffer();
          floats.get(new float[floats.remaining()]);
        }
        case INT64 -> {
          LongBuffer longs = tensor.getLongBuffer();
          longs.get(new long[longs.remaining()]);
        }
        default -> throw new IllegalStateException(output.getKey() + ": " + tensor.getInfo());
      }
    }
  }
}
