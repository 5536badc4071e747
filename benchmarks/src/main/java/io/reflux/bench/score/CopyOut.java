package io.reflux.bench.score;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.reflux.bench.score.BareSession.Inputs;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.ScoringGraph;
import io.reflux.model.runtime.Scores;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Map;

/** The other way to score: all logits leave the graph, and Java finds top k and masses in them. */
final class CopyOut implements AutoCloseable {
  /** How logits come to Java. */
  enum Way {
    /** The runtime makes a tensor, and its Java library copies it: what a first draft does. */
    COPIED,
    /**
     * The runtime writes into Java's own memory, made once: nothing is copied but a row at a time.
     */
    PINNED
  }

  private final Way way;
  private final int vocabulary;
  private final int k;
  private final BareSession session;
  private ByteBuffer memory = ByteBuffer.allocateDirect(0);

  CopyOut(ModelConfig config, Weights weights, int k, Way way) throws IOException, OrtException {
    this.way = way;
    this.vocabulary = config.vocabularySize();
    this.k = k;
    this.session = BareSession.logits(config, weights);
  }

  /** Rows that one Java buffer can hold. */
  static int mostRows(int vocabulary) {
    return Integer.MAX_VALUE / Float.BYTES / vocabulary;
  }

  /** Scores of all rows of a batch, end to end; without support and draws. */
  Scores score(Inputs batch) throws OrtException {
    return way == Way.COPIED ? copied(batch) : pinned(batch);
  }

  private Scores copied(Inputs batch) throws OrtException {
    try (OrtSession.Result result = session.run(batch, Map.of())) {
      OnnxTensor logits = (OnnxTensor) result.get(ScoringGraph.LOGITS).orElseThrow();
      return RowScores.of(logits.getFloatBuffer(), vocabulary, k, batch.targets());
    }
  }

  private Scores pinned(Inputs batch) throws OrtException {
    int bytes = Math.multiplyExact(Math.multiplyExact(batch.rows(), vocabulary), Float.BYTES);
    if (memory.capacity() < bytes) {
      memory = ByteBuffer.allocateDirect(bytes);
    }
    FloatBuffer logits =
        memory.duplicate().limit(bytes).slice().order(ByteOrder.nativeOrder()).asFloatBuffer();
    long[] shape = {batch.rows(), vocabulary};
    try (OnnxTensor output =
            OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), logits, shape);
        OrtSession.Result result = session.run(batch, Map.of(ScoringGraph.LOGITS, output))) {
      return RowScores.of(logits.rewind(), vocabulary, k, batch.targets());
    }
  }

  @Override
  public void close() throws OrtException {
    session.close();
  }
}
