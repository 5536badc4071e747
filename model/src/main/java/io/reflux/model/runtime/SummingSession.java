package io.reflux.model.runtime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.CalibrationGraph;
import io.reflux.model.onnx.MatrixInput;
import io.reflux.model.onnx.ScoringGraph;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Runs a graph of {@link CalibrationGraph} over sequences and adds up its outputs in double
 * precision. Activations stay in the runtime, a batch of them at a time. For one thread.
 */
public final class SummingSession implements AutoCloseable {
  /**
   * Positions of a batch, padding included: enough that sums are rarely handed over, and few enough
   * that they are exact to float32.
   */
  private static final int BATCH_POSITIONS = 2048;

  private final ModelConfig config;
  private final OpenSession open;
  private final Map<String, double[]> sums = new HashMap<>();
  private long tokens;

  private SummingSession(ModelConfig config, OpenSession open) {
    this.config = config;
    this.open = open;
  }

  /** Opens {@link CalibrationGraph#inputSums}. */
  public static SummingSession ofInputs(
      ModelConfig config, Weights weights, Set<MatrixInput> wanted, RuntimeOptions options) {
    return new SummingSession(
        config,
        OrtSessions.open(
            weights, graph -> CalibrationGraph.inputSums(config, weights, wanted, graph), options));
  }

  /** Opens {@link CalibrationGraph#similarities}. */
  public static SummingSession ofSimilarities(
      ModelConfig config, Weights weights, RuntimeOptions options) {
    return new SummingSession(
        config,
        OrtSessions.open(
            weights, graph -> CalibrationGraph.similarities(config, weights, graph), options));
  }

  /**
   * Adds sequences, batched in the order they come: those of like length belong together.
   *
   * @param sequences token ids, each of 1 to the model's positions
   * @throws ModelException that names the sequence which is not possible
   */
  public void add(Iterable<int[]> sequences) {
    List<int[]> batch = new ArrayList<>();
    int width = 0;
    long index = 0;
    for (int[] sequence : sequences) {
      check(index++, sequence);
      int wider = Math.max(width, sequence.length);
      if (!batch.isEmpty() && (long) wider * (batch.size() + 1) > BATCH_POSITIONS) {
        run(batch, width);
        batch.clear();
        wider = sequence.length;
      }
      batch.add(sequence);
      width = wider;
    }
    if (!batch.isEmpty()) {
      run(batch, width);
    }
  }

  /** Tokens added so far, padding not among them. */
  public long tokens() {
    return tokens;
  }

  /**
   * The sum of one of the graph's outputs, row-major.
   *
   * @throws ModelException if nothing was added
   */
  public double[] sum(String output) {
    double[] sum = sums.get(output);
    if (sum == null) {
      throw new ModelException("calibration: no sequences (expected: at least one)");
    }
    return sum.clone();
  }

  /** Forgets all that was added. */
  public void clear() {
    sums.clear();
    tokens = 0;
  }

  @Override
  public void close() {
    open.close();
  }

  private void check(long index, int[] sequence) {
    if (sequence.length < 1 || sequence.length > config.maxPositions()) {
      throw new ModelException(
          "sequence %d: %d tokens (expected: 1 to %d, the model's positions)"
              .formatted(index, sequence.length, config.maxPositions()));
    }
    TokenIds.check("sequence " + index + ": token id", sequence, config);
  }

  private void run(List<int[]> batch, int width) {
    long[] ids = new long[batch.size() * width];
    int[] lengths = new int[batch.size()];
    int real = 0;
    for (int b = 0; b < batch.size(); b++) {
      lengths[b] = batch.get(b).length;
      real += lengths[b];
    }
    long[] rows = new long[real];
    int row = 0;
    for (int b = 0; b < batch.size(); b++) {
      for (int t = 0; t < lengths[b]; t++) {
        ids[b * width + t] = batch.get(b)[t];
        rows[row++] = (long) b * width + t;
      }
    }
    OrtEnvironment runtime = OrtSessions.environment();
    Map<String, OnnxTensor> inputs = new HashMap<>();
    try {
      long[] shape = {batch.size(), width};
      inputs.put(ScoringGraph.IDS, OnnxTensor.createTensor(runtime, LongBuffer.wrap(ids), shape));
      inputs.put(
          ScoringGraph.LENGTHS,
          OnnxTensor.createTensor(runtime, IntBuffer.wrap(lengths), new long[] {batch.size()}));
      inputs.put(
          ScoringGraph.ROWS,
          OnnxTensor.createTensor(runtime, LongBuffer.wrap(rows), new long[] {rows.length}));
      try (OrtSession.Result result = open.session().run(inputs)) {
        result.forEach(output -> addTo(output.getKey(), (OnnxTensor) output.getValue()));
      }
    } catch (OrtException e) {
      throw OrtSessions.failure(
          "calibration: a batch of %d x %d tokens failed".formatted(batch.size(), width), e);
    } finally {
      inputs.values().forEach(OnnxTensor::close);
    }
    tokens += real;
  }

  private void addTo(String output, OnnxTensor tensor) {
    FloatBuffer values = tensor.getFloatBuffer();
    double[] sum = sums.computeIfAbsent(output, name -> new double[values.remaining()]);
    for (int i = 0; i < sum.length; i++) {
      sum[i] += values.get(i);
    }
  }
}
