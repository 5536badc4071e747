package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.ModelConfig;

/** The TorchScript from token ids to the last hidden states. */
final class TrunkSource {
  /** Rotary embedding in Hugging Face's layout: the pairs are (i, i + headSize/2). */
  private static final String ROTATE =
      """
        def rotate(self: __torch__.Kernels, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
          halves = torch.chunk(x, 2, -1)
          turned = torch.cat([torch.neg(halves[1]), halves[0]], -1)
          return torch.add(torch.mul(x, cos), torch.mul(turned, sin))
      """;

  private static final String ATTEND_ALL =
      """
        def attend(self: __torch__.Kernels, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
          return torch.scaled_dot_product_attention(q, k, v, None, 0.0, True)
      """;

  private static final String ATTEND_WINDOW =
      """
        def attend(self: __torch__.Kernels, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
          positions = torch.arange(q.size(2))
          behind = torch.sub(torch.unsqueeze(positions, 1), torch.unsqueeze(positions, 0))
          seen = torch.logical_and(torch.ge(behind, 0), torch.lt(behind, $WINDOW))
          return torch.scaled_dot_product_attention(q, k, v, seen, 0.0, False)
      """;

  private static final String LAYER =
      """
        def project(self: __torch__.Kernels, h: Tensor, p: List[Tensor], index: int, bias: Optional[Tensor]) -> Tensor:
          return torch.linear(h, p[index], bias)

        def layer(self: __torch__.Kernels, x: Tensor, p: List[Tensor], cos: Tensor, sin: Tensor) -> Tensor:
          b = x.size(0)
          t = x.size(1)
          h = torch.rms_norm(x, [$HIDDEN], p[$INPUT_NORM], $EPSILON)
          q = torch.view(self.project(h, p, $QUERY, $QUERY_BIAS), [b, t, $HEADS, $HEAD_SIZE])
          k = torch.view(self.project(h, p, $KEY, $KEY_BIAS), [b, t, $KEY_HEADS, $HEAD_SIZE])
          v = torch.view(self.project(h, p, $VALUE, $VALUE_BIAS), [b, t, $KEY_HEADS, $HEAD_SIZE])
      $QK_NORM
          q = self.rotate(torch.transpose(q, 1, 2), cos, sin)
          k = self.rotate(torch.transpose(k, 1, 2), cos, sin)
          v = torch.transpose(v, 1, 2)
      $EXPAND
          a = torch.transpose(self.attend(q, k, v), 1, 2)
          a = torch.reshape(a, [b, t, $QUERY_SIZE])
          x = torch.add(x, self.project(a, p, $OUTPUT, None))
          h = torch.rms_norm(x, [$HIDDEN], p[$POST_NORM], $EPSILON)
          m = torch.mul(torch.silu(self.project(h, p, $GATE, None)), self.project(h, p, $UP, None))
          return torch.add(x, self.project(m, p, $DOWN, None))
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

  private static final String TRUNK =
      """
        def trunk(self: __torch__.Kernels, p: List[Tensor], ids: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
          x = torch.embedding(p[0], ids)
          t = ids.size(1)
          c = torch.narrow(cos, 0, 0, t)
          s = torch.narrow(sin, 0, 0, t)
          for i in range($LAYERS):
            first = torch.add(1, torch.mul(i, $LAYER_TENSORS))
            x = self.layer(x, p[first:torch.add(first, $LAYER_TENSORS)], c, s)
          return torch.rms_norm(x, [$HIDDEN], p[$FINAL_NORM], $EPSILON)

        def logits(self: __torch__.Kernels, flat: Tensor, ids: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
          p = self.leaves(torch.detach(flat))
          return torch.linear(self.trunk(p, ids, cos, sin), p[$HEAD])
      """;

  private TrunkSource() {}

  static String of(ModelConfig config) {
    return String.join(
        "\n",
        ROTATE,
        config.slidingWindow().isPresent() ? ATTEND_WINDOW : ATTEND_ALL,
        LAYER
            .replace("$QK_NORM\n", config.qkNorm() ? QK_NORM : "")
            .replace("$EXPAND\n", config.heads() == config.keyValueHeads() ? "" : EXPAND),
        TRUNK);
  }
}
