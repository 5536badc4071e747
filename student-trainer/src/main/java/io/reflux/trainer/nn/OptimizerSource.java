package io.reflux.trainer.nn;

/** The TorchScript of the optimizer. */
final class OptimizerSource {
  /**
   * A gradient that is not finite changes nothing; the caller sees its norm. The compiler takes a
   * list for the only thing that the fused kernel writes to, and drops the call when the list is
   * not read afterwards: hence the two probes in the result.
   */
  private static final String UPDATE =
      """
        def norm(self: __torch__.Kernels, gradients: Tensor) -> Tensor:
          return torch.reshape(torch.linalg_vector_norm(gradients, dtype=7), [1])

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

  private OptimizerSource() {}

  static String of() {
    return UPDATE;
  }
}
