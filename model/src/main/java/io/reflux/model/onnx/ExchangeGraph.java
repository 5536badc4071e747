package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.INT32;
import static io.reflux.model.onnx.GraphBuilder.INT64;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.GraphBuilder.Dimension;
import java.util.ArrayList;
import java.util.List;

/**
 * The decoder as others run it: with the inputs and outputs that Hugging Face's Optimum and ONNX
 * Runtime GenAI have agreed on, keys and values of what came before among them. The same weights in
 * the same operators as {@link DecodeGraph}, whose tokens it gives.
 *
 * <p>Its attention reads a mask as a number of tokens: prompts of several lengths in one batch are
 * padded on the right. Several tokens after a past are one sequence's.
 */
public final class ExchangeGraph {
  /** int64 [batch, tokens], the new tokens. */
  public static final String IDS = "input_ids";

  /** int64 [batch, past and new tokens], 1 for each that counts. */
  public static final String MASK = "attention_mask";

  /** int64 [batch, tokens], where each new token stands, from 0. */
  public static final String POSITIONS = "position_ids";

  /** float32 [batch, tokens, vocabularySize], for each token's successor. */
  public static final String LOGITS = "logits";

  /** What graph and data file are called. */
  static final String NAME = "model";

  // Hugging Face's transformers.js makes empty caches by these names.
  private static final Dimension BATCH = Dimension.free("batch_size");
  private static final Dimension NEW = Dimension.free("sequence_length");
  private static final Dimension PAST = Dimension.free("past_sequence_length");
  private static final Dimension TOTAL = Dimension.free("total_sequence_length");

  private ExchangeGraph() {}

  /** float32 [batch, keyValueHeads, past tokens, cacheHeadSize]. */
  public static String pastKeys(int layer) {
    return "past_key_values." + layer + ".key";
  }

  /** float32 [batch, keyValueHeads, past tokens, cacheHeadSize]. */
  public static String pastValues(int layer) {
    return "past_key_values." + layer + ".value";
  }

  /** float32 [batch, keyValueHeads, past and new tokens, cacheHeadSize]. */
  public static String presentKeys(int layer) {
    return "present." + layer + ".key";
  }

  /** float32 [batch, keyValueHeads, past and new tokens, cacheHeadSize]. */
  public static String presentValues(int layer) {
    return "present." + layer + ".value";
  }

  /**
   * Writes the graph; keys and values are of the graph's element type.
   *
   * @throws io.reflux.model.ModelException if weights do not fit the configuration
   */
  public static OnnxModel build(ModelConfig config, Weights weights, GraphOptions options) {
    try (GraphBuilder graph = new GraphBuilder(NAME, GraphOptions.weightBytes(weights), options)) {
      String ids = graph.input(IDS, INT64, List.of(BATCH, NEW));
      String mask = graph.input(MASK, INT64, List.of(BATCH, TOTAL));
      String positions = graph.input(POSITIONS, INT64, List.of(BATCH, NEW));
      int type = GraphBuilder.typeOf(options.type());
      Dimension heads = Dimension.of(config.keyValueHeads());
      Dimension headSize = Dimension.of(DecodeGraph.cacheHeadSize(config));
      List<Dimension> past = List.of(BATCH, heads, PAST, headSize);
      List<Dimension> present = List.of(BATCH, heads, TOTAL, headSize);
      List<Trunk.Cache> caches = new ArrayList<>();
      for (int layer = 0; layer < config.layers(); layer++) {
        caches.add(
            new Trunk.Cache(
                graph.input(pastKeys(layer), type, past),
                graph.input(pastValues(layer), type, past),
                presentKeys(layer),
                presentValues(layer)));
      }
      Trunk trunk = new Trunk(graph, config, weights, options, config.maxPositions());
      Trunk.Run run = new Trunk.Run(ids, seen(graph, mask), width(graph, mask), positions, "");
      String hidden = trunk.hidden(run, caches);
      String flat = trunk.head("logits.flat", hidden, trunk.headMatrix());
      String shape = graph.node("Shape", "logits.ids", List.of(ids));
      String rest = graph.longs("logits.rest", -1);
      String whole =
          graph.node("Concat", "logits.shape", List.of(shape, rest), attribute("axis", 0));
      graph.node("Reshape", LOGITS, List.of(flat, whole));

      graph.output(LOGITS, FLOAT, List.of(BATCH, NEW, Dimension.of(config.vocabularySize())));
      for (int layer = 0; layer < config.layers(); layer++) {
        graph.output(presentKeys(layer), type, present);
        graph.output(presentValues(layer), type, present);
      }
      return graph.build();
    }
  }

  /** int32 [batch], the tokens that count. */
  private static String seen(GraphBuilder graph, String mask) {
    String axis = graph.longs("seen.axis", 1);
    String sum = graph.node("ReduceSum", "seen.sum", List.of(mask, axis), attribute("keepdims", 0));
    return graph.cast("seen", sum, INT64, INT32);
  }

  /** int32 without dimensions, the mask's. */
  private static String width(GraphBuilder graph, String mask) {
    String shape = graph.node("Shape", "mask.shape", List.of(mask));
    String axis = graph.scalar("mask.axis", 1);
    return graph.cast(
        "mask.width", graph.node("Gather", "mask.long_width", List.of(shape, axis)), INT64, INT32);
  }
}
