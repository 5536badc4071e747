package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.BFLOAT16;
import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.MICROSOFT;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import ai.onnx.proto.OnnxMl.AttributeProto;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.onnx.MatrixNodes.Matrix;
import java.util.ArrayList;
import java.util.List;

/**
 * Everything from token ids to logits; both graphs are this plus their own inputs and outputs.
 *
 * <p>Layers are computed in the element type that is asked for, norms inside them in float32 by
 * their operators. The final norm and the head are float32 in every graph: logits rounded to 16
 * bits would be a label's largest error. On CUDA the head's products are TF32, which holds 16-bit
 * weights exactly.
 */
final class Trunk {
  private static final int HEAD_STEP = 16;

  private final GraphBuilder graph;
  private final int type;
  private final ModelConfig config;
  private final MatrixNodes matrices;
  private final RotaryTable rotary;
  private final int headSize;
  private final int queries;
  private final int keyValues;
  private final Matrix embedding;
  private final int embeddingType;
  private final TrunkWatch watch;

  Trunk(
      GraphBuilder graph,
      ModelConfig config,
      Weights weights,
      GraphOptions options,
      int positions) {
    this(graph, config, weights, options, positions, TrunkWatch.NONE);
  }

  Trunk(
      GraphBuilder graph,
      ModelConfig config,
      Weights weights,
      GraphOptions options,
      int positions,
      TrunkWatch watch) {
    this.watch = watch;
    this.graph = graph;
    this.type = GraphBuilder.typeOf(options.type());
    this.config = config;
    this.matrices = new MatrixNodes(graph, weights, options.accuracyLevel());
    this.headSize = attentionHeadSize(config);
    this.rotary = RotaryTable.add(graph, config, type, headSize, positions);
    this.queries = config.heads() * config.headSize();
    this.keyValues = config.keyValueHeads() * config.headSize();
    // Tied weights are the head's as well.
    this.embeddingType = config.tiedEmbeddings() ? FLOAT : type;
    this.embedding =
        matrices.matrix(
            "embedding",
            embeddingType,
            List.of(TensorNames.EMBEDDING),
            new int[] {config.vocabularySize()},
            config.hiddenSize());
  }

  /**
   * Elements of a head as attention sees them: its operator wants a multiple of 16, so that other
   * heads are padded with zeros, each half of theirs by itself, because rotation pairs the halves.
   */
  static int attentionHeadSize(ModelConfig config) {
    return (config.headSize() + HEAD_STEP - 1) / HEAD_STEP * HEAD_STEP;
  }

  /**
   * Where a layer's keys and values come from and go to; past names are empty without a cache, and
   * scales where it is not of 8 bits.
   */
  record Cache(
      String pastKey,
      String pastValue,
      String presentKey,
      String presentValue,
      String keyScale,
      String valueScale) {
    Cache(String pastKey, String pastValue, String presentKey, String presentValue) {
      this(pastKey, pastValue, presentKey, presentValue, "", "");
    }
  }

  /**
   * What one run is about.
   *
   * @param ids int64 [batch, tokens], right-padded
   * @param lengths int32 [batch], positions seen at the end of this run, those in the cache
   *     included
   * @param totalLength int32 without dimensions, the cache's use after this run
   * @param positions int64 [batch, tokens], where each token stands; empty where lengths tell
   * @param rows int64 of any shape, indices into the flattened ids: the positions that are wanted;
   *     empty for all of them
   */
  record Run(String ids, String lengths, String totalLength, String positions, String rows) {
    /** Of tokens that stand one after the other. */
    Run(String ids, String lengths, String totalLength, String rows) {
      this(ids, lengths, totalLength, "", rows);
    }
  }

  /**
   * Adds everything below the head.
   *
   * @param caches one a layer
   * @return float32 [shape of rows, hiddenSize], what the head multiplies; [batch · tokens,
   *     hiddenSize] for all rows
   */
  String hidden(Run run, List<Cache> caches) {
    String one = graph.scalar("one", 1);
    String lastSeen = graph.node("Sub", "last_seen", List.of(run.lengths(), one));
    // [batch, tokens, -1]: attention wants the batch back that the products do without.
    String batchShape = graph.node("Shape", "batch_shape", List.of(run.ids()));
    String rest = graph.longs("rest", -1);
    String perSequence =
        graph.node("Concat", "per_sequence", List.of(batchShape, rest), attribute("axis", 0));

    String embedded = matrices.lookUp("embedded", run.ids(), embedding, embeddingType);
    String residual = graph.cast("embedded.narrow", embedded, embeddingType, type);
    String added = "";
    for (int layer = 0; layer < config.layers(); layer++) {
      String at = "layer" + layer + ".";
      String gain =
          matrices.vector(
              at + "input_gain", type, List.of(TensorNames.inputNorm(layer)), config.hiddenSize());
      String normed;
      if (added.isEmpty()) {
        normed = norm(at + "input_normed", residual, gain);
      } else {
        normed = addAndNorm(at + "input", residual, added, gain);
        residual = at + "input_sum";
      }
      watch.blockInput(layer, residual);
      String attended = attention(layer, normed, perSequence, lastSeen, run, caches.get(layer));
      String fedGain =
          matrices.vector(
              at + "fed_gain",
              type,
              List.of(TensorNames.postAttentionNorm(layer)),
              config.hiddenSize());
      String fed = addAndNorm(at + "fed", residual, attended, fedGain);
      residual = at + "fed_sum";
      added = feedForward(layer, fed);
    }
    // From here on only the wanted positions are worked on: the head is the largest matrix.
    String finalGain =
        matrices.vector("final_gain", FLOAT, List.of(TensorNames.FINAL_NORM), config.hiddenSize());
    String hidden =
        addAndNorm(
            "final",
            wanted("residual", residual, run.rows()),
            wanted("added", added, run.rows()),
            finalGain);
    watch.lastOutput("final_sum");
    return hidden;
  }

  private String wanted(String what, String all, String rows) {
    String wanted =
        rows.isEmpty() ? all : graph.node("Gather", "wanted_" + what, List.of(all, rows));
    return graph.cast("wanted_" + what + ".wide", wanted, type, FLOAT);
  }

  /** The matrix that turns hidden states into logits; float32, or of integers with such scales. */
  Matrix headMatrix() {
    return config.tiedEmbeddings()
        ? embedding
        : matrices.matrix(
            "head",
            FLOAT,
            List.of(TensorNames.HEAD),
            new int[] {config.vocabularySize()},
            config.hiddenSize());
  }

  /**
   * Adds the head.
   *
   * @param hidden float32 [r, hiddenSize], of {@link #hidden}
   * @param head of {@link #headMatrix}
   * @return float32 [r, vocabularySize]
   */
  String head(String output, String hidden, Matrix head) {
    return matrices.multiply(output, hidden, head, "");
  }

  /** Grouped-query attention; returns [batch · tokens, hiddenSize]. */
  private String attention(
      int layer, String normed, String perSequence, String lastSeen, Run run, Cache cache) {
    String at = "layer" + layer + ".";
    List<String> names =
        List.of(TensorNames.query(layer), TensorNames.key(layer), TensorNames.value(layer));
    List<String> biasNames =
        List.of(
            TensorNames.queryBias(layer), TensorNames.keyBias(layer), TensorNames.valueBias(layer));
    watch.matrixInput(names, normed);
    int[] rows = {queries, keyValues, keyValues};
    Matrix matrix = matrices.matrix(at + "qkv_weight", type, names, rows, config.hiddenSize());
    String bias =
        config.attentionBias() ? matrices.vector(at + "qkv_bias", type, biasNames, rows) : "";
    String qkv = matrices.multiply(at + "qkv", normed, matrix, bias);

    List<String> inputs = new ArrayList<>();
    boolean turned = !run.positions().isEmpty();
    if (config.qkNorm() || turned) {
      String split = graph.longs(at + "qkv_split", queries, keyValues, keyValues);
      graph.node(
          "Split",
          "",
          List.of(at + "q", at + "k", at + "v"),
          List.of(qkv, split),
          attribute("axis", 1));
      String q = headNorm(at + "q", TensorNames.queryNorm(layer), perSequence);
      String k = headNorm(at + "k", TensorNames.keyNorm(layer), perSequence);
      inputs.add(turned ? turn(at + "q_turned", q, run.positions()) : q);
      inputs.add(turned ? turn(at + "k_turned", k, run.positions()) : k);
      inputs.add(toBatch(at + "v", at + "v", perSequence));
    } else {
      inputs.add(toBatch(at + "qkv", qkv, perSequence));
      inputs.add("");
      inputs.add("");
    }
    inputs.addAll(
        List.of(
            cache.pastKey(),
            cache.pastValue(),
            lastSeen,
            run.totalLength(),
            turned ? "" : rotary.cos(),
            turned ? "" : rotary.sin()));
    List<AttributeProto> attributes = new ArrayList<>();
    attributes.add(attribute("num_heads", config.heads()));
    attributes.add(attribute("kv_num_heads", config.keyValueHeads()));
    attributes.add(attribute("do_rotary", turned ? 0 : 1));
    attributes.add(attribute("rotary_interleaved", 0));
    attributes.add(attribute("scale", (float) (1 / Math.sqrt(config.headSize()))));
    config
        .slidingWindow()
        .ifPresent(window -> attributes.add(attribute("local_window_size", window)));
    if (!cache.keyScale().isEmpty()) {
      // Positions, bias and sinks are left out.
      inputs.addAll(List.of("", "", "", cache.keyScale(), cache.valueScale()));
      attributes.add(attribute("k_quant_type", "PER_CHANNEL"));
      attributes.add(attribute("v_quant_type", "PER_CHANNEL"));
      attributes.add(attribute("kv_cache_bit_width", 8));
    }
    String mixed =
        graph.node(
            "GroupQueryAttention",
            MICROSOFT,
            List.of(at + "mixed", cache.presentKey(), cache.presentValue()),
            inputs,
            attributes.toArray(AttributeProto[]::new));
    String flat = fromBatch(at + "mixed", mixed);
    List<String> outputName = List.of(TensorNames.output(layer));
    watch.matrixInput(outputName, flat);
    Matrix output =
        matrices.matrix(
            at + "output_weight", type, outputName, new int[] {config.hiddenSize()}, queries);
    return matrices.multiply(at + "attended", flat, output, "");
  }

  /** down(silu(gate) · up). */
  private String feedForward(int layer, String normed) {
    String at = "layer" + layer + ".";
    int inner = config.intermediateSize();
    List<String> gateUpNames = List.of(TensorNames.gate(layer), TensorNames.up(layer));
    watch.matrixInput(gateUpNames, normed);
    Matrix gateUp =
        matrices.matrix(
            at + "gate_up_weight",
            type,
            gateUpNames,
            new int[] {inner, inner},
            config.hiddenSize());
    String both = matrices.multiply(at + "gate_up", normed, gateUp, "");
    String split = graph.longs(at + "gate_up_split", inner, inner);
    graph.node(
        "Split", "", List.of(at + "gate", at + "up"), List.of(both, split), attribute("axis", 1));
    // x · sigmoid(1 · x) is SiLU.
    String opened =
        graph.node(
            "QuickGelu",
            MICROSOFT,
            List.of(at + "opened"),
            List.of(at + "gate"),
            attribute("alpha", 1f));
    String gated = graph.node("Mul", at + "gated", List.of(opened, at + "up"));
    List<String> downName = List.of(TensorNames.down(layer));
    watch.matrixInput(downName, gated);
    Matrix down =
        matrices.matrix(at + "down_weight", type, downName, new int[] {config.hiddenSize()}, inner);
    return matrices.multiply(at + "fed_forward", gated, down, "");
  }

  /** Turns [batch, tokens, heads · attention's head size] by positions that are given. */
  private String turn(String output, String input, String positions) {
    return graph.node(
        "RotaryEmbedding",
        MICROSOFT,
        List.of(output),
        List.of(input, positions, rotary.cos(), rotary.sin()),
        attribute("interleaved", 0));
  }

  /** Gives [n, heads · headSize] its batch back, each head normed where the model does that. */
  private String headNorm(String at, String gainTensor, String perSequence) {
    if (!config.qkNorm()) {
      return toBatch(at, at, perSequence);
    }
    String gain = matrices.vector(at + "_gain", type, List.of(gainTensor), config.headSize());
    String headShape = graph.longs(at + "_head_shape", -1, config.headSize());
    String split = graph.node("Reshape", at + "_heads", List.of(at, headShape));
    return toBatch(at, norm(at + "_normed", split, gain), perSequence);
  }

  /** From [n, heads · headSize] to [batch, tokens, heads · attention's head size]. */
  private String toBatch(String at, String input, String perSequence) {
    String ready = input;
    int half = config.headSize() / 2;
    if (headSize != config.headSize()) {
      String halves = graph.longs(at + "_halves_shape", -1, half);
      String split = graph.node("Reshape", at + "_halves", List.of(input, halves));
      String pads = graph.longs(at + "_pads", 0, 0, 0, headSize / 2 - half);
      // CUDA pads no bfloat16.
      int padded = type == BFLOAT16 ? FLOAT : type;
      String wide = graph.cast(at + "_halves.wide", split, type, padded);
      String zeros = graph.node("Pad", at + "_padded", List.of(wide, pads));
      ready = graph.cast(at + "_padded.narrow", zeros, padded, type);
    }
    return graph.node("Reshape", at + "_batch", List.of(ready, perSequence));
  }

  /** From [batch, tokens, heads · attention's head size] to [n, heads · headSize]. */
  private String fromBatch(String at, String input) {
    String ready = input;
    if (headSize != config.headSize()) {
      String halves = graph.longs(at + "_halves_shape", -1, headSize / 2);
      String split = graph.node("Reshape", at + "_halves", List.of(input, halves));
      ready =
          graph.node(
              "Slice",
              at + "_cut",
              List.of(
                  split,
                  graph.longs(at + "_from", 0),
                  graph.longs(at + "_to", config.headSize() / 2),
                  graph.longs(at + "_axis", 1)));
    }
    return graph.node(
        "Reshape", at + "_flat", List.of(ready, graph.longs(at + "_shape", -1, queries)));
  }

  private String norm(String output, String input, String gain) {
    return graph.node(
        "SimplifiedLayerNormalization",
        output,
        List.of(input, gain),
        attribute("axis", -1),
        attribute("epsilon", (float) config.rmsNormEpsilon()),
        attribute("stash_type", FLOAT));
  }

  /** Norm of residual + added; the sum is kept as {@code at_sum}. */
  private String addAndNorm(String at, String residual, String added, String gain) {
    return graph.node(
        "SkipSimplifiedLayerNormalization",
        MICROSOFT,
        List.of(at + "_normed", "", "", at + "_sum"),
        List.of(residual, added, gain),
        attribute("epsilon", (float) config.rmsNormEpsilon()));
  }
}
