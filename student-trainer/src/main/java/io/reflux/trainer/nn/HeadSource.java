package io.reflux.trainer.nn;

import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The TorchScript from last hidden states to losses, and the way back: head and loss a chunk of
 * rows at a time, with the gradient written out, so that never more than a chunk of logits exists.
 *
 * <p>The distributions are compared over buckets b: the named ids, and a tail of all others; or all
 * ids. With q the student's softmax at temperature T, and g_b = ∂D/∂log q_b,
 *
 * <pre>
 * dD/dz_v = (1/T) (−q_v Σ g_b + [v named] g_v + [v in the tail] g_t q_v / Q_t)
 * dCE/dz_v = q_v − [v = token]
 * </pre>
 *
 * <p>The student's tail Q_t is a sum over the unnamed logits, never 1 − Σq: the named logits are
 * taken out of the chunk, and x_v = exp(z_v − max z) of the others sums to S, with Q_t = S·exp(max
 * z − lse). In the tail both terms are multiples of x_v, so that a row of the gradient is s·(x + a)
 * with a scalar s and few elements a; s is left to the small matrices on either side of the chunk,
 * and nothing is ever divided by Q_t.
 */
final class HeadSource {
  /** Tensors that describe the rows; {@link RowTargets#tensors} makes them in this order. */
  private static final List<String> INPUTS =
      List.of("tokens", "facts", "named_ids", "named_logp", "dense", "plan", "terms");

  /** The least likely that a bucket of the teacher counts as, for all but forward KL. */
  static final double LEAST_LOGPROB = -30;

  /**
   * Smallest s, as a share of the row's weight: far below what float32 can tell beside the
   * gradient's other elements, far above where a/s would overflow.
   */
  private static final double LEAST_SCALE = 1e-12;

  /** Columns of {@code facts}, [rows, FACTS] float32. */
  static final int CE_WEIGHT = 0;

  static final int KD_WEIGHT = 1;
  static final int BEHAVIOUR = 2;
  static final int CLIP = 3;
  static final int TOKEN_LOGPROB = 4;

  /** Of the teacher, for forward KL; negative infinity for none. */
  static final int TAIL = 5;

  /** Of the teacher, for all else; finite. */
  static final int BOUNDED_TAIL = 6;

  /** Added to the named log-probs for all but forward KL. */
  static final int SHIFT = 7;

  static final int FACTS = 8;

  /** Columns of {@code plan}, [chunks, PLAN] int64. */
  static final int FIRST_ROW = 0;

  static final int ROWS = 1;

  /** Rows that go through the elementwise passes together: as many as stay in the cache. */
  static final int BLOCK_ROWS = 2;

  /** Ids a row. */
  static final int K = 3;

  static final int FIRST_ID = 4;

  /** Row in {@code dense}; -1 for none. */
  static final int FIRST_DENSE = 5;

  static final int FIRST_TERM = 6;
  static final int LAST_TERM = 7;

  /** 1 if cross-entropy has a weight in some row. */
  static final int HAS_CE = 8;

  /** 1 if T is not 1. */
  static final int HOT = 9;

  /** {@link #ROWS}, {@link Rounded} up: what the gradient's bfloat16 products are taken of. */
  static final int PADDED_ROWS = 10;

  static final int PLAN = 11;

  /**
   * Columns of {@code terms}, float64: kind, weight, β or α, and the logs of it and of 1 less it.
   * The terms of a chunk follow a line of T, the behaviour's temperature or 0, and the weight of
   * the sampled reverse KL.
   */
  static final int TERM_COLUMNS = 5;

  static final int FORWARD = 0;
  static final int REVERSE = 1;
  static final int JSD = 2;
  static final int SKEWED = 3;
  static final int SKEWED_REVERSE = 4;

  /** Columns of the result, [rows, RESULTS] float32. */
  static final int CROSS_ENTROPY = 0;

  /** -log q(token) at T. */
  static final int TOKEN_LOSS = 1;

  /** Σ weight·D. */
  static final int DIVERGENCE = 2;

  static final int FORWARD_KL = 3;
  static final int ENTROPY = 4;

  /** Importance weight before truncation. */
  static final int RATIO = 5;

  static final int CORRECT = 6;
  static final int AGREES = 7;
  static final int RESULTS = 8;

  /**
   * Returns what became of each row, and the gradient of h; that of w is added to dw, unless w is
   * frozen and dw empty. All of it is float32, but for the factors of the gradient's products where
   * those are bfloat16.
   */
  private static final String HEAD =
      """
        def head(self: __torch__.Kernels, h: Tensor, w: Tensor, dw: Tensor, $ROW_SIGNATURE, backward: bool) -> Tuple[Tensor, Tensor]:
          vocabulary = w.size(0)
          trained = torch.gt(dw.size(0), 0)
          steps = torch.cpu(plan)
          lines = torch.cpu(terms)
          most = int(torch.max(torch.select(steps, 1, $ROWS)))
          block_rows = int(torch.max(torch.select(steps, 1, $BLOCK_ROWS)))
          hot_rows = int(torch.max(torch.mul(torch.select(steps, 1, $ROWS), torch.select(steps, 1, $HOT))))
          logits = torch.empty([most, vocabulary], dtype=6, device=h.device)
          others = torch.empty([hot_rows, vocabulary], dtype=6, device=h.device)
          scratch = torch.empty([block_rows, vocabulary], dtype=6, device=h.device)
          dh = torch.empty_like(h)
          wt = torch.t(w)
      $BUFFERS
          results = annotate(List[Tensor], [])
          for i in range(steps.size(0)):
            step = torch.select(steps, 0, i)
            start = int(step[$FIRST_ROW])
            rows = int(step[$ROWS])
            block = int(step[$BLOCK_ROWS])
            first = int(step[$FIRST_TERM])
            last = int(step[$LAST_TERM])
            hc = torch.narrow(h, 0, start, rows)
            token = torch.unsqueeze(torch.narrow(tokens, 0, start, rows), 1)
            f = torch.narrow(facts, 0, start, rows)
            z = torch.narrow(logits, 0, 0, rows)
            _0 = torch.mm(hc, wt, out=z)
            if int(step[$FIRST_DENSE]) >= 0:
              logp_rows = torch.narrow(dense, 0, int(step[$FIRST_DENSE]), rows)
              stats, s = self.whole(z, token, f, logp_rows, lines, first, last, block, backward)
            else:
              k = int(step[$K])
              chosen = torch.view(torch.narrow(named_ids, 0, int(step[$FIRST_ID]), rows * k), [rows, k])
              logp_k = torch.view(torch.narrow(named_logp, 0, int(step[$FIRST_ID]), rows * k), [rows, k])
              own = torch.narrow(others, 0, 0, rows * int(step[$HOT]))
              stats, s = self.named(z, own, scratch, token, f, chosen, logp_k, lines, first, last, block, int(step[$HAS_CE]) == 1, backward)
            _2 = torch.append(results, stats)
            if backward:
              dhc = torch.narrow(dh, 0, start, rows)
      $PRODUCTS
              _1 = torch.mul_(dhc, s)
          return (torch.cat(results), dh)
      """;

  private static final String WIDE_PRODUCTS =
      """
              _3 = torch.mm(z, w, out=dhc)
              if trained:
                _4 = torch.addmm_(dw, torch.t(z), torch.mul(hc, s))
      """;

  /**
   * Used over and over, since memory that comes anew costs more than the products. Rows that are
   * there for a known shape are zero, and so is what they come to.
   */
  private static final String HALF_BUFFERS =
      """
          half_w = torch.to(torch.narrow(w, 0, 0, vocabulary * int(backward)), 15)
          padded_most = int(torch.max(torch.select(steps, 1, $PADDED_ROWS)))
          half_z = torch.empty([padded_most * int(backward), vocabulary], dtype=15, device=h.device)
          half_h = torch.empty([padded_most, h.size(1)], dtype=15, device=h.device)
          half_dw = torch.empty([vocabulary * int(backward and trained), h.size(1)], dtype=15, device=h.device)
      """;

  private static final String HALF_PRODUCTS =
      """
              padded = int(step[$PADDED_ROWS])
              g = torch.narrow(half_z, 0, 0, padded)
              down = torch.narrow(half_h, 0, 0, padded)
              real = torch.narrow(half_h, 0, 0, rows)
              _3 = torch.copy_(torch.narrow(half_z, 0, 0, rows), z)
              _9 = torch.zero_(torch.narrow(half_z, 0, rows, padded - rows))
              _4 = torch.mm(g, half_w, out=down)
              _5 = torch.copy_(dhc, real)
              if trained:
                _6 = torch.copy_(real, torch.mul(hc, s))
                _7 = torch.mm(torch.t(g), down, out=half_dw)
                _8 = torch.add_(dw, half_dw)
      """;

  private HeadSource() {}

  /**
   * The methods.
   *
   * @param precision F32 or BF16: of the gradient's two products, which are then added up in
   *     float32. Logits are float32 products always, since bfloat16 would round them by up to 0.06
   *     at 16, and with them every figure that is reported
   */
  static String of(Precision precision) {
    boolean half = precision == Precision.BF16;
    String source = String.join("\n", RowLossSource.of(), HEAD);
    Map<String, Number> constants = new TreeMap<>(Comparator.reverseOrder());
    constants.put("CE_WEIGHT", CE_WEIGHT);
    constants.put("KD_WEIGHT", KD_WEIGHT);
    constants.put("BEHAVIOUR", BEHAVIOUR);
    constants.put("CLIP", CLIP);
    constants.put("TOKEN_LOGPROB", TOKEN_LOGPROB);
    constants.put("TAIL", TAIL);
    constants.put("BOUNDED_TAIL", BOUNDED_TAIL);
    constants.put("SHIFT", SHIFT);
    constants.put("FIRST_ROW", FIRST_ROW);
    constants.put("ROWS", ROWS);
    constants.put("BLOCK_ROWS", BLOCK_ROWS);
    constants.put("PADDED_ROWS", PADDED_ROWS);
    constants.put("K", K);
    constants.put("FIRST_ID", FIRST_ID);
    constants.put("FIRST_DENSE", FIRST_DENSE);
    constants.put("FIRST_TERM", FIRST_TERM);
    constants.put("LAST_TERM", LAST_TERM);
    constants.put("HAS_CE", HAS_CE);
    constants.put("HOT", HOT);
    constants.put("FORWARD", FORWARD);
    constants.put("REVERSE", REVERSE);
    constants.put("JSD", JSD);
    constants.put("SKEWED", SKEWED);
    constants.put("SKEWED_REVERSE", SKEWED_REVERSE);
    constants.put("LEAST_LOGPROB", LEAST_LOGPROB);
    constants.put("LEAST_SCALE", LEAST_SCALE);
    source =
        source
            .replace("$BUFFERS\n", half ? HALF_BUFFERS : "")
            .replace("$PRODUCTS\n", half ? HALF_PRODUCTS : WIDE_PRODUCTS)
            .replace("$ROW_SIGNATURE", signature());
    // Longest names first, since some begin with others.
    for (Map.Entry<String, Number> constant : constants.entrySet()) {
      source = source.replace("$" + constant.getKey(), constant.getValue().toString());
    }
    return source;
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
