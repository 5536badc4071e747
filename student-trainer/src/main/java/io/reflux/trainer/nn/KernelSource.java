package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes the TorchScript of one model shape. All parameters arrive as one flat tensor, and are
 * viewed, never copied.
 */
final class KernelSource {
  private static final String HEADER =
      """
      class Kernels(Module):
        __parameters__ = []
        __buffers__ = []
        training : bool
      """;

  private static final String LEAVES =
      """
        def leaves(self: __torch__.Kernels, flat: Tensor) -> List[Tensor]:
          p = annotate(List[Tensor], [])
      """;

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
        def layer(self: __torch__.Kernels, x: Tensor, p: List[Tensor], cos: Tensor, sin: Tensor) -> Tensor:
          b = x.size(0)
          t = x.size(1)
          h = torch.rms_norm(x, [$HIDDEN], p[$INPUT_NORM], $EPSILON)
          q = torch.view(torch.linear(h, p[$QUERY], $QUERY_BIAS), [b, t, $HEADS, $HEAD_SIZE])
          k = torch.view(torch.linear(h, p[$KEY], $KEY_BIAS), [b, t, $KEY_HEADS, $HEAD_SIZE])
          v = torch.view(torch.linear(h, p[$VALUE], $VALUE_BIAS), [b, t, $KEY_HEADS, $HEAD_SIZE])
      $QK_NORM
          q = self.rotate(torch.transpose(q, 1, 2), cos, sin)
          k = self.rotate(torch.transpose(k, 1, 2), cos, sin)
          v = torch.transpose(v, 1, 2)
      $EXPAND
          a = torch.transpose(self.attend(q, k, v), 1, 2)
          a = torch.reshape(a, [b, t, $QUERY_SIZE])
          x = torch.add(x, torch.linear(a, p[$OUTPUT]))
          h = torch.rms_norm(x, [$HIDDEN], p[$POST_NORM], $EPSILON)
          m = torch.mul(torch.silu(torch.linear(h, p[$GATE])), torch.linear(h, p[$UP]))
          return torch.add(x, torch.linear(m, p[$DOWN]))
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

  /**
   * Head and loss, a chunk of rows at a time, with the gradient written out, so that never more
   * than a chunk of logits exists. With P the teacher's named probabilities, Pt its tail mass, q
   * the student's softmax and Qt the student's mass outside the named ids:
   *
   * <pre>
   * KL      = Σ P (log P − log q) + Pt (log Pt − log Qt)
   * dKL/dz  = (ΣP + Pt) q − [named] P − [not named] Pt q / Qt
   * dCE/dz  = q − [token]
   * </pre>
   *
   * <p>log Qt is a log-sum-exp over the unnamed logits, never log(1 − Σq).
   */
  private static final String HEAD =
      """
        def head(self: __torch__.Kernels, h: Tensor, w: Tensor, tokens: Tensor, ce_w: Tensor, kd_w: Tensor, top: Tensor, top_logp: Tensor, tail: Tensor, chunk: int, backward: bool) -> Tuple[Tensor, Tensor, Tensor]:
          n = h.size(0)
          k = top.size(1)
          stats = torch.zeros([6], dtype=7)
          dh = torch.empty_like(h)
          dw = torch.zeros_like(w)
          wt = torch.t(w)
          start = 0
          while start < n:
            rows = min(chunk, n - start)
            hc = torch.narrow(h, 0, start, rows)
            token = torch.unsqueeze(torch.narrow(tokens, 0, start, rows), 1)
            cw = torch.unsqueeze(torch.narrow(ce_w, 0, start, rows), 1)
            kw = torch.unsqueeze(torch.narrow(kd_w, 0, start, rows), 1)
            z = torch.matmul(hc, wt)
            lse = torch.logsumexp(z, [1], True)
            best = torch.argmax(z, 1, True)
            counted = torch.gt(torch.add(cw, kw), 0)
            ce = torch.sub(lse, torch.gather(z, 1, token))
            none = torch.zeros_like(ce)
            torch.add_(stats[0], torch.sum(torch.where(counted, torch.mul(ce, cw), none), dtype=7))
            torch.add_(stats[2], torch.sum(torch.where(counted, ce, none), dtype=7))
            torch.add_(stats[4], torch.sum(torch.logical_and(counted, torch.eq(best, token)), dtype=7))
            scale = cw
            adjust = torch.neg(cw)
            at = token
            if k > 0:
              ids = torch.narrow(top, 0, start, rows)
              logp = torch.narrow(top_logp, 0, start, rows)
              named = torch.gt(logp, -inf)
              p = torch.exp(logp)
              zk = torch.gather(z, 1, ids)
              logq = torch.sub(zk, lse)
              logpt = torch.unsqueeze(torch.narrow(tail, 0, start, rows), 1)
              pt = torch.exp(logpt)
              rest = torch.logsumexp(torch.scatter(z, 1, ids, -inf), [1], True)
              has_tail = torch.logical_and(torch.gt(logpt, -inf), torch.gt(rest, -inf))
              logqt = torch.sub(rest, lse)
              kl = torch.sum(torch.where(named, torch.mul(p, torch.sub(logp, logq)), torch.zeros_like(p)), [1], True)
              kl = torch.add(kl, torch.where(has_tail, torch.mul(pt, torch.sub(logpt, logqt)), none))
              distilled = torch.gt(kw, 0)
              torch.add_(stats[0], torch.sum(torch.where(distilled, torch.mul(kl, kw), none), dtype=7))
              torch.add_(stats[1], torch.sum(torch.where(distilled, kl, none), dtype=7))
              same = torch.eq(best, torch.narrow(ids, 1, 0, 1))
              torch.add_(stats[3], torch.sum(torch.logical_and(distilled, same), dtype=7))
              ptw = torch.where(has_tail, torch.mul(pt, kw), none)
              mass = torch.add(torch.mul(torch.sum(p, [1], True), kw), ptw)
              over = torch.where(has_tail, torch.mul(ptw, torch.exp(torch.neg(logqt))), none)
              scale = torch.sub(torch.add(scale, mass), over)
              back = torch.where(named, torch.mul(over, torch.exp(logq)), torch.zeros_like(p))
              adjust = torch.cat([adjust, torch.sub(back, torch.mul(p, kw))], 1)
              at = torch.cat([at, ids], 1)
            if backward:
              g = torch.exp_(torch.sub_(z, lse))
              g = torch.mul_(g, scale)
              g = torch.scatter_add_(g, 1, at, adjust)
              torch.copy_(torch.narrow(dh, 0, start, rows), torch.matmul(g, w))
              dw = torch.addmm_(dw, torch.t(g), hc)
            start = start + rows
          return (stats, dh, dw)
      """;

  private static final String ACCUMULATE =
      """
        def measure(self: __torch__.Kernels, flat: Tensor, ids: Tensor, cos: Tensor, sin: Tensor, rows: Tensor, tokens: Tensor, ce_w: Tensor, kd_w: Tensor, top: Tensor, top_logp: Tensor, tail: Tensor, chunk: Tensor) -> Tensor:
          p = self.leaves(torch.detach(flat))
          h = torch.reshape(self.trunk(p, ids, cos, sin), [-1, $HIDDEN])
          h = torch.index_select(h, 0, rows)
          stats, dh, dw = self.head(h, p[$HEAD], tokens, ce_w, kd_w, top, top_logp, tail, int(chunk), False)
          return stats

        def accumulate(self: __torch__.Kernels, flat: Tensor, gradients: Tensor, ids: Tensor, cos: Tensor, sin: Tensor, rows: Tensor, tokens: Tensor, ce_w: Tensor, kd_w: Tensor, top: Tensor, top_logp: Tensor, tail: Tensor, chunk: Tensor) -> Tensor:
          views = self.leaves(torch.detach(flat))
          p = annotate(List[Tensor], [])
          for i in range(len(views)):
            _0 = torch.append(p, torch.requires_grad_(torch.detach(views[i]), True))
          h = torch.reshape(self.trunk(p, ids, cos, sin), [-1, $HIDDEN])
          h = torch.index_select(h, 0, rows)
          stats, dh, dw = self.head(torch.detach(h), views[$HEAD], tokens, ce_w, kd_w, top, top_logp, tail, int(chunk), True)
          trained = p[0:$TRUNK_TENSORS]
          upstream = annotate(List[Optional[Tensor]], [])
          _3 = torch.append(upstream, dh)
          found = torch.grad([h], trained, upstream, False, False, False)
          sums = self.leaves(gradients)
          for j in range($TRUNK_TENSORS):
            g = found[j]
            if torch.__isnot__(g, None):
              _1 = torch.add_(sums[j], unchecked_cast(Tensor, g))
          _2 = torch.add_(sums[$HEAD], dw)
          return stats
      """;

  /**
   * A gradient that is not finite changes nothing; the caller sees its norm. The compiler takes a
   * list for the only thing that the fused kernel writes to, and drops the call when the list is
   * not read afterwards: hence the two probes in the result.
   */
  private static final String UPDATE =
      """
        def update(self: __torch__.Kernels, flat: Tensor, gradients: Tensor, first: Tensor, second: Tensor, steps: Tensor, hyper: Tensor) -> Tensor:
          norm = torch.linalg_vector_norm(gradients, dtype=7)
          d = $DECAYED
          e = $FLOATS - d
          matrices = [torch.narrow(flat, 0, 0, d)]
          vectors = [torch.narrow(flat, 0, d, e)]
          if bool(torch.isfinite(norm)):
            limit = torch.div(hyper[5], torch.add(norm, 1e-12))
            _0 = torch.mul_(gradients, torch.to(torch.clamp(limit, None, 1.0), 6))
            _1 = torch.add_(steps, 1)
            rate = float(hyper[0])
            torch._fused_adamw_(matrices, [torch.narrow(gradients, 0, 0, d)], [torch.narrow(first, 0, 0, d)], [torch.narrow(second, 0, 0, d)], annotate(List[Tensor], []), [steps], lr=rate, beta1=float(hyper[1]), beta2=float(hyper[2]), weight_decay=float(hyper[3]), eps=float(hyper[4]), amsgrad=False, maximize=False)
            torch._fused_adamw_(vectors, [torch.narrow(gradients, 0, d, e)], [torch.narrow(first, 0, d, e)], [torch.narrow(second, 0, d, e)], annotate(List[Tensor], []), [steps], lr=rate, beta1=float(hyper[1]), beta2=float(hyper[2]), weight_decay=0.0, eps=float(hyper[4]), amsgrad=False, maximize=False)
          _2 = torch.zero_(gradients)
          probes = [torch.select(matrices[0], 0, 0), torch.select(vectors[0], 0, 0)]
          return torch.cat([torch.reshape(norm, [1]), torch.to(torch.stack(probes), 7)])
      """;

  private KernelSource() {}

  static String of(ModelConfig config, ParameterLayout layout) {
    String window = config.slidingWindow().isPresent() ? ATTEND_WINDOW : ATTEND_ALL;
    String source =
        String.join(
            "\n",
            HEADER,
            leaves(layout),
            ROTATE,
            window,
            LAYER
                .replace("$QK_NORM\n", config.qkNorm() ? QK_NORM : "")
                .replace("$EXPAND\n", config.heads() == config.keyValueHeads() ? "" : EXPAND),
            TRUNK,
            HEAD,
            ACCUMULATE,
            UPDATE);
    return substitute(source, config, layout);
  }

  /** Views of every tensor, in the order of the layout's list. */
  private static String leaves(ParameterLayout layout) {
    StringBuilder source = new StringBuilder();
    source.append(LEAVES);
    for (TensorInfo tensor : layout.tensors()) {
      source.append(
          "    _0 = torch.append(p, torch.view(torch.narrow(flat, 0, %d, %d), %s))\n"
              .formatted(layout.offset(tensor.name()), tensor.elements(), tensor.shape()));
    }
    return source.append("    return p\n").toString();
  }

  private static String substitute(String source, ModelConfig config, ParameterLayout layout) {
    List<String[]> values = new ArrayList<>();
    put(values, "HIDDEN", config.hiddenSize());
    put(values, "EPSILON", config.rmsNormEpsilon());
    put(values, "HEADS", config.heads());
    put(values, "HEAD_SIZE", config.headSize());
    put(values, "KEY_HEADS", config.keyValueHeads());
    put(values, "GROUP", config.heads() / config.keyValueHeads());
    put(values, "QUERY_SIZE", config.heads() * config.headSize());
    put(values, "WINDOW", config.slidingWindow().orElse(0));
    put(values, "LAYERS", config.layers());
    put(values, "FINAL_NORM", layout.index(TensorNames.FINAL_NORM));
    put(values, "HEAD", layout.index(TensorNames.head(config)));
    put(values, "TRUNK_TENSORS", layout.index(TensorNames.FINAL_NORM) + 1);
    put(values, "DECAYED", layout.decayedFloats());
    put(values, "FLOATS", layout.floats());
    int first = layout.index(TensorNames.inputNorm(0));
    put(values, "LAYER_TENSORS", (layout.index(TensorNames.FINAL_NORM) - 1) / config.layers());
    put(values, "INPUT_NORM", 0);
    put(values, "QUERY", layout.index(TensorNames.query(0)) - first);
    put(values, "KEY", layout.index(TensorNames.key(0)) - first);
    put(values, "VALUE", layout.index(TensorNames.value(0)) - first);
    put(values, "OUTPUT", layout.index(TensorNames.output(0)) - first);
    put(values, "POST_NORM", layout.index(TensorNames.postAttentionNorm(0)) - first);
    put(values, "GATE", layout.index(TensorNames.gate(0)) - first);
    put(values, "UP", layout.index(TensorNames.up(0)) - first);
    put(values, "DOWN", layout.index(TensorNames.down(0)) - first);
    boolean bias = config.attentionBias();
    put(values, "QUERY_BIAS", bias ? at(layout, TensorNames.queryBias(0), first) : "None");
    put(values, "KEY_BIAS", bias ? at(layout, TensorNames.keyBias(0), first) : "None");
    put(values, "VALUE_BIAS", bias ? at(layout, TensorNames.valueBias(0), first) : "None");
    if (config.qkNorm()) {
      put(values, "QUERY_NORM", layout.index(TensorNames.queryNorm(0)) - first);
      put(values, "KEY_NORM", layout.index(TensorNames.keyNorm(0)) - first);
    }
    // Longest names first, since some begin with others.
    values.sort((a, b) -> b[0].length() - a[0].length());
    String result = source;
    for (String[] value : values) {
      result = result.replace("$" + value[0], value[1]);
    }
    return result;
  }

  private static String at(ParameterLayout layout, String name, int first) {
    return "p[" + (layout.index(name) - first) + "]";
  }

  private static void put(List<String[]> values, String name, Object value) {
    values.add(new String[] {name, value.toString()});
  }
}
