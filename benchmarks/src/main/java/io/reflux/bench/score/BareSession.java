package io.reflux.bench.score;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.reflux.bench.WorkFolder;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.GraphOptions;
import io.reflux.model.onnx.OnnxModel;
import io.reflux.model.onnx.ScoringGraph;
import java.io.IOException;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/** A graph in a session of its own, with the options that the scorer's sessions have. */
final class BareSession implements AutoCloseable {
  private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
  private final OrtSession session;
  private final WorkFolder folder;

  private BareSession(OrtSession session, WorkFolder folder) {
    this.session = session;
    this.folder = folder;
  }

  /**
   * The graph that the scorer runs.
   *
   * @param k likeliest ids a row
   */
  static BareSession scoring(ModelConfig config, Weights weights, int k)
      throws IOException, OrtException {
    return open(options -> ScoringGraph.build(config, weights, k, options));
  }

  /** The same model, ending in its logits. */
  static BareSession logits(ModelConfig config, Weights weights) throws IOException, OrtException {
    return open(options -> ScoringGraph.logits(config, weights, options));
  }

  private static BareSession open(Function<GraphOptions, OnnxModel> graph)
      throws IOException, OrtException {
    WorkFolder folder = WorkFolder.create("reflux-bench-graph-");
    OrtSession session = null;
    try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
      OnnxModel model = graph.apply(GraphOptions.inMemory().withDataIn(folder.path()));
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      options.addConfigEntry("session.intra_op.allow_spinning", "0");
      options.addConfigEntry("session.inter_op.allow_spinning", "0");
      options.setMemoryPatternOptimization(false);
      if (model.dataFile().isPresent()) {
        options.addConfigEntry(
            "session.model_external_initializers_file_folder_path", folder.path().toString());
      }
      session = OrtEnvironment.getEnvironment().createSession(model.bytes(), options);
      return new BareSession(session, folder);
    } finally {
      if (session == null) {
        folder.close();
      }
    }
  }

  /**
   * A sequence.
   *
   * @param first index of the first token that is predicted
   */
  record Sequence(int[] ids, int first) {
    int rows() {
      return ids.length - first;
    }
  }

  /**
   * A batch as the graph takes it.
   *
   * @param tokens of its longest sequence
   */
  record Inputs(
      int sequences,
      int tokens,
      int rows,
      long[] ids,
      int[] lengths,
      long[] predicting,
      long[] targets) {
    static Inputs of(List<Sequence> batch) {
      int tokens = batch.stream().mapToInt(sequence -> sequence.ids().length).max().orElse(0);
      int rows = batch.stream().mapToInt(Sequence::rows).sum();
      long[] ids = new long[batch.size() * tokens];
      int[] lengths = new int[batch.size()];
      long[] predicting = new long[rows];
      long[] targets = new long[rows];
      int row = 0;
      for (int b = 0; b < batch.size(); b++) {
        Sequence sequence = batch.get(b);
        lengths[b] = sequence.ids().length;
        for (int t = 0; t < lengths[b]; t++) {
          ids[b * tokens + t] = sequence.ids()[t];
        }
        for (int t = sequence.first(); t < lengths[b]; t++, row++) {
          predicting[row] = (long) b * tokens + t - 1;
          targets[row] = sequence.ids()[t];
        }
      }
      return new Inputs(batch.size(), tokens, rows, ids, lengths, predicting, targets);
    }
  }

  /**
   * Runs a batch.
   *
   * @param outputs tensors to write to, by name; empty has the runtime make them
   */
  OrtSession.Result run(Inputs batch, Map<String, OnnxTensor> outputs) throws OrtException {
    Map<String, OnnxTensor> inputs = new LinkedHashMap<>();
    try {
      inputs.put(ScoringGraph.IDS, longs(batch.ids(), batch.sequences(), batch.tokens()));
      inputs.put(
          ScoringGraph.LENGTHS,
          OnnxTensor.createTensor(
              environment, IntBuffer.wrap(batch.lengths()), new long[] {batch.sequences()}));
      inputs.put(ScoringGraph.ROWS, longs(batch.predicting(), batch.rows()));
      if (session.getInputNames().contains(ScoringGraph.TARGETS)) {
        inputs.put(ScoringGraph.TARGETS, longs(batch.targets(), batch.rows(), 1));
        inputs.put(ScoringGraph.SUPPORT, longs(new long[0], batch.rows(), 0));
        float[] ones = new float[batch.rows()];
        Arrays.fill(ones, 1);
        inputs.put(
            ScoringGraph.INVERSE_TEMPERATURES,
            OnnxTensor.createTensor(
                environment, FloatBuffer.wrap(ones), new long[] {batch.rows(), 1}));
      }
      return outputs.isEmpty() ? session.run(inputs) : session.run(inputs, Set.of(), outputs);
    } finally {
      inputs.values().forEach(OnnxTensor::close);
    }
  }

  @Override
  public void close() throws OrtException {
    try {
      session.close();
    } finally {
      folder.close();
    }
  }

  private OnnxTensor longs(long[] values, long... shape) throws OrtException {
    return OnnxTensor.createTensor(environment, LongBuffer.wrap(values), shape);
  }
}
