package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.INT32;
import static io.reflux.model.onnx.GraphBuilder.INT64;
import static io.reflux.model.onnx.GraphBuilder.INT8;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import java.util.ArrayList;
import java.util.List;

/**
 * The graph that continues sequences, with keys and values kept between runs. Pass the same memory
 * as past and as present: the graph then appends in place. Either one token each for any number of
 * sequences, or several tokens of one sequence, or several sequences from their beginning.
 */
public final class DecodeGraph {
  /** int64 [batch, tokens], the new tokens. */
  public static final String IDS = "ids";

  /** int32 [batch], tokens of each sequence, the new ones included. */
  public static final String LENGTHS = "lengths";

  /** int64 [r], index into the flattened ids of each position whose successor is wanted. */
  public static final String ROWS = "rows";

  /** float32 [r, vocabularySize]. */
  public static final String LOGPROBS = "logprobs";

  private DecodeGraph() {}

  /** Of the graph's element type or of 8 bits, [batch, keyValueHeads, positions, cacheHeadSize]. */
  public static String pastKeys(int layer) {
    return "past." + layer + ".keys";
  }

  /** Of the graph's element type or of 8 bits, [batch, keyValueHeads, positions, cacheHeadSize]. */
  public static String pastValues(int layer) {
    return "past." + layer + ".values";
  }

  /** Of the graph's element type or of 8 bits, [batch, keyValueHeads, positions, cacheHeadSize]. */
  public static String presentKeys(int layer) {
    return "present." + layer + ".keys";
  }

  /** Of the graph's element type or of 8 bits, [batch, keyValueHeads, positions, cacheHeadSize]. */
  public static String presentValues(int layer) {
    return "present." + layer + ".values";
  }

  /** Elements of a head in the cache: the configuration's head size, rounded up. */
  public static int cacheHeadSize(ModelConfig config) {
    return Trunk.attentionHeadSize(config);
  }

  /**
   * Writes the graph.
   *
   * @param positions that a sequence may have, at most the configuration's
   * @throws ModelException if positions are too many, or weights do not fit the configuration
   */
  public static OnnxModel build(
      ModelConfig config, Weights weights, int positions, GraphOptions options) {
    return build(config, weights, positions, null, options);
  }

  /**
   * Writes the graph, with keys and values of 8 bits if they have scales.
   *
   * @param positions that a sequence may have, at most the configuration's
   * @param scales null for keys and values of the graph's element type
   * @throws ModelException if positions are too many, or weights do not fit the configuration
   */
  public static OnnxModel build(
      ModelConfig config,
      Weights weights,
      int positions,
      KeyValueScales scales,
      GraphOptions options) {
    if (positions < 1 || positions > config.maxPositions()) {
      throw new ModelException(
          "positions: %d (expected: 1 to %d, the model's most)"
              .formatted(positions, config.maxPositions()));
    }
    try (GraphBuilder graph =
        new GraphBuilder("decode", GraphOptions.weightBytes(weights), options)) {
      String ids = graph.input(IDS, INT64, -1, -1);
      String lengths = graph.input(LENGTHS, INT32, -1);
      String rows = graph.input(ROWS, INT64, -1);
      int type = scales == null ? GraphBuilder.typeOf(options.type()) : INT8;
      long[] cacheShape = {-1, config.keyValueHeads(), -1, cacheHeadSize(config)};
      List<Trunk.Cache> caches = new ArrayList<>();
      for (int layer = 0; layer < config.layers(); layer++) {
        caches.add(
            new Trunk.Cache(
                graph.input(pastKeys(layer), type, cacheShape),
                graph.input(pastValues(layer), type, cacheShape),
                presentKeys(layer),
                presentValues(layer),
                scales == null ? "" : scale(graph, config, layer + ".keys", scales.keys()[layer]),
                scales == null
                    ? ""
                    : scale(graph, config, layer + ".values", scales.values()[layer])));
      }
      String total =
          graph.node("ReduceMax", "total_length", List.of(lengths), attribute("keepdims", 0));
      Trunk trunk = new Trunk(graph, config, weights, options, positions);
      String hidden = trunk.hidden(new Trunk.Run(ids, lengths, total, rows), caches);
      String logits = trunk.head("logits", hidden, trunk.headMatrix());
      graph.node("LogSoftmax", LOGPROBS, List.of(logits), attribute("axis", -1));

      graph.output(LOGPROBS, FLOAT, -1, config.vocabularySize());
      for (int layer = 0; layer < config.layers(); layer++) {
        graph.output(presentKeys(layer), type, cacheShape);
        graph.output(presentValues(layer), type, cacheShape);
      }
      return graph.build();
    }
  }

  private static String scale(GraphBuilder graph, ModelConfig config, String of, float[] scales) {
    return graph.tensor(
        "scale." + of,
        FLOAT,
        sink -> sink.floats(scales),
        1,
        config.keyValueHeads(),
        1,
        cacheHeadSize(config));
  }
}
