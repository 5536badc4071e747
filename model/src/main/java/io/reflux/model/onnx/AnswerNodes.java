package io.reflux.model.onnx;

import static io.reflux.model.onnx.GraphBuilder.attribute;

import java.util.List;

/**
 * What is said of a chunk of rows once their logits are there. Passes over the whole vocabulary are
 * what it costs, so there are six: softmax (which is three), the largest logit and the mass of each
 * block of ids, and the sum of p · logit. All else works on blocks, or inside the few blocks that
 * can hold one of the k likeliest.
 */
final class AnswerNodes {
  private static final int SMALLEST_BLOCK = 8;
  private static final int LARGEST_BLOCK = 128;

  /** Of an id that pads the vocabulary: its probability is 0, and 0 times it is 0 as well. */
  private static final float NOWHERE = -3e38f;

  private final GraphBuilder graph;
  private final int blocks;
  private final int blockSize;
  private final int k;
  private final boolean exactProducts;
  private final String last;
  private final String flat;
  private final String blocked;
  private final String logits;
  private final String blockedLogits;
  private final String probs;
  private final String blockedProbs;
  private final String blockMasses;

  /**
   * Adds what every answer needs.
   *
   * @param logits float32 [r, vocabularySize]
   * @param k at most the vocabulary's size
   * @param exactProducts whether a product of matrices rounds like float32, which TF32 does not
   */
  AnswerNodes(GraphBuilder graph, String logits, int vocabularySize, int k, boolean exactProducts) {
    this.graph = graph;
    this.k = k;
    this.exactProducts = exactProducts;
    this.blockSize = blockSize(vocabularySize, k);
    this.blocks = (vocabularySize + blockSize - 1) / blockSize;
    this.last = graph.longs("last_axis", -1);
    this.flat = graph.longs("flat", 0, -1);
    this.blocked = graph.longs("blocked", 0, blocks, blockSize);
    this.logits = padded(logits, vocabularySize);
    this.blockedLogits = graph.node("Reshape", "blocked_logits", List.of(this.logits, blocked));
    this.probs = graph.node("Softmax", "probs", List.of(this.logits), attribute("axis", -1));
    this.blockedProbs = graph.node("Reshape", "blocked_probs", List.of(probs, blocked));
    this.blockMasses = sum("block_masses", blockedProbs, 0);
  }

  /** Ids a block: the two selections of k, among blocks and inside k blocks, are then as large. */
  private static int blockSize(int vocabularySize, int k) {
    int size = SMALLEST_BLOCK;
    while (size < LARGEST_BLOCK && (long) size * size * k < vocabularySize) {
      size *= 2;
    }
    return size;
  }

  private String padded(String of, int vocabularySize) {
    int padding = blocks * blockSize - vocabularySize;
    return padding == 0
        ? of
        : graph.node(
            "Pad",
            "padded_logits",
            List.of(
                of,
                graph.longs("vocabulary_padding", 0, 0, 0, padding),
                graph.scalar("nowhere", NOWHERE)));
  }

  /**
   * Adds the answers. Memory of the vocabulary's width is freed soonest when entropy, which works
   * on all of it, comes before the others.
   *
   * @param targets int64 [r, 1]
   * @param support int64 [r, support]
   */
  void add(String targets, String support) {
    Top top = 2 * k <= blocks ? topOfBlocks() : topOfAll();
    String logZ = logZ(top);
    addEntropy(logZ);
    graph.node("Log", ScoringGraph.TAIL_LOG_MASS, List.of(top.tail()));
    graph.node("Sub", ScoringGraph.TOP_LOGPROBS, List.of(top.logits(), logZ));
    addLogprobs(ScoringGraph.TOKEN_LOGPROBS, targets, logZ);
    addLogprobs(ScoringGraph.SUPPORT_LOGPROBS, support, logZ);
  }

  /**
   * Adds ids drawn with replacement.
   *
   * @param uniforms float32 [r, draws, 3], inside (0, 1)
   */
  void addDraws(String uniforms) {
    new DrawNodes(graph, blocks, blockSize).add(blockMasses, blockedProbs, uniforms);
  }

  /**
   * The k likeliest.
   *
   * @param logits [r, k]
   * @param tail [r, 1], mass of all others
   */
  private record Top(String logits, String tail) {}

  /**
   * The k blocks with the largest largest logit hold the k largest logits: each of them has one
   * that is at least as large as any outside them. They are put in the order of their ids, for of
   * equal logits the lower id is wanted.
   */
  private Top topOfBlocks() {
    String largest =
        graph.node(
            "ReduceMax", "block_logits", List.of(blockedLogits, last), attribute("keepdims", 0));
    graph.node(
        "TopK",
        "",
        List.of("likely_block_logits", "likely_blocks"),
        List.of(largest, graph.longs("k", k)),
        attribute("axis", -1),
        attribute("largest", 1),
        attribute("sorted", 0));
    graph.node(
        "TopK",
        "",
        List.of("sorted_blocks", "sorted_blocks_order"),
        List.of("likely_blocks", "k"),
        attribute("axis", -1),
        attribute("largest", 0),
        attribute("sorted", 1));
    String indices = graph.node("Unsqueeze", "block_indices", List.of("sorted_blocks", last));
    String candidates = gatherBlocks("candidates", blockedLogits, indices);
    topK("top_logits", "top_candidates", candidates);

    String size = graph.longs("block_size", blockSize);
    String place = graph.node("Div", "top_block_place", List.of("top_candidates", size));
    String within = graph.node("Mod", "top_within", List.of("top_candidates", size));
    String block =
        graph.node(
            "GatherElements", "top_block", List.of("sorted_blocks", place), attribute("axis", 1));
    String start = graph.node("Mul", "top_block_start", List.of(block, size));
    graph.node("Add", ScoringGraph.TOP_IDS, List.of(start, within));

    String candidateProbs = gatherBlocks("candidate_probs", blockedProbs, indices);
    String near = massWithout("near", candidateProbs, "top_candidates");
    String far = massWithout("far", blockMasses, "sorted_blocks");
    return new Top("top_logits", graph.node("Add", "tail_mass", List.of(near, far)));
  }

  private String gatherBlocks(String name, String from, String indices) {
    String gathered =
        graph.node(
            "GatherND", name + ".blocks", List.of(from, indices), attribute("batch_dims", 1));
    return graph.node("Reshape", name, List.of(gathered, flat));
  }

  /** Where k is a large part of the vocabulary, blocks select nothing. */
  private Top topOfAll() {
    graph.longs("k", k);
    topK("top_logits", ScoringGraph.TOP_IDS, logits);
    return new Top("top_logits", massWithout("tail_mass", probs, ScoringGraph.TOP_IDS));
  }

  private void topK(String values, String indices, String from) {
    graph.node(
        "TopK",
        "",
        List.of(values, indices),
        List.of(from, "k"),
        attribute("axis", -1),
        attribute("largest", 1),
        attribute("sorted", 1));
  }

  /** The rest is summed up, not subtracted from 1: a tail of 1e-9 must not drown in rounding. */
  private String massWithout(String name, String masses, String indices) {
    String shape = graph.node("Shape", name + ".shape", List.of(indices));
    String zeros =
        graph.node("Expand", name + ".zeros", List.of(graph.scalar(name + ".zero", 0f), shape));
    String outside =
        graph.node(
            "ScatterElements",
            name + ".outside",
            List.of(masses, indices, zeros),
            attribute("axis", 1));
    return sum(name, outside, 1);
  }

  /** Log of the sum of e^logit, [r, 1]: softmax has it, but keeps it to itself. */
  private String logZ(Top top) {
    String none = graph.longs("none", 0);
    String one = graph.longs("one_column", 1);
    String id = graph.node("Slice", "first_id", List.of(ScoringGraph.TOP_IDS, none, one, one));
    String logit = graph.node("Slice", "first_logit", List.of(top.logits(), none, one, one));
    String prob =
        graph.node("GatherElements", "first_prob", List.of(probs, id), attribute("axis", 1));
    String logprob = graph.node("Log", "first_logprob", List.of(prob));
    return graph.node("Sub", "log_z", List.of(logit, logprob));
  }

  /**
   * logZ · sum of p − sum of p · logit. What is left is a millionth or so of the logits off, which
   * may be more than a sure row's entropy.
   */
  private void addEntropy(String logZ) {
    String expected = exactProducts ? dotProduct() : sumOfProducts();
    String mass = sum("mass", blockMasses, 1);
    String whole = graph.node("Mul", "mass_log_z", List.of(mass, logZ));
    String entropy = graph.node("Sub", "rounded_entropy", List.of(whole, expected));
    graph.node("Relu", ScoringGraph.ENTROPY, List.of(entropy));
  }

  /** [r, 1, n] · [r, 1, n]ᵀ: a sixth of the time of the other way, and no memory. */
  private String dotProduct() {
    String middle = graph.longs("middle_axis", 1);
    String product =
        graph.node(
            "FusedMatMul",
            GraphBuilder.MICROSOFT,
            List.of("expected_logit.product"),
            List.of(
                graph.node("Unsqueeze", "prob_rows", List.of(probs, middle)),
                graph.node("Unsqueeze", "logit_rows", List.of(logits, middle))),
            attribute("transB", 1));
    return graph.node("Squeeze", "expected_logit", List.of(product, middle));
  }

  /** By blocks, which rounds less than one sum of the whole vocabulary. */
  private String sumOfProducts() {
    String products = graph.node("Mul", "prob_logits", List.of(blockedProbs, blockedLogits));
    return sum("expected_logit", sum("block_expected", products, 0), 1);
  }

  private void addLogprobs(String name, String ids, String logZ) {
    String wanted =
        graph.node("GatherElements", name + ".logits", List.of(logits, ids), attribute("axis", 1));
    graph.node("Sub", name, List.of(wanted, logZ));
  }

  private String sum(String name, String of, int keepDimensions) {
    return graph.node("ReduceSum", name, List.of(of, last), attribute("keepdims", keepDimensions));
  }
}
