package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.INT32;
import static io.reflux.model.onnx.GraphBuilder.INT64;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.Chunks.Answer;
import io.reflux.model.onnx.MatrixNodes.Matrix;
import java.util.ArrayList;
import java.util.List;

/**
 * The graph that says what a model thinks of whole sequences: one pass, no cache; softmax, top-k
 * and draws inside. r is the number of positions that are asked about. Logits exist for a chunk of
 * them at a time only.
 */
public final class ScoringGraph {
  /** int64 [batch, tokens], padded on the right with any id. */
  public static final String IDS = "ids";

  /** int32 [batch], tokens of each sequence without padding. */
  public static final String LENGTHS = "lengths";

  /** int64 [r], index into the flattened ids of the position that predicts. */
  public static final String ROWS = "rows";

  /** int64 [r, 1], the id whose log-prob is wanted. */
  public static final String TARGETS = "targets";

  /** int64 [r, support], more ids whose log-probs are wanted; support may be 0. */
  public static final String SUPPORT = "support";

  /**
   * float32 [r, 1], what the logits are multiplied by before anything is said of them: the
   * distribution is softmax(logits · it).
   */
  public static final String INVERSE_TEMPERATURES = "inverse_temperatures";

  /** int64 [r, k], likeliest first; of equals the lower id. */
  public static final String TOP_IDS = "top_ids";

  /** float32 [r, k]. */
  public static final String TOP_LOGPROBS = "top_logprobs";

  /** float32 [r], log of the mass outside the top k. */
  public static final String TAIL_LOG_MASS = "tail_log_mass";

  /** float32 [r, 1]. */
  public static final String TOKEN_LOGPROBS = "token_logprobs";

  /** float32 [r], nats. */
  public static final String ENTROPY = "entropy";

  /** float32 [r, support]. */
  public static final String SUPPORT_LOGPROBS = "support_logprobs";

  /** float32 [r, vocabularySize]; only of {@link #logits}. */
  public static final String LOGITS = "logits";

  /** float32 [r, draws, 3], inside (0, 1); only with draws. */
  public static final String UNIFORMS = "uniforms";

  /** int64 [r, draws]; only with draws. */
  public static final String DRAWN_IDS = "drawn_ids";

  /** Logits of a chunk, in elements; two float32 tensors of so many are alive at once. */
  private static final int CHUNK_LOGITS = 8 << 20;

  /** Below this a product reads the head's weights too often. */
  private static final int FEWEST_CHUNK_ROWS = 128;

  /** Above this a product gains nothing, and logits leave the processor's cache. */
  private static final int MOST_CHUNK_ROWS = 512;

  private ScoringGraph() {}

  /**
   * Rows whose logits are worked on at a time unless a caller wants it otherwise: 128 to 512, fewer
   * the larger the vocabulary.
   */
  public static int chunkRows(int vocabularySize) {
    return Math.max(FEWEST_CHUNK_ROWS, Math.min(MOST_CHUNK_ROWS, CHUNK_LOGITS / vocabularySize));
  }

  /**
   * Writes the graph, without draws and with the usual chunks.
   *
   * @param k likeliest ids a position
   * @throws ModelException if k is not in [1, vocabularySize], or weights do not fit the
   *     configuration
   */
  public static OnnxModel build(ModelConfig config, Weights weights, int k, GraphOptions options) {
    return build(config, weights, k, 0, chunkRows(config.vocabularySize()), options);
  }

  /**
   * Writes the graph.
   *
   * @param k likeliest ids a position
   * @param draws ids drawn a position; 0 for none
   * @param chunkRows most rows whose logits are there at the same time; the answers are the same
   *     for any
   * @throws ModelException if k is not in [1, vocabularySize], or weights do not fit the
   *     configuration
   */
  public static OnnxModel build(
      ModelConfig config, Weights weights, int k, int draws, int chunkRows, GraphOptions options) {
    if (k < 1 || k > config.vocabularySize()) {
      throw new ModelException(
          "k: %d (expected: 1 to %d, the vocabulary)".formatted(k, config.vocabularySize()));
    }
    if (draws < 0 || chunkRows < 1) {
      throw new ModelException(
          "draws: %d, chunk rows: %d (expected: at least 0 and 1)".formatted(draws, chunkRows));
    }
    try (GraphBuilder graph =
        new GraphBuilder("scoring", GraphOptions.weightBytes(weights), options)) {
      Trunk trunk = new Trunk(graph, config, weights, options, config.maxPositions());
      String hidden = addTrunk(graph, trunk, config);
      List<Answer> answers = new ArrayList<>();
      answers.add(new Answer(TOP_IDS, INT64, k, -1, k));
      answers.add(new Answer(TOP_LOGPROBS, FLOAT, k, -1, k));
      answers.add(new Answer(TAIL_LOG_MASS, FLOAT, 1, -1));
      answers.add(new Answer(TOKEN_LOGPROBS, FLOAT, 1, -1, 1));
      answers.add(new Answer(ENTROPY, FLOAT, 1, -1));
      answers.add(new Answer(SUPPORT_LOGPROBS, FLOAT, -1, -1, -1));
      graph.input(TARGETS, INT64, -1, 1);
      graph.input(SUPPORT, INT64, -1, -1);
      graph.input(INVERSE_TEMPERATURES, FLOAT, -1, 1);
      if (draws > 0) {
        graph.input(UNIFORMS, FLOAT, -1, draws, 3);
        answers.add(new Answer(DRAWN_IDS, INT64, draws, -1, draws));
      }
      Chunks chunks = new Chunks(graph, chunkRows);
      Matrix head = trunk.headMatrix();
      chunks.open();
      // The head is linear: scaling what goes in costs nothing beside a pass over the logits.
      String scaled =
          graph.node(
              "Mul",
              "scaled_hidden",
              List.of(chunks.take(hidden), chunks.take(INVERSE_TEMPERATURES)));
      String logits = trunk.head(LOGITS, scaled, head);
      // Only a GPU has a reason for another element type, and there products may be TF32.
      boolean exactProducts = options.type() == DType.F32;
      AnswerNodes nodes = new AnswerNodes(graph, logits, config.vocabularySize(), k, exactProducts);
      nodes.add(chunks.take(TARGETS), chunks.take(SUPPORT));
      if (draws > 0) {
        nodes.addDraws(chunks.take(UNIFORMS));
      }
      chunks.close(answers);
      answers.forEach(answer -> graph.output(answer.name(), answer.type(), answer.shape()));
      return graph.build();
    }
  }

  /**
   * Writes the graph that gives the logits themselves, from {@link #IDS}, {@link #LENGTHS} and
   * {@link #ROWS} to {@link #LOGITS}: what the scoring graph is measured against.
   *
   * @throws ModelException if weights do not fit the configuration
   */
  public static OnnxModel logits(ModelConfig config, Weights weights, GraphOptions options) {
    try (GraphBuilder graph =
        new GraphBuilder("logits", GraphOptions.weightBytes(weights), options)) {
      Trunk trunk = new Trunk(graph, config, weights, options, config.maxPositions());
      String hidden = addTrunk(graph, trunk, config);
      trunk.head(LOGITS, hidden, trunk.headMatrix());
      graph.output(LOGITS, FLOAT, -1, config.vocabularySize());
      return graph.build();
    }
  }

  /** Adds ids, lengths and rows as inputs, and everything below the head without a cache. */
  static String addTrunk(GraphBuilder graph, Trunk trunk, ModelConfig config) {
    String ids = graph.input(IDS, INT64, -1, -1);
    String lengths = graph.input(LENGTHS, INT32, -1);
    graph.input(ROWS, INT64, -1);
    String width =
        graph.node("Shape", "tokens", List.of(ids), attribute("start", 1), attribute("end", 2));
    String width32 = graph.node("Cast", "tokens_int32", List.of(width), attribute("to", INT32));
    String total = graph.node("Squeeze", "total_length", List.of(width32));
    List<Trunk.Cache> caches = new ArrayList<>();
    for (int layer = 0; layer < config.layers(); layer++) {
      caches.add(new Trunk.Cache("", "", "layer" + layer + ".keys", "layer" + layer + ".values"));
    }
    return trunk.hidden(new Trunk.Run(ids, lengths, total, ROWS), caches);
  }
}
