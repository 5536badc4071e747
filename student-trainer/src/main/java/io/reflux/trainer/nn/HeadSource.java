package io.reflux.trainer.nn;

import java.util.List;
import java.util.stream.Collectors;

/** The TorchScript from last hidden states to losses, and the way back. */
final class HeadSource {
  /** Tensors that describe the rows; {@link RowTargets#tensors} makes them in this order. */
  private static final List<String> INPUTS =
      List.of("tokens", "ce_w", "kd_w", "top", "top_logp", "tail", "chunk_rows");

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
        def head(self: __torch__.Kernels, h: Tensor, w: Tensor, dw: Tensor, $ROW_SIGNATURE, backward: bool) -> Tuple[Tensor, Tensor]:
          n = h.size(0)
          k = top.size(1)
          chunk = int(chunk_rows)
          stats = torch.zeros([6], dtype=7)
          dh = torch.empty_like(h)
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
              _0 = torch.addmm_(dw, torch.t(g), hc)
            start = start + rows
          return (stats, dh)
      """;

  private HeadSource() {}

  static String of() {
    return HEAD.replace("$ROW_SIGNATURE", signature());
  }

  /** The inputs as parameters of a method. */
  static String signature() {
    return INPUTS.stream().map(name -> name + ": Tensor").collect(Collectors.joining(", "));
  }

  /** The inputs as arguments of a call. */
  static String arguments() {
    return String.join(", ", INPUTS);
  }
}
