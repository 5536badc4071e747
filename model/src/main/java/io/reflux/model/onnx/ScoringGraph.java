package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.INT32;
import static io.reflux.model.onnx.GraphBuilder.INT64;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import java.util.ArrayList;
import java.util.List;

/**
 * The graph that says what a model thinks of whole sequences: one pass, no cache; log-softmax and
 * top-k inside. r is the number of positions that are asked about.
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

  private ScoringGraph() {}

  /**
   * Writes the graph.
   *
   * @param k likeliest ids a position
   * @throws ModelException if k is not in [1, vocabularySize], or weights do not fit the
   *     configuration
   */
  public static OnnxModel build(ModelConfig config, Weights weights, int k, GraphOptions options) {
    if (k < 1 || k > config.vocabularySize()) {
      throw new ModelException(
          "k: %d (expected: 1 to %d, the vocabulary)".formatted(k, config.vocabularySize()));
    }
    try (GraphBuilder graph =
        new GraphBuilder("scoring", GraphOptions.weightBytes(weights), options)) {
      Trunk trunk = new Trunk(graph, config, weights, options, config.maxPositions());
      String hidden = addTrunk(graph, trunk, config);
      String targets = graph.input(TARGETS, INT64, -1, 1);
      String support = graph.input(SUPPORT, INT64, -1, -1);
      String logits = trunk.head(LOGITS, hidden, trunk.headMatrix());
      addAnswers(graph, logits, k, targets, support);

      graph.output(TOP_IDS, INT64, -1, k);
      graph.output(TOP_LOGPROBS, FLOAT, -1, k);
      graph.output(TAIL_LOG_MASS, FLOAT, -1);
      graph.output(TOKEN_LOGPROBS, FLOAT, -1, 1);
      graph.output(ENTROPY, FLOAT, -1);
      graph.output(SUPPORT_LOGPROBS, FLOAT, -1, -1);
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

  private static String addTrunk(GraphBuilder graph, Trunk trunk, ModelConfig config) {
    String ids = graph.input(IDS, INT64, -1, -1);
    String lengths = graph.input(LENGTHS, INT32, -1);
    String rows = graph.input(ROWS, INT64, -1);
    String width =
        graph.node("Shape", "tokens", List.of(ids), attribute("start", 1), attribute("end", 2));
    String width32 = graph.node("Cast", "tokens_int32", List.of(width), attribute("to", INT32));
    String total = graph.node("Squeeze", "total_length", List.of(width32));
    List<Trunk.Cache> caches = new ArrayList<>();
    for (int layer = 0; layer < config.layers(); layer++) {
      caches.add(new Trunk.Cache("", "", "layer" + layer + ".keys", "layer" + layer + ".values"));
    }
    return trunk.hidden(ids, lengths, total, rows, caches);
  }

  private static void addAnswers(
      GraphBuilder graph, String logits, int k, String targets, String support) {
    String logprobs = graph.node("LogSoftmax", "logprobs", List.of(logits), attribute("axis", -1));
    graph.node(
        "TopK",
        "",
        List.of(TOP_LOGPROBS, TOP_IDS),
        List.of(logprobs, graph.longs("k", k)),
        attribute("axis", -1),
        attribute("largest", 1),
        attribute("sorted", 1));
    graph.node("GatherElements", TOKEN_LOGPROBS, List.of(logprobs, targets), attribute("axis", 1));
    graph.node(
        "GatherElements", SUPPORT_LOGPROBS, List.of(logprobs, support), attribute("axis", 1));

    String last = graph.longs("last_axis", -1);
    String probs = graph.node("Exp", "probs", List.of(logprobs));
    String surprises = graph.node("Mul", "surprises", List.of(probs, logprobs));
    String negative =
        graph.node(
            "ReduceSum", "negative_entropy", List.of(surprises, last), attribute("keepdims", 0));
    graph.node("Neg", ENTROPY, List.of(negative));

    // The rest is summed up, not subtracted from 1: a tail of 1e-9 must not drown in rounding.
    String zero = graph.scalar("zero_mass", 0f);
    String topShape = graph.node("Shape", "top_shape", List.of(TOP_IDS));
    String zeros = graph.node("Expand", "zero_masses", List.of(zero, topShape));
    String outside =
        graph.node(
            "ScatterElements", "outside", List.of(probs, TOP_IDS, zeros), attribute("axis", 1));
    String tail =
        graph.node("ReduceSum", "tail_mass", List.of(outside, last), attribute("keepdims", 0));
    graph.node("Log", TAIL_LOG_MASS, List.of(tail));
  }
}
