package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.INT64;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import ai.onnx.proto.OnnxMl.AttributeProto;
import java.util.List;

/**
 * A loop over rows, some at a time. Chunks are as equal as they can be: 130 rows of at most 128 are
 * worked on as 65 and 65, and where the last one lacks a row it repeats the last row.
 */
final class Chunks {
  private static final String INDICES = "chunk.indices";
  private static final String ROW_COUNT = "chunk.row_count";

  private final GraphBuilder graph;

  /**
   * Adds the division into chunks of {@link ScoringGraph#ROWS}.
   *
   * @param most rows of a chunk
   */
  Chunks(GraphBuilder graph, int most) {
    this.graph = graph;
    String one = graph.longs("chunk.one", 1);
    graph.node("Shape", ROW_COUNT, List.of(ScoringGraph.ROWS));
    // Without rows there is still one chunk, for a division by 0 would end the process.
    String needed = dividedUp("chunk.needed", ROW_COUNT, graph.longs("chunk.most", most));
    String count = graph.node("Max", "chunk.count", List.of(needed, one));
    String size = dividedUp("chunk.size", ROW_COUNT, count);
    String padded = graph.node("Mul", "chunk.padded", List.of(count, size));
    String none = graph.longs("chunk.none", 0);
    String all =
        graph.node(
            "Range",
            "chunk.all",
            List.of(
                scalar("chunk.from", none), scalar("chunk.to", padded), scalar("chunk.step", one)));
    String lastRow = graph.node("Sub", "chunk.last_row", List.of(ROW_COUNT, one));
    String existing = graph.node("Min", "chunk.existing", List.of(all, lastRow));
    String shape = graph.node("Concat", "chunk.shape", List.of(count, size), attribute("axis", 0));
    graph.node("Reshape", "chunk.each", List.of(existing, shape), attribute("allowzero", 1));
  }

  /**
   * A result of the loop.
   *
   * @param name in the body and, of all rows, in the graph; in the body it is [chunk, width]
   * @param type of its elements
   * @param width columns; below 0 when they are free
   * @param shape in the graph: [-1, width], or [-1] when the width is 1
   */
  record Answer(String name, int type, int width, long... shape) {}

  /** Begins what is done with each chunk. */
  void open() {
    graph.openBody("chunk");
    graph.input(INDICES, INT64, -1);
  }

  /** Rows of a value of the graph that belong to the chunk. */
  String take(String all) {
    return graph.node("Gather", all + ".chunk", List.of(all, INDICES));
  }

  /** Ends it, and puts the answers of all chunks end to end. */
  void close(List<Answer> answers) {
    answers.forEach(answer -> graph.output(answer.name(), answer.type(), -1, answer.width()));
    AttributeProto body = graph.closeBody();
    List<String> stacked = answers.stream().map(answer -> answer.name() + ".stacked").toList();
    graph.node("Scan", "", stacked, List.of("chunk.each"), body, attribute("num_scan_inputs", 1));
    String rest = graph.longs("chunk.rest", -1);
    for (Answer answer : answers) {
      boolean flat = answer.shape().length == 1;
      // Flatten, for a reshape cannot tell how many rows have no columns.
      String joined =
          flat
              ? graph.node(
                  "Reshape", answer.name() + ".joined", List.of(answer.name() + ".stacked", rest))
              : graph.node(
                  "Flatten",
                  answer.name() + ".joined",
                  List.of(answer.name() + ".stacked"),
                  attribute("axis", 2));
      graph.node("Slice", answer.name(), List.of(joined, "chunk.none", ROW_COUNT, "chunk.none"));
    }
  }

  private String dividedUp(String name, String dividend, String divisor) {
    String sum = graph.node("Add", name + ".sum", List.of(dividend, divisor));
    String less = graph.node("Sub", name + ".less", List.of(sum, "chunk.one"));
    return graph.node("Div", name, List.of(less, divisor));
  }

  private String scalar(String name, String vector) {
    return graph.node("Squeeze", name, List.of(vector));
  }
}
