package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.FLOAT;
import static io.reflux.model.onnx.GraphBuilder.INT64;
import static io.reflux.model.onnx.GraphBuilder.attribute;

import java.util.List;

/**
 * Draws ids by inverting the distribution's cumulative sum at three levels: a group of blocks, a
 * block of the group, an id of the block, each with a uniform number of its own. One sum over the
 * whole vocabulary would round at 1e-5 of its total, and be searched by comparing all of it with
 * every draw.
 *
 * <p>A level takes the first entry whose cumulative sum exceeds uniform · total. That one's own
 * mass is above 0, since it raised the sum; and there is one, since uniform is below 1. So neither
 * an id of no probability nor one that only pads the vocabulary is ever drawn.
 */
final class DrawNodes {
  private final GraphBuilder graph;
  private final int blockSize;
  private final int groupSize;
  private final int padding;

  DrawNodes(GraphBuilder graph, int blocks, int blockSize) {
    this.graph = graph;
    this.blockSize = blockSize;
    this.groupSize = (int) Math.ceil(Math.sqrt(blocks));
    this.padding = (blocks + groupSize - 1) / groupSize * groupSize - blocks;
  }

  /**
   * Adds the draws.
   *
   * @param blockMasses [r, blocks]
   * @param blockedProbs [r, blocks, blockSize]
   * @param uniforms [r, draws, 3], inside (0, 1)
   */
  void add(String blockMasses, String blockedProbs, String uniforms) {
    graph.node(
        "Split",
        "",
        List.of("uniform.group", "uniform.block", "uniform.id"),
        List.of(uniforms, graph.longs("uniform.each", 1, 1, 1)),
        attribute("axis", 2));
    String masses =
        padding == 0
            ? blockMasses
            : graph.node(
                "Pad",
                "drawn.masses",
                List.of(blockMasses, graph.longs("drawn.padding", 0, 0, 0, padding)));
    String groups =
        graph.node(
            "Reshape",
            "drawn.groups",
            List.of(masses, graph.longs("drawn.grouped", 0, -1, groupSize)));
    String groupMasses =
        graph.node(
            "ReduceSum",
            "drawn.group_masses",
            List.of(groups, graph.longs("drawn.last", 2)),
            attribute("keepdims", 0));
    String each = graph.longs("drawn.each", 1);
    String ofRow = graph.node("Unsqueeze", "drawn.of_row", List.of(groupMasses, each));

    String group = pick("drawn.group", ofRow, "uniform.group");
    String block = pick("drawn.in_group", take("drawn.of_group", groups, group), "uniform.block");
    block = join("drawn.block", group, groupSize, block);
    String id = pick("drawn.in_block", take("drawn.of_block", blockedProbs, block), "uniform.id");
    id = join("drawn.id", block, blockSize, id);
    graph.node("Squeeze", ScoringGraph.DRAWN_IDS, List.of(id, graph.longs("drawn.only", 2)));
  }

  /** [r, draws, size] of [r, n, size] at indices [r, draws, 1]. */
  private String take(String name, String from, String indices) {
    return graph.node("GatherND", name, List.of(from, indices), attribute("batch_dims", 1));
  }

  private String join(String name, String index, int size, String within) {
    String start =
        graph.node("Mul", name + ".start", List.of(index, graph.longs(name + ".size", size)));
    return graph.node("Add", name, List.of(start, within));
  }

  /**
   * The first index whose cumulative sum exceeds uniform · total, which is the number of those that
   * do not.
   *
   * @param masses [r, draws or 1, n]
   * @param uniform [r, draws, 1]
   * @return int64 [r, draws, 1]
   */
  private String pick(String name, String masses, String uniform) {
    String axis = graph.longs(name + ".axis", 2);
    String sums = graph.node("CumSum", name + ".sums", List.of(masses, axis));
    String total =
        graph.node(
            "Slice",
            name + ".total",
            List.of(
                sums,
                graph.longs(name + ".from", -1),
                graph.longs(name + ".to", Long.MAX_VALUE),
                axis));
    String bound = graph.node("Mul", name + ".bound", List.of(total, uniform));
    String below = graph.node("LessOrEqual", name + ".below", List.of(sums, bound));
    String ones = graph.node("Cast", name + ".ones", List.of(below), attribute("to", FLOAT));
    String count =
        graph.node("ReduceSum", name + ".count", List.of(ones, axis), attribute("keepdims", 1));
    return graph.node("Cast", name, List.of(count), attribute("to", INT64));
  }
}
