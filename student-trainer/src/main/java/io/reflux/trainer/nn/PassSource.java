package io.reflux.trainer.nn;

import java.util.List;
import java.util.stream.Collectors;

/**
 * The TorchScript of whole passes over a batch. The way back goes a segment of layers at a time:
 * the graph of a segment is freed, and its gradients are added to the gathered ones, before the
 * next one's turn. So no second set of gradients ever exists.
 */
final class PassSource {
  /** Tensors that describe how tokens lie; {@link Packing#tensors} makes them in this order. */
  private static final List<String> INPUTS =
      List.of("ids", "positions", "groups", "spread", "keep");

  private static final String FORWARD =
      """
        def forward_layers(self: __torch__.Kernels, x: Tensor, p: List[Tensor], first: int, last: int, cos: Tensor, sin: Tensor, sizes: List[int], shapes: List[int], spreads: List[Tensor], keeps: List[Tensor]) -> Tensor:
          for i in range(first, last):
            at = torch.add(1, torch.mul(i, $LAYER_TENSORS))
            x = self.layer(x, p[at:torch.add(at, $LAYER_TENSORS)], cos, sin, sizes, shapes, spreads, keeps)
          return x

        def trunk(self: __torch__.Kernels, p: List[Tensor], cos: Tensor, sin: Tensor, $SIGNATURE) -> Tensor:
      $PREPARE
          x = torch.embedding(p[0], ids)
          return self.forward_layers(x, p, 0, $LAYERS, c, s, sizes, shapes, spreads, keeps)

        def logits(self: __torch__.Kernels, flat: Tensor, frozen: Tensor, cos: Tensor, sin: Tensor, $SIGNATURE) -> Tensor:
          p = self.leaves(torch.detach(flat), torch.detach(frozen))
          h = torch.rms_norm(self.trunk(p, cos, sin, $ARGUMENTS), [$HIDDEN], p[$FINAL_NORM], $EPSILON)
          return torch.linear(h, p[$HEAD])

        def measure(self: __torch__.Kernels, flat: Tensor, frozen: Tensor, cos: Tensor, sin: Tensor, $SIGNATURE, rows: Tensor, $ROW_SIGNATURE) -> Tensor:
          p = self.leaves(torch.detach(flat), torch.detach(frozen))
          x = torch.index_select(self.trunk(p, cos, sin, $ARGUMENTS), 0, rows)
          h = torch.rms_norm(x, [$HIDDEN], p[$FINAL_NORM], $EPSILON)
          stats, dh = self.head(h, p[$HEAD], p[$HEAD], $ROW_ARGUMENTS, False)
          return stats
      """;

  private static final String PREPARE =
      """
          sizes = self.group_sizes(groups)
          shapes = self.group_shapes(groups)
          spreads = self.group_parts(spread, groups, True)
          keeps = self.group_parts(keep, groups, False)
          c = torch.unsqueeze(torch.index_select(cos, 0, positions), 1)
          s = torch.unsqueeze(torch.index_select(sin, 0, positions), 1)
      """;

  /**
   * Forward and back. Without checkpoints a segment is a layer whose graph waits in {@code
   * outputs}; with them it is {@code n} layers of which only the input waits, and which run again.
   * What is frozen has no gradient, and the way back ends where nothing below is trained.
   */
  private static final String ACCUMULATE =
      """
        def accumulate(self: __torch__.Kernels, flat: Tensor, frozen: Tensor, gradients: Tensor, cos: Tensor, sin: Tensor, $SIGNATURE, rows: Tensor, $ROW_SIGNATURE) -> Tensor:
      $PREPARE
          p = self.leaves(torch.detach(flat), torch.detach(frozen))
          sums = self.sums(gradients)
          leaves = annotate(List[Tensor], [])
          for i in range(len(p)):
            _0 = torch.append(leaves, torch.requires_grad_(torch.detach(p[i]), torch.gt(sums[i].size(0), 0)))
          inputs = annotate(List[Tensor], [])
          outputs = annotate(List[Tensor], [])
          x = torch.embedding(p[0], ids)
          x = self.forward_layers(x, p, 0, $FIRST_LAYER, c, s, sizes, shapes, spreads, keeps)
          for j in range($FIRST_SEGMENT, $SEGMENTS):
            first = torch.mul(j, $SEGMENT_LAYERS)
            last = min(torch.add(first, $SEGMENT_LAYERS), $LAYERS)
      $KEEP
          x = torch.requires_grad_(torch.detach(x), True)
          h = torch.rms_norm(torch.index_select(x, 0, rows), [$HIDDEN], leaves[$FINAL_NORM], $EPSILON)
          stats, dh = self.head(torch.detach(h), p[$HEAD], sums[$HEAD], $ROW_ARGUMENTS, True)
          g = self.back(h, x, True, leaves[$FINAL_NORM:torch.add($FINAL_NORM, 1)], sums[$FINAL_NORM:torch.add($FINAL_NORM, 1)], dh)
          for k in range(torch.sub($SEGMENTS, $FIRST_SEGMENT)):
            j = torch.sub(torch.sub($SEGMENTS, 1), k)
            first = torch.mul(j, $SEGMENT_LAYERS)
            last = min(torch.add(first, $SEGMENT_LAYERS), $LAYERS)
            x = torch.pop(inputs)
      $AGAIN
            begin = torch.add(1, torch.mul(first, $LAYER_TENSORS))
            end = torch.add(1, torch.mul(last, $LAYER_TENSORS))
            g = self.back(y, x, torch.gt(j, $LAST_BLIND), leaves[begin:end], sums[begin:end], g)
          if torch.gt(sums[0].size(0), 0):
            _1 = torch.index_add_(sums[0], 0, ids, g)
          return stats

        def back(self: __torch__.Kernels, y: Tensor, x: Tensor, further: bool, leaves: List[Tensor], sums: List[Tensor], upstream: Tensor) -> Tensor:
          sources = annotate(List[Tensor], [])
          targets = annotate(List[Tensor], [])
          for i in range(len(leaves)):
            if torch.gt(sums[i].size(0), 0):
              _0 = torch.append(sources, leaves[i])
              _1 = torch.append(targets, sums[i])
          if further:
            _2 = torch.append(sources, x)
          given = annotate(List[Optional[Tensor]], [])
          _3 = torch.append(given, upstream)
          found = torch.grad([y], sources, given, False, False, False)
          for i in range(len(targets)):
            g = found[i]
            if torch.__isnot__(g, None):
              _4 = torch.add_(targets[i], unchecked_cast(Tensor, g))
          down = upstream
          if further:
            down = unchecked_cast(Tensor, found[len(targets)])
          return down
      """;

  private static final String KEEP_GRAPH =
      """
            x = torch.requires_grad_(torch.detach(x), torch.gt(j, $LAST_BLIND))
            _3 = torch.append(inputs, x)
            x = self.forward_layers(x, leaves, first, last, c, s, sizes, shapes, spreads, keeps)
            _4 = torch.append(outputs, x)
      """;

  private static final String KEEP_INPUT =
      """
            _3 = torch.append(inputs, x)
            x = self.forward_layers(x, p, first, last, c, s, sizes, shapes, spreads, keeps)
      """;

  private static final String TAKE_GRAPH =
      """
            y = torch.pop(outputs)
      """;

  private static final String RUN_AGAIN =
      """
            x = torch.requires_grad_(torch.detach(x), torch.gt(j, $LAST_BLIND))
            y = self.forward_layers(x, leaves, first, last, c, s, sizes, shapes, spreads, keeps)
      """;

  private PassSource() {}

  static String of(int checkpointEvery) {
    boolean again = checkpointEvery > 0;
    return (FORWARD + "\n" + ACCUMULATE)
        .replace("$KEEP\n", again ? KEEP_INPUT : KEEP_GRAPH)
        .replace("$AGAIN\n", again ? RUN_AGAIN : TAKE_GRAPH)
        .replace("$PREPARE\n", PREPARE)
        .replace("$ROW_SIGNATURE", HeadSource.signature())
        .replace("$ROW_ARGUMENTS", HeadSource.arguments())
        .replace(
            "$SIGNATURE",
            INPUTS.stream().map(name -> name + ": Tensor").collect(Collectors.joining(", ")))
        .replace("$ARGUMENTS", String.join(", ", INPUTS));
  }
}
