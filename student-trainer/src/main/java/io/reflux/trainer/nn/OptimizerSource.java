package io.reflux.trainer.nn;

/**
 * The TorchScript of the optimizers. Parameters, gradients and states are flat; a call deals with
 * one slice of them. {@code where} is [start in the flat tensors, start in the states, length], and
 * states may lie on another device than the parameters.
 */
final class OptimizerSource {
  /** In blocks, because the sum in double precision makes a copy in double precision. */
  private static final String NORM =
      """
        def norm(self: __torch__.Kernels, gradients: Tensor) -> Tensor:
          total = torch.zeros([1], dtype=7)
          n = gradients.size(0)
          start = 0
          while start < n:
            length = min($NORM_BLOCK, n - start)
            part = torch.linalg_vector_norm(torch.narrow(gradients, 0, start, length), dtype=7)
            total = torch.add(total, torch.to(torch.mul(part, part), total))
            start = start + length
          return torch.sqrt(total)
      """;

  private static final String MOVES =
      """
        def part(self: __torch__.Kernels, flat: Tensor, where: Tensor) -> Tensor:
          return torch.narrow(flat, 0, int(where[0]), int(where[1]))

        def assign(self: __torch__.Kernels, flat: Tensor, values: Tensor, where: Tensor) -> Tensor:
          return torch.copy_(torch.narrow(flat, 0, int(where[0]), int(where[1])), values)

        def clear(self: __torch__.Kernels, flat: Tensor) -> Tensor:
          return torch.zero_(flat)

        def gather(self: __torch__.Kernels, flat: Tensor, other: Tensor, where: Tensor) -> Tensor:
          part = torch.narrow(flat, 0, int(where[0]), int(where[1]))
          return torch.add_(part, torch.to(torch.narrow(other, 0, int(where[0]), int(where[1])), flat))

        def copy(self: __torch__.Kernels, flat: Tensor, other: Tensor) -> Tensor:
          return torch.copy_(flat, other)
      """;

  /**
   * AdamW. {@code hyper} is [rate, beta1, beta2, decay, epsilon, gradient scale, steps with this
   * one]. The compiler takes a list for the only thing that the fused kernel writes to, and drops
   * the call when the list is not read afterwards: hence the copies from its lists and the probe.
   */
  private static final String ADAMW =
      """
        def update(self: __torch__.Kernels, flat: Tensor, gradients: Tensor, first: Tensor, second: Tensor, where: Tensor, hyper: Tensor) -> Tensor:
          start = int(where[0])
          at = int(where[1])
          n = int(where[2])
          weights = [torch.narrow(flat, 0, start, n)]
          g = torch.narrow(gradients, 0, start, n)
          _0 = torch.mul_(g, torch.to(hyper[5], 6))
          m_home = torch.narrow(first, 0, at, n)
          v_home = torch.narrow(second, 0, at, n)
          m = [torch.to(m_home, g)]
          v = [torch.to(v_home, g)]
          torch._fused_adamw_(weights, [g], m, v, annotate(List[Tensor], []), [torch.to(hyper[6], g)], lr=float(hyper[0]), beta1=float(hyper[1]), beta2=float(hyper[2]), weight_decay=float(hyper[3]), eps=float(hyper[4]), amsgrad=False, maximize=False)
          _1 = torch.copy_(m_home, m[0])
          _2 = torch.copy_(v_home, v[0])
          _3 = torch.zero_(g)
          return torch.narrow(weights[0], 0, 0, 1)
      """;

  /**
   * Schedule-free AdamW. {@code hyper} is [rate, beta2, decay, epsilon, gradient scale, bias
   * correction of the second moment, c, rate·(beta·(1 − c) − 1)]. Moving x by c and z by a step
   * moves y, which is what {@code flat} holds, to
   *
   * <pre>
   * y ← (1 − c)·y + c·z + rate·(beta·(1 − c) − 1)·u
   * </pre>
   *
   * <p>Every operation is rounded on its own, so that neither slices nor threads tell; blocks keep
   * what lies between them in the cache.
   */
  private static final String SCHEDULE_FREE =
      """
        def update(self: __torch__.Kernels, flat: Tensor, gradients: Tensor, first: Tensor, second: Tensor, where: Tensor, hyper: Tensor) -> Tensor:
          start = int(where[0])
          at = int(where[1])
          left = int(where[2])
          rate = float(hyper[0])
          beta2 = float(hyper[1])
          decay = float(hyper[2])
          epsilon = float(hyper[3])
          scale = torch.to(hyper[4], 6)
          correction = float(hyper[5])
          c = float(hyper[6])
          y_rate = float(hyper[7])
          while left > 0:
            n = min($STEP_BLOCK, left)
            y = torch.narrow(flat, 0, start, n)
            g = torch.narrow(gradients, 0, start, n)
            z_home = torch.narrow(first, 0, at, n)
            v_home = torch.narrow(second, 0, at, n)
            z = torch.to(z_home, g)
            v = torch.to(v_home, g)
            u = torch.mul(g, scale)
            square = torch.mul(u, u)
            square = torch.mul_(square, 1.0 - beta2)
            v = torch.add_(torch.mul_(v, beta2), square)
            root = torch.add_(torch.sqrt_(torch.div(v, correction)), epsilon)
            u = torch.div_(u, root)
            u = torch.add_(u, torch.mul(y, decay))
            y = torch.mul_(y, 1.0 - c)
            y = torch.add_(y, torch.mul(z, c))
            y = torch.add_(y, torch.mul(u, y_rate))
            z = torch.sub_(z, torch.mul(u, rate))
            _0 = torch.copy_(z_home, z)
            _1 = torch.copy_(v_home, v)
            _2 = torch.zero_(g)
            start = start + n
            at = at + n
            left = left - n
          return torch.narrow(flat, 0, 0, 1)

        def average(self: __torch__.Kernels, into: Tensor, flat: Tensor, first: Tensor, where: Tensor, hyper: Tensor) -> Tensor:
          start = int(where[0])
          at = int(where[1])
          left = int(where[2])
          while left > 0:
            n = min($STEP_BLOCK, left)
            y = torch.narrow(flat, 0, start, n)
            z = torch.to(torch.narrow(first, 0, at, n), y)
            ahead = torch.mul_(torch.sub(y, z), float(hyper[0]))
            _0 = torch.copy_(torch.narrow(into, 0, start, n), torch.add_(ahead, y))
            start = start + n
            at = at + n
            left = left - n
          return torch.narrow(into, 0, 0, 1)
      """;

  /** A megabyte or two of each tensor is what a processor's cache holds. */
  private static final int PROCESSOR_STEP_BLOCK = 1 << 16;

  private static final int GPU_STEP_BLOCK = 1 << 22;
  private static final int NORM_BLOCK = 1 << 20;

  private OptimizerSource() {}

  static String of(Optimizer optimizer, boolean gpu) {
    String update = optimizer instanceof AdamW ? ADAMW : SCHEDULE_FREE;
    return String.join("\n", NORM, MOVES, update)
        .replace("$NORM_BLOCK", Integer.toString(NORM_BLOCK))
        .replace("$STEP_BLOCK", Integer.toString(gpu ? GPU_STEP_BLOCK : PROCESSOR_STEP_BLOCK));
  }
}
