package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorNames;
import java.util.stream.Collectors;

/**
 * The TorchScript from token ids to the last hidden states. Tokens lie flat, [tokens, hidden],
 * without padding; attention alone knows sequences.
 *
 * <p>In bfloat16 the products of matrices are bfloat16, attention's among them. The residual
 * stream, norms and rotations are float32, and so is the softmax inside attention.
 */
final class TrunkSource {
  private static final String WIDE =
      """
        def narrow(self: __torch__.Kernels, x: Tensor) -> Tensor:
          return x

        def wide(self: __torch__.Kernels, x: Tensor) -> Tensor:
          return x

        def project(self: __torch__.Kernels, h: Tensor, p: List[Tensor], index: int, bias: Optional[Tensor]) -> Tensor:
          y = torch.linear(h, p[index], bias)
      $ADAPT
          return y
      """;

  private static final String HALF =
      """
        def narrow(self: __torch__.Kernels, x: Tensor) -> Tensor:
          return torch.to(x, 15)

        def wide(self: __torch__.Kernels, x: Tensor) -> Tensor:
          return torch.to(x, 6)

        def project(self: __torch__.Kernels, h: Tensor, p: List[Tensor], index: int, bias: Optional[Tensor]) -> Tensor:
          y = torch.linear(torch.to(h, 15), torch.to(p[index], 15))
          if torch.__isnot__(bias, None):
            y = torch.add(y, torch.to(unchecked_cast(Tensor, bias), 15))
      $ADAPT
          return y
      """;

  /**
   * Rotary embedding in Hugging Face's layout: the pairs are (i, i + headSize/2). The first half of
   * the sines comes negated, so that a turn by half the head brings each its partner.
   */
  private static final String ROTATE =
      """
        def rotate(self: __torch__.Kernels, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
          return torch.addcmul(torch.mul(x, cos), torch.roll(x, [$HALF_HEAD], [-1]), sin)
      """;

  /** One group: q, k and v [sequences, heads, length, headSize]. */
  private static final String ATTEND_ALL =
      """
        def attend(self: __torch__.Kernels, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
          return torch.scaled_dot_product_attention(q, k, v, None, 0.0, True)
      """;

  private static final String ATTEND_WINDOW =
      """
        def attend(self: __torch__.Kernels, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
          if torch.gt(q.size(2), $WINDOW):
            positions = torch.arange(q.size(2), dtype=4, layout=0, device=ops.prim.device(q))
            behind = torch.sub(torch.unsqueeze(positions, 1), torch.unsqueeze(positions, 0))
            seen = torch.logical_and(torch.ge(behind, 0), torch.lt(behind, $WINDOW))
            a = torch.scaled_dot_product_attention(q, k, v, seen, 0.0, False)
          else:
            a = torch.scaled_dot_product_attention(q, k, v, None, 0.0, True)
          return a
      """;

  /**
   * Attention inside each sequence. A group that has padding is spread out by {@code spread}, and
   * its real positions are taken back by {@code keep}. Padding is on the right, where a causal mask
   * hides it from every real position, and its own results are dropped: the mask is exact by
   * construction. Splitting and joining, unlike slicing, cost one copy on the way back.
   *
   * @param q [tokens, heads, headSize]; k and v likewise with their own heads
   */
  private static final String GROUPS =
      """
        def arrange(self: __torch__.Kernels, x: Tensor, spread: Tensor, b: int, t: int, heads: int) -> Tensor:
          padded = torch.gt(spread.size(0), 0)
          if padded:
            x = torch.index_select(x, 0, spread)
          return torch.transpose(torch.view(x, [b, t, heads, $HEAD_SIZE]), 1, 2)

        def attend_group(self: __torch__.Kernels, q: Tensor, k: Tensor, v: Tensor, spread: Tensor, keep: Tensor, b: int, t: int) -> Tensor:
          q = self.arrange(q, spread, b, t, $HEADS)
          k = self.arrange(k, spread, b, t, $KEY_HEADS)
          v = self.arrange(v, spread, b, t, $KEY_HEADS)
      $EXPAND
          a = torch.reshape(torch.transpose(self.attend(q, k, v), 1, 2), [torch.mul(b, t), $QUERY_SIZE])
          padded = torch.gt(spread.size(0), 0)
          if padded:
            a = torch.index_select(a, 0, keep)
          return a

        def attend_groups(self: __torch__.Kernels, q: Tensor, k: Tensor, v: Tensor, sizes: List[int], shapes: List[int], spreads: List[Tensor], keeps: List[Tensor]) -> Tensor:
          if torch.eq(torch.len(sizes), 1):
            a = self.attend_group(q, k, v, spreads[0], keeps[0], shapes[0], shapes[1])
          else:
            qs = torch.split_with_sizes(q, sizes)
            ks = torch.split_with_sizes(k, sizes)
            vs = torch.split_with_sizes(v, sizes)
            parts = annotate(List[Tensor], [])
            for i in range(torch.len(sizes)):
              b = shapes[torch.mul(2, i)]
              t = shapes[torch.add(torch.mul(2, i), 1)]
              _0 = torch.append(parts, self.attend_group(qs[i], ks[i], vs[i], spreads[i], keeps[i], b, t))
            a = torch.cat(parts, 0)
          return a
      """;

  private static final String LAYER =
      """
        def layer(self: __torch__.Kernels, x: Tensor, p: List[Tensor], cos: Tensor, sin: Tensor, sizes: List[int], shapes: List[int], spreads: List[Tensor], keeps: List[Tensor]) -> Tensor:
          n = x.size(0)
          h = self.narrow(torch.rms_norm(x, [$HIDDEN], p[$INPUT_NORM], $EPSILON))
          q = self.wide(torch.view(self.project(h, p, $QUERY, $QUERY_BIAS), [n, $HEADS, $HEAD_SIZE]))
          k = self.wide(torch.view(self.project(h, p, $KEY, $KEY_BIAS), [n, $KEY_HEADS, $HEAD_SIZE]))
          v = torch.view(self.project(h, p, $VALUE, $VALUE_BIAS), [n, $KEY_HEADS, $HEAD_SIZE])
      $QK_NORM
          q = self.narrow(self.rotate(q, cos, sin))
          k = self.narrow(self.rotate(k, cos, sin))
          a = self.attend_groups(q, k, v, sizes, shapes, spreads, keeps)
          x = torch.add(x, self.project(a, p, $OUTPUT, None))
          h = self.narrow(torch.rms_norm(x, [$HIDDEN], p[$POST_NORM], $EPSILON))
          m = torch.mul(torch.silu(self.project(h, p, $GATE, None)), self.project(h, p, $UP, None))
          return torch.add(x, self.project(m, p, $DOWN, None))
      """;

  private static final String ADAPT =
      """
          y = self.adapt(y, h, p, index)
      """;

  /**
   * What a matrix's adapter adds, if it has one (arXiv 2106.09685): y + scale·(hAᵀ)Bᵀ, scaled where
   * it is narrow.
   */
  private static final String ADAPTER =
      """
        def adapt(self: __torch__.Kernels, y: Tensor, h: Tensor, p: List[Tensor], index: int) -> Tensor:
          a = 0
      $PAIRS
          if torch.gt(a, 0):
            inner = torch.linear(self.narrow(h), self.narrow(p[a]))
            inner = torch.mul(inner, $ADAPTER_SCALE)
            y = torch.add(y, torch.linear(inner, self.narrow(p[torch.add(a, 1)])))
          return y
      """;

  private static final String PAIR =
      """
          if torch.eq(index, %d):
            a = %d
      """;

  private static final String QK_NORM =
      """
          q = torch.rms_norm(q, [$HEAD_SIZE], p[$QUERY_NORM], $EPSILON)
          k = torch.rms_norm(k, [$HEAD_SIZE], p[$KEY_NORM], $EPSILON)
      """;

  /** Explicit copies of the shared heads: measured faster on the processor than enable_gqa. */
  private static final String EXPAND =
      """
          k = torch.reshape(torch.expand(torch.unsqueeze(k, 2), [b, $KEY_HEADS, $GROUP, t, $HEAD_SIZE]), [b, $HEADS, t, $HEAD_SIZE])
          v = torch.reshape(torch.expand(torch.unsqueeze(v, 2), [b, $KEY_HEADS, $GROUP, t, $HEAD_SIZE]), [b, $HEADS, t, $HEAD_SIZE])
      """;

  /** What the layers share in a batch, out of {@link Packing}'s tensors. */
  private static final String PLAN =
      """
        def group_sizes(self: __torch__.Kernels, groups: Tensor) -> List[int]:
          sizes = annotate(List[int], [])
          for i in range(groups.size(0)):
            _0 = torch.append(sizes, int(groups[i][2]))
          return sizes

        def group_shapes(self: __torch__.Kernels, groups: Tensor) -> List[int]:
          shapes = annotate(List[int], [])
          for i in range(groups.size(0)):
            _0 = torch.append(shapes, int(groups[i][0]))
            _1 = torch.append(shapes, int(groups[i][1]))
          return shapes

        def group_parts(self: __torch__.Kernels, all: Tensor, groups: Tensor, spread: bool) -> List[Tensor]:
          parts = annotate(List[Tensor], [])
          start = 0
          for i in range(groups.size(0)):
            padded = torch.mul(int(groups[i][0]), int(groups[i][1]))
            length = int(groups[i][2])
            if torch.eq(padded, length):
              length = 0
            else:
              if spread:
                length = padded
            _0 = torch.append(parts, torch.narrow(all, 0, start, length))
            start = torch.add(start, length)
          return parts
      """;

  private TrunkSource() {}

  static String of(ModelConfig config, Precision precision, ParameterLayout layout) {
    boolean adapted = !layout.adapters().isEmpty();
    String projection = precision == Precision.BF16 ? HALF : WIDE;
    return String.join(
        "\n",
        projection.replace("$ADAPT\n", adapted ? ADAPT : ""),
        adapted ? ADAPTER.replace("$PAIRS\n", pairs(layout)) : "",
        ROTATE,
        config.slidingWindow().isPresent() ? ATTEND_WINDOW : ATTEND_ALL,
        GROUPS.replace("$EXPAND\n", config.heads() == config.keyValueHeads() ? "" : EXPAND),
        LAYER.replace("$QK_NORM\n", config.qkNorm() ? QK_NORM : ""),
        PLAN);
  }

  /** Which tensor of a layer has its A where; the same in every layer. */
  private static String pairs(ParameterLayout layout) {
    int first = layout.index(TensorNames.inputNorm(0));
    return layout.adapters().stream()
        .filter(adapter -> adapter.layer() == 0)
        .map(
            adapter ->
                PAIR.formatted(
                    layout.index(adapter.matrix()) - first,
                    layout.index(adapter.a().name()) - first))
        .collect(Collectors.joining());
  }
}
