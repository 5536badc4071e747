package io.reflux.model.runtime;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.ScoringGraph;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.LongBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * Says how likely a model finds the tokens of given sequences: top-k log-probs, tail mass, entropy,
 * draws. A sequence's scores do not depend on what else is in its batch. Safe for use by several
 * threads.
 */
public final class Scorer implements AutoCloseable {
  private final ModelConfig config;
  private final ScorerOptions wanted;
  private final OpenSession open;
  // Closing under a running native call would take the process down.
  private final ReadWriteLock lock = new ReentrantReadWriteLock();
  private boolean closed;

  /**
   * Writes the scoring graph of a model and opens it.
   *
   * @param k likeliest ids a row, 1 to the vocabulary's size
   */
  public Scorer(ModelConfig config, Weights weights, int k, RuntimeOptions options) {
    this(config, weights, ScorerOptions.topK(k), options);
  }

  /** Writes the scoring graph of a model and opens it. */
  public Scorer(ModelConfig config, Weights weights, ScorerOptions wanted, RuntimeOptions options) {
    this(
        config,
        wanted,
        OrtSessions.open(
            weights,
            graph ->
                ScoringGraph.build(
                    config,
                    weights,
                    wanted.k(),
                    wanted.draws(),
                    ScoringGraph.chunkRows(config.vocabularySize()),
                    graph),
            options));
  }

  /** On a session that is open; the scorer closes it. */
  Scorer(ModelConfig config, ScorerOptions wanted, OpenSession open) {
    this.config = config;
    this.wanted = wanted;
    this.open = open;
  }

  /** Likeliest ids a row. */
  public int k() {
    return wanted.k();
  }

  /** Ids drawn a row. */
  public int draws() {
    return wanted.draws();
  }

  /** Tokens that a sequence may have. */
  public int maxPositions() {
    return config.maxPositions();
  }

  /**
   * Scores one batch, padded to its longest sequence: sequences of like length belong together.
   *
   * @return one answer a request, in order
   * @throws ModelException if a request is not possible: it names the request's index and the value
   */
  public List<Scores> score(List<ScoreRequest> requests) {
    for (int i = 0; i < requests.size(); i++) {
      check(i, requests.get(i));
    }
    lock.readLock().lock();
    try {
      if (closed) {
        throw new IllegalStateException("scorer: closed");
      }
      return run(requests);
    } finally {
      lock.readLock().unlock();
    }
  }

  /** Frees the model; waits for batches that are being scored. */
  @Override
  public void close() {
    lock.writeLock().lock();
    try {
      if (!closed) {
        closed = true;
        open.close();
      }
    } finally {
      lock.writeLock().unlock();
    }
  }

  private void check(int index, ScoreRequest request) {
    int tokens = request.tokenIds().length;
    if (tokens > config.maxPositions()) {
      throw new ModelException(
          "request %d: %d tokens (expected: at most %d, the model's positions)"
              .formatted(index, tokens, config.maxPositions()));
    }
    if (request.firstPosition() < 1 || request.firstPosition() > tokens) {
      throw new ModelException(
          "request %d: first position %d (expected: 1 to %d)"
              .formatted(index, request.firstPosition(), tokens));
    }
    if (request.supportSize() < 0
        || request.supportIds().length != (long) request.rows() * request.supportSize()) {
      throw new ModelException(
          "request %d: %d support ids (expected: %d rows x %d)"
              .formatted(
                  index, request.supportIds().length, request.rows(), request.supportSize()));
    }
    TokenIds.check("request " + index + ": token id", request.tokenIds(), config);
    TokenIds.check("request " + index + ": support id", request.supportIds(), config);
  }

  private List<Scores> run(List<ScoreRequest> batch) {
    int rows = 0;
    int tokens = 0;
    int support = 0;
    for (ScoreRequest request : batch) {
      rows += request.rows();
      tokens = Math.max(tokens, request.tokenIds().length);
      support = Math.max(support, request.supportSize());
    }
    if (rows == 0) {
      return batch.stream().map(request -> Scores.none(wanted)).toList();
    }
    // A padding id stands for the ids that a request does not ask about, and must exist.
    long[] ids = new long[batch.size() * tokens];
    int[] lengths = new int[batch.size()];
    long[] predicting = new long[rows];
    long[] targets = new long[rows];
    long[] supportIds = new long[rows * support];
    float[] inverseTemperatures = new float[rows];
    float[] uniforms = new float[rows * wanted.draws() * Uniforms.PER_DRAW];
    int row = 0;
    for (int b = 0; b < batch.size(); b++) {
      ScoreRequest request = batch.get(b);
      lengths[b] = request.tokenIds().length;
      for (int t = 0; t < lengths[b]; t++) {
        ids[b * tokens + t] = request.tokenIds()[t];
      }
      for (int i = 0; i < request.rows(); i++, row++) {
        int position = request.firstPosition() + i;
        predicting[row] = (long) b * tokens + position - 1;
        targets[row] = request.tokenIds()[position];
        inverseTemperatures[row] = (float) (1 / request.temperature());
        for (int s = 0; s < request.supportSize(); s++) {
          supportIds[row * support + s] = request.supportIds()[i * request.supportSize() + s];
        }
        Uniforms.fill(uniforms, row * wanted.draws(), wanted.draws(), request.seed(), position);
      }
    }
    OrtEnvironment runtime = OrtSessions.environment();
    Map<String, OnnxTensor> inputs = new HashMap<>();
    try {
      inputs.put(ScoringGraph.IDS, longs(runtime, ids, batch.size(), tokens));
      inputs.put(
          ScoringGraph.LENGTHS,
          OnnxTensor.createTensor(runtime, IntBuffer.wrap(lengths), new long[] {batch.size()}));
      inputs.put(ScoringGraph.ROWS, longs(runtime, predicting, rows));
      inputs.put(ScoringGraph.TARGETS, longs(runtime, targets, rows, 1));
      inputs.put(ScoringGraph.SUPPORT, longs(runtime, supportIds, rows, support));
      inputs.put(
          ScoringGraph.INVERSE_TEMPERATURES,
          OnnxTensor.createTensor(
              runtime, FloatBuffer.wrap(inverseTemperatures), new long[] {rows, 1}));
      if (wanted.draws() > 0) {
        inputs.put(
            ScoringGraph.UNIFORMS,
            OnnxTensor.createTensor(
                runtime,
                FloatBuffer.wrap(uniforms),
                new long[] {rows, wanted.draws(), Uniforms.PER_DRAW}));
      }
      try (OrtSession.Result result = open.session().run(inputs)) {
        return answers(batch, support, result);
      }
    } catch (OrtException e) {
      throw OrtSessions.failure(
          "scoring: a batch of %d x %d tokens failed".formatted(batch.size(), tokens), e);
    } finally {
      inputs.values().forEach(OnnxTensor::close);
    }
  }

  private List<Scores> answers(List<ScoreRequest> batch, int support, OrtSession.Result result) {
    int k = wanted.k();
    LongBuffer topIds = tensor(result, ScoringGraph.TOP_IDS).getLongBuffer();
    FloatBuffer topLogprobs = floats(result, ScoringGraph.TOP_LOGPROBS);
    FloatBuffer tail = floats(result, ScoringGraph.TAIL_LOG_MASS);
    FloatBuffer token = floats(result, ScoringGraph.TOKEN_LOGPROBS);
    FloatBuffer entropy = floats(result, ScoringGraph.ENTROPY);
    FloatBuffer supportLogprobs = floats(result, ScoringGraph.SUPPORT_LOGPROBS);
    LongBuffer drawn =
        wanted.draws() == 0
            ? LongBuffer.allocate(0)
            : tensor(result, ScoringGraph.DRAWN_IDS).getLongBuffer();
    List<Scores> answers = new ArrayList<>(batch.size());
    for (ScoreRequest request : batch) {
      int rows = request.rows();
      answers.add(
          new Scores(
              rows,
              k,
              takeIds(topIds, rows * k),
              take(topLogprobs, rows * k),
              take(tail, rows),
              take(token, rows),
              take(entropy, rows),
              takeColumns(supportLogprobs, rows, support, request.supportSize()),
              wanted.draws(),
              takeIds(drawn, rows * wanted.draws())));
    }
    return answers;
  }

  private static OnnxTensor longs(OrtEnvironment runtime, long[] values, long... shape)
      throws OrtException {
    return OnnxTensor.createTensor(runtime, LongBuffer.wrap(values), shape);
  }

  private static OnnxTensor tensor(OrtSession.Result result, String name) {
    return (OnnxTensor) result.get(name).orElseThrow();
  }

  private static FloatBuffer floats(OrtSession.Result result, String name) {
    return tensor(result, name).getFloatBuffer();
  }

  private static float[] take(FloatBuffer from, int count) {
    float[] values = new float[count];
    from.get(values);
    return values;
  }

  private static int[] takeIds(LongBuffer from, int count) {
    int[] values = new int[count];
    for (int i = 0; i < count; i++) {
      values[i] = (int) from.get();
    }
    return values;
  }

  private static float[] takeColumns(FloatBuffer from, int rows, int width, int columns) {
    float[] values = new float[rows * columns];
    for (int row = 0; row < rows; row++) {
      from.get(values, row * columns, columns);
      from.position(from.position() + width - columns);
    }
    return values;
  }
}
