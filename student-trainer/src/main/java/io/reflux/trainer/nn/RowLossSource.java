package io.reflux.trainer.nn;

/**
 * The TorchScript from a chunk of logits to the losses of its rows, and in the logits' place the
 * gradient; the mathematics is {@link HeadSource}'s.
 */
final class RowLossSource {
  private static final String DIVERGENCES =
      """
        def divergences(self: __torch__.Kernels, lpf: Tensor, lpb: Tensor, lq: Tensor, terms: Tensor, first: int, last: int) -> Tuple[Tensor, Tensor, Tensor]:
          p = torch.exp(lpf)
          kl = torch.sum(torch.mul(p, torch.sub(lpf, lq)), [1], True)
          value = torch.zeros_like(kl)
          g = torch.zeros_like(lq)
          q = torch.exp(lq)
          for t in range(first, last):
            term = torch.select(terms, 0, t)
            kind = int(term[0])
            weight = float(term[1])
            alpha = float(term[2])
            if kind == $FORWARD:
              _0 = torch.add_(value, kl, alpha=weight)
              _1 = torch.sub_(g, p, alpha=weight)
            if kind == $REVERSE:
              v = torch.mul(q, torch.sub(lq, lpb))
              _2 = torch.add_(value, torch.sum(v, [1], True), alpha=weight)
              _3 = torch.add_(g, v, alpha=weight)
            if kind == $JSD:
              m = torch.logaddexp(torch.add(lpb, float(term[3])), torch.add(lq, float(term[4])))
              v = torch.mul(q, torch.sub(lq, m))
              u = torch.mul(torch.exp(lpb), torch.sub(lpb, m))
              _4 = torch.add_(value, torch.sum(u, [1], True), alpha=weight * alpha)
              _5 = torch.add_(value, torch.sum(v, [1], True), alpha=weight * (1. - alpha))
              _6 = torch.add_(g, v, alpha=weight * (1. - alpha))
            if kind == $SKEWED:
              other = torch.add(lq, float(term[4]))
              m = torch.logaddexp(torch.add(lpb, float(term[3])), other)
              u = torch.mul(torch.exp(lpb), torch.sub(lpb, m))
              _7 = torch.add_(value, torch.sum(u, [1], True), alpha=weight)
              _8 = torch.sub_(g, torch.exp(torch.sub(torch.add(lpb, other), m)), alpha=weight)
            if kind == $SKEWED_REVERSE:
              own = torch.add(lq, float(term[3]))
              m = torch.logaddexp(own, torch.add(lpb, float(term[4])))
              v = torch.mul(q, torch.sub(lq, m))
              _9 = torch.add_(value, torch.sum(v, [1], True), alpha=weight)
              _10 = torch.add_(g, torch.sub(v, torch.exp(torch.sub(torch.add(lq, own), m))), alpha=weight)
          return (value, g, kl)
      """;

  /**
   * Weights of a block of rows: [rows, 1] of CE and KD after importance weights, the ratio, and the
   * advantage of the standing token times its weight.
   */
  private static final String WEIGHTS =
      """
        def weights(self: __torch__.Kernels, f: Tensor, log_y: Tensor, log_then: Tensor, drawn_at: float, sampled: float) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
          cw = torch.narrow(f, 1, $CE_WEIGHT, 1)
          kw = torch.narrow(f, 1, $KD_WEIGHT, 1)
          ratio = torch.ones_like(cw)
          if drawn_at > 0.:
            ratio = torch.exp(torch.sub(log_then, torch.narrow(f, 1, $BEHAVIOUR, 1)))
            factor = torch.minimum(ratio, torch.narrow(f, 1, $CLIP, 1))
            cw = torch.mul(cw, factor)
            kw = torch.mul(kw, factor)
          advantage = torch.zeros_like(cw)
          if sampled > 0.:
            advantage = torch.mul(torch.sub(torch.narrow(f, 1, $TOKEN_LOGPROB, 1), log_y), sampled)
          return (cw, kw, ratio, advantage)
      """;

  /** log-sum-exp of a block at a temperature, where only that is wanted. */
  private static final String LSE_AT =
      """
        def lse_at(self: __torch__.Kernels, z: Tensor, block: int, temperature: float) -> Tensor:
          rows = z.size(0)
          lse = torch.empty([rows, 1], dtype=6, device=z.device)
          at = 0
          while at < rows:
            some = min(block, rows - at)
            b = torch.div(torch.narrow(z, 0, at, some), temperature)
            _0 = torch.copy_(torch.narrow(lse, 0, at, some), torch.logsumexp(b, [1], True))
            at = at + some
          return lse
      """;

  /**
   * A chunk against named ids and a tail, or against no teacher. The logits z become x + a; what it
   * returns is the rows' results and s.
   */
  private static final String NAMED =
      """
        def exps(self: __torch__.Kernels, z: Tensor, block: int, scratch: Tensor, entropy: bool) -> Tuple[Tensor, Tensor, Tensor]:
          rows = z.size(0)
          top = torch.empty([rows, 1], dtype=6, device=z.device)
          total = torch.empty([rows, 1], dtype=6, device=z.device)
          dot = torch.zeros([rows, 1], dtype=6, device=z.device)
          at = 0
          while at < rows:
            some = min(block, rows - at)
            b = torch.narrow(z, 0, at, some)
            m = torch.amax(b, [1], True)
            _0 = torch.sub_(b, m)
            if entropy:
              x = torch.narrow(scratch, 0, 0, some)
              _1 = torch.exp(b, out=x)
              _2 = torch.mul_(b, x)
              _3 = torch.copy_(torch.narrow(dot, 0, at, some), torch.sum(b, [1], True))
              _4 = torch.copy_(b, x)
            else:
              _5 = torch.exp_(b)
            _6 = torch.copy_(torch.narrow(top, 0, at, some), m)
            _7 = torch.copy_(torch.narrow(total, 0, at, some), torch.sum(b, [1], True))
            at = at + some
          return (top, total, dot)

        def named(self: __torch__.Kernels, z: Tensor, own: Tensor, scratch: Tensor, token: Tensor, f: Tensor, ids: Tensor, logp: Tensor, terms: Tensor, first: int, last: int, block: int, has_ce: bool, backward: bool) -> Tuple[Tensor, Tensor]:
          k = ids.size(1)
          about = torch.select(terms, 0, first)
          temperature = float(about[0])
          drawn_at = float(about[1])
          sampled = float(about[2])
          zy = torch.gather(z, 1, token)
          zk = torch.gather(z, 1, ids)
          lse_then = zy
          if drawn_at > 0. and drawn_at != 1. and drawn_at != temperature:
            lse_then = self.lse_at(z, block, drawn_at)
          is_named = torch.gt(logp, -inf)
          _0 = torch.scatter_(z, 1, ids, -1.0e+30)
          zk = torch.where(is_named, zk, -1.0e+30)
          hot = temperature != 1.
          if hot:
            _1 = torch.copy_(own, z)
            top, total, dot = self.exps(own, block, scratch, True)
          else:
            top, total, dot = self.exps(z, block, scratch, True)
          rest = torch.add(top, torch.log(total))
          best = top
          lse = rest
          if k > 0:
            best = torch.maximum(top, torch.amax(zk, [1], True))
            lse = torch.logaddexp(rest, torch.logsumexp(zk, [1], True))
          tail_mass = torch.exp(torch.sub(rest, lse))
          q = torch.exp(torch.sub(zk, lse))
          mean_z = torch.add(torch.mul(tail_mass, torch.add(top, torch.div(dot, total))), torch.sum(torch.mul(q, zk), [1], True))
          entropy = torch.sub(lse, mean_z)
          log_y = torch.sub(zy, lse)
          ce = torch.neg(log_y)
          correct = torch.ge(zy, best)
          agrees = torch.zeros_like(correct)
          if k > 0:
            agrees = torch.ge(torch.narrow(zk, 1, 0, 1), best)

          plain_mass = tail_mass
          plain_total = total
          plain_q = q
          log_then = log_y
          if hot:
            _2 = torch.div_(z, temperature)
            top, total, dot = self.exps(z, block, scratch, False)
            zk = torch.div(zk, temperature)
            zy = torch.div(zy, temperature)
            rest = torch.add(top, torch.log(total))
            lse = rest
            if k > 0:
              lse = torch.logaddexp(rest, torch.logsumexp(zk, [1], True))
            tail_mass = torch.exp(torch.sub(rest, lse))
            q = torch.exp(torch.sub(zk, lse))
            log_y = torch.sub(zy, lse)
            if drawn_at == temperature:
              log_then = log_y
          if drawn_at > 0. and drawn_at != 1. and drawn_at != temperature:
            log_then = torch.sub(torch.div(torch.mul(zy, temperature), drawn_at), lse_then)
          cw, kw, ratio, advantage = self.weights(f, log_y, log_then, drawn_at, sampled)

          value = torch.zeros_like(ce)
          kl = torch.zeros_like(ce)
          g = torch.zeros_like(q)
          gt = torch.zeros_like(ce)
          g_sum = torch.zeros_like(ce)
          if k > 0:
            has_rest = torch.gt(rest, -1.0e+20)
            tail = torch.narrow(f, 1, $TAIL, 1)
            both = torch.logical_and(has_rest, torch.gt(tail, -inf))
            lqk = torch.where(is_named, torch.sub(zk, lse), -10000.)
            lpk = torch.where(is_named, torch.clamp_min(torch.add(logp, torch.narrow(f, 1, $SHIFT, 1)), $LEAST_LOGPROB), -10000.)
            lq = torch.cat([lqk, torch.where(has_rest, torch.sub(rest, lse), -10000.)], 1)
            lpf = torch.cat([torch.clamp_min(logp, -10000.), torch.where(both, tail, -10000.)], 1)
            lpb = torch.cat([lpk, torch.where(has_rest, torch.narrow(f, 1, $BOUNDED_TAIL, 1), -10000.)], 1)
            value, gb, kl = self.divergences(lpf, lpb, lq, terms, first + 1, last)
            g = torch.narrow(gb, 1, 0, k)
            gt = torch.narrow(gb, 1, k, 1)
            g_sum = torch.sum(gb, [1], True)
          value = torch.sub(value, advantage)
          stats = torch.cat([ce, torch.neg(log_y), value, kl, entropy, ratio, torch.to(correct, 6), torch.to(agrees, 6)], 1)

          s = torch.ones_like(ce)
          if backward:
            kt = torch.div(kw, temperature)
            over = torch.mul(kt, torch.sub(advantage, g_sum))
            s = torch.add(torch.mul(tail_mass, over), torch.mul(kt, gt))
            at_named = torch.add(torch.mul(q, over), torch.mul(kt, g))
            if hot:
              s = torch.div(s, total)
              at_named = torch.add(at_named, torch.mul(plain_q, cw))
            else:
              s = torch.div(torch.add(s, torch.mul(tail_mass, cw)), total)
              at_named = torch.add(at_named, torch.mul(q, cw))
            least = torch.mul(torch.add(cw, kw), $LEAST_SCALE)
            s = torch.where(torch.lt(torch.abs(s), least), least, s)
            if hot and has_ce:
              share = torch.div(torch.mul(torch.div(plain_mass, plain_total), cw), s)
              _3 = torch.addcmul_(z, own, share)
            at_token = torch.neg(torch.add(cw, torch.mul(kt, advantage)))
            is_token = torch.logical_and(is_named, torch.eq(ids, token))
            at_named = torch.add(at_named, torch.mul(torch.to(is_token, 6), at_token))
            at_named = torch.where(is_named, at_named, 0.)
            at_token = torch.where(torch.any(is_token, 1, True), 0., at_token)
            a = torch.div(torch.cat([at_named, at_token], 1), s)
            _4 = torch.scatter_add_(z, 1, torch.cat([ids, token], 1), a)
          return (stats, s)
      """;

  /** A chunk against whole distributions. The logits become the gradient. */
  private static final String DENSE =
      """
        def dense_rows(self: __torch__.Kernels, z: Tensor, token: Tensor, f: Tensor, logp: Tensor, terms: Tensor, first: int, last: int, backward: bool) -> Tensor:
          about = torch.select(terms, 0, first)
          temperature = float(about[0])
          drawn_at = float(about[1])
          sampled = float(about[2])
          zy = torch.gather(z, 1, token)
          best = torch.amax(z, [1], True)
          correct = torch.ge(zy, best)
          agrees = torch.ge(torch.gather(z, 1, torch.argmax(logp, 1, True)), best)
          lq = torch.log_softmax(z, 1)
          q = torch.exp(lq)
          entropy = torch.neg(torch.sum(torch.mul(q, lq), [1], True))
          log_y = torch.gather(lq, 1, token)
          ce = torch.neg(log_y)
          log_then = log_y
          qt = q
          if temperature != 1.:
            lq = torch.log_softmax(torch.div(z, temperature), 1)
            qt = torch.exp(lq)
            log_y = torch.gather(lq, 1, token)
          if drawn_at == temperature:
            log_then = log_y
          elif drawn_at > 0. and drawn_at != 1.:
            log_then = torch.gather(torch.log_softmax(torch.div(z, drawn_at), 1), 1, token)
          cw, kw, ratio, advantage = self.weights(f, log_y, log_then, drawn_at, sampled)
          lpf = torch.clamp_min(logp, -10000.)
          lpb = torch.clamp_min(logp, $LEAST_LOGPROB)
          value, g, kl = self.divergences(lpf, lpb, lq, terms, first + 1, last)
          if backward:
            kt = torch.div(kw, temperature)
            over = torch.mul(kt, torch.sub(advantage, torch.sum(g, [1], True)))
            _0 = torch.mul_(g, kt)
            _1 = torch.addcmul_(g, qt, over)
            _2 = torch.addcmul_(g, q, cw)
            at_token = torch.neg(torch.add(cw, torch.mul(kt, advantage)))
            _3 = torch.copy_(z, torch.scatter_add_(g, 1, token, at_token))
          return torch.cat([ce, torch.neg(log_y), torch.sub(value, advantage), kl, entropy, ratio, torch.to(correct, 6), torch.to(agrees, 6)], 1)

        def whole(self: __torch__.Kernels, z: Tensor, token: Tensor, f: Tensor, logp: Tensor, terms: Tensor, first: int, last: int, block: int, backward: bool) -> Tuple[Tensor, Tensor]:
          rows = z.size(0)
          stats = annotate(List[Tensor], [])
          at = 0
          while at < rows:
            some = min(block, rows - at)
            _0 = torch.append(stats, self.dense_rows(torch.narrow(z, 0, at, some), torch.narrow(token, 0, at, some), torch.narrow(f, 0, at, some), torch.narrow(logp, 0, at, some), terms, first, last, backward))
            at = at + some
          return (torch.cat(stats), torch.ones([rows, 1], dtype=6, device=z.device))
      """;

  private RowLossSource() {}

  /** The methods, with {@link HeadSource}'s names of columns in them. */
  static String of() {
    return String.join("\n", DIVERGENCES, WEIGHTS, LSE_AT, NAMED, DENSE);
  }
}
