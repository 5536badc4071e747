package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Graphs that say of a model's activations only what adds up over tokens. Inputs are {@link
 * ScoringGraph#IDS}, {@link ScoringGraph#LENGTHS} and {@link ScoringGraph#ROWS}; only the positions
 * that rows name are in the sums, so that padding is left out without being multiplied by anything.
 */
public final class CalibrationGraph {
  /** float32 [layers], of {@link #similarities}. */
  public static final String SIMILARITIES = "similarities";

  private CalibrationGraph() {}

  /** float32 [width, width], of {@link #inputSums}: XᵀX of the input X of these matrices. */
  public static String inputSum(MatrixInput input) {
    return "input_sum." + input.matrices().get(0);
  }

  /**
   * Writes the graph that sums XᵀX of matrices' inputs.
   *
   * @param wanted inputs whose sums are outputs
   * @throws io.reflux.model.ModelException if weights do not fit the configuration
   */
  public static OnnxModel inputSums(
      ModelConfig config, Weights weights, Set<MatrixInput> wanted, GraphOptions options) {
    try (GraphBuilder graph =
        new GraphBuilder("input_sums", GraphOptions.weightBytes(weights), options)) {
      int type = GraphBuilder.typeOf(options.type());
      TrunkWatch watch =
          new TrunkWatch() {
            @Override
            public void matrixInput(List<String> tensorNames, String value) {
              for (MatrixInput input : wanted) {
                if (input.matrices().equals(tensorNames)) {
                  addSum(graph, input, wantedRows(graph, value, type));
                }
              }
            }
          };
      Trunk trunk = new Trunk(graph, config, weights, options, config.maxPositions(), watch);
      String hidden = ScoringGraph.addTrunk(graph, trunk, config);
      List<MatrixInput> all = MatrixInput.of(config);
      MatrixInput head = all.get(all.size() - 1);
      if (wanted.contains(head)) {
        addSum(graph, head, hidden);
      }
      return graph.build();
    }
  }

  /**
   * Writes the graph that sums, for each layer, the cosine between the residual stream before and
   * after it.
   *
   * @throws io.reflux.model.ModelException if weights do not fit the configuration
   */
  public static OnnxModel similarities(ModelConfig config, Weights weights, GraphOptions options) {
    try (GraphBuilder graph =
        new GraphBuilder("similarities", GraphOptions.weightBytes(weights), options)) {
      int type = GraphBuilder.typeOf(options.type());
      List<String> residuals = new ArrayList<>();
      TrunkWatch watch =
          new TrunkWatch() {
            @Override
            public void blockInput(int layer, String value) {
              residuals.add(wantedRows(graph, value, type));
            }

            @Override
            public void lastOutput(String value) {
              residuals.add(value);
            }
          };
      Trunk trunk = new Trunk(graph, config, weights, options, config.maxPositions(), watch);
      ScoringGraph.addTrunk(graph, trunk, config);
      String last = graph.longs("last_axis", -1);
      String first = graph.longs("first_axis", 0);
      String tiny = graph.scalar("tiny", Float.MIN_NORMAL);
      List<String> cosines = new ArrayList<>();
      for (int layer = 0; layer < config.layers(); layer++) {
        String at = "similarity" + layer;
        String before = residuals.get(layer);
        String after = residuals.get(layer + 1);
        String product = dot(graph, at + ".product", before, after, last);
        String squares =
            graph.node(
                "Mul",
                at + ".squares",
                List.of(
                    dot(graph, at + ".before", before, before, last),
                    dot(graph, at + ".after", after, after, last)));
        String length = graph.node("Sqrt", at + ".length", List.of(squares));
        // A row of zeros is like nothing, and must not make the sum NaN.
        String divisor = graph.node("Max", at + ".divisor", List.of(length, tiny));
        String cosine = graph.node("Div", at + ".cosine", List.of(product, divisor));
        cosines.add(graph.node("ReduceSum", at, List.of(cosine, first)));
      }
      graph.node("Concat", SIMILARITIES, cosines, attribute("axis", 0));
      graph.output(SIMILARITIES, FLOAT, config.layers());
      return graph.build();
    }
  }

  /** [rows, 1] */
  private static String dot(GraphBuilder graph, String at, String a, String b, String axis) {
    String products = graph.node("Mul", at + "s", List.of(a, b));
    return graph.node("ReduceSum", at, List.of(products, axis));
  }

  private static void addSum(GraphBuilder graph, MatrixInput input, String value) {
    String sum = graph.node("Gemm", inputSum(input), List.of(value, value), attribute("transA", 1));
    graph.output(sum, FLOAT, input.width(), input.width());
  }

  /** Of [batch · tokens, n] the wanted positions, in float32. */
  private static String wantedRows(GraphBuilder graph, String value, int type) {
    String rows = graph.node("Gather", value + ".wanted", List.of(value, ScoringGraph.ROWS));
    return graph.cast(value + ".wanted.wide", rows, type, FLOAT);
  }
}
