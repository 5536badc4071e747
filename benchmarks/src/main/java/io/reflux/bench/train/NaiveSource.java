package io.reflux.bench.train;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/**
 * The TorchScript of an ordinary trainer: padded batches, logits of every position at once, a loss
 * out of {@code log_softmax} and {@code gather}, autograd through everything, and the fused AdamW
 * that PyTorch has. Nothing in it is slower than it has to be: gradients live until the update and
 * no longer, one {@code log_softmax} serves both parts of the loss, and logits are freed as soon as
 * nobody needs them. The probe is there because the compiler drops what writes to a list that is
 * not read afterwards.
 */
final class NaiveSource {
  private static final String SOURCE =
      """
      class Kernels(Module):
        __parameters__ = []
        __buffers__ = []
        training : bool

        def views(self: __torch__.Kernels, flat: Tensor) -> List[Tensor]:
          p = annotate(List[Tensor], [])
      $VIEWS
          return p

        def rotate(self: __torch__.Kernels, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
          halves = torch.chunk(x, 2, -1)
          turned = torch.cat([torch.neg(halves[1]), halves[0]], -1)
          return torch.add(torch.mul(x, cos), torch.mul(turned, sin))

        def layer(self: __torch__.Kernels, x: Tensor, p: List[Tensor], cos: Tensor, sin: Tensor) -> Tensor:
          b = x.size(0)
          t = x.size(1)
          h = torch.rms_norm(x, [$HIDDEN], p[$INPUT_NORM], $EPSILON)
          q = torch.transpose(torch.view(torch.linear(h, p[$QUERY]), [b, t, $HEADS, $HEAD_SIZE]), 1, 2)
          k = torch.transpose(torch.view(torch.linear(h, p[$KEY]), [b, t, $KEY_HEADS, $HEAD_SIZE]), 1, 2)
          v = torch.transpose(torch.view(torch.linear(h, p[$VALUE]), [b, t, $KEY_HEADS, $HEAD_SIZE]), 1, 2)
          q = self.rotate(q, cos, sin)
          k = self.rotate(k, cos, sin)
          k = torch.reshape(torch.expand(torch.unsqueeze(k, 2), [b, $KEY_HEADS, $GROUP, t, $HEAD_SIZE]), [b, $HEADS, t, $HEAD_SIZE])
          v = torch.reshape(torch.expand(torch.unsqueeze(v, 2), [b, $KEY_HEADS, $GROUP, t, $HEAD_SIZE]), [b, $HEADS, t, $HEAD_SIZE])
          a = torch.transpose(torch.scaled_dot_product_attention(q, k, v, None, 0.0, True), 1, 2)
          x = torch.add(x, torch.linear(torch.reshape(a, [b, t, $QUERY_SIZE]), p[$OUTPUT]))
          h = torch.rms_norm(x, [$HIDDEN], p[$POST_NORM], $EPSILON)
          m = torch.mul(torch.silu(torch.linear(h, p[$GATE])), torch.linear(h, p[$UP]))
          return torch.add(x, torch.linear(m, p[$DOWN]))

        def loss(self: __torch__.Kernels, h: Tensor, w: Tensor, tokens: Tensor, ce_w: Tensor, kd_w: Tensor, top: Tensor, top_logp: Tensor, tail: Tensor) -> Tensor:
          logq = torch.log_softmax(torch.linear(h, w), 1)
          ce = torch.neg(torch.squeeze(torch.gather(logq, 1, torch.unsqueeze(tokens, 1)), 1))
          named = torch.gather(logq, 1, top)
          rest = torch.log1p(torch.neg(torch.clamp(torch.sum(torch.exp(named), [1]), None, 0.999999)))
          kl = torch.sum(torch.mul(torch.exp(top_logp), torch.sub(top_logp, named)), [1])
          kl = torch.add(kl, torch.mul(torch.exp(tail), torch.sub(tail, rest)))
          return torch.add(torch.dot(ce_w, ce), torch.dot(kd_w, kl))

        def loss_alone(self: __torch__.Kernels, h: Tensor, w: Tensor, dw: Tensor, tokens: Tensor, ce_w: Tensor, kd_w: Tensor, top: Tensor, top_logp: Tensor, tail: Tensor) -> Tensor:
          sources = [torch.requires_grad_(torch.detach(h), True), torch.requires_grad_(torch.detach(w), True)]
          loss = self.loss(sources[0], sources[1], tokens, ce_w, kd_w, top, top_logp, tail)
          found = torch.grad([loss], sources, None, False, False, False)
          _0 = torch.add_(dw, unchecked_cast(Tensor, found[1]))
          return torch.to(torch.detach(loss), 7)

        def step(self: __torch__.Kernels, flat: Tensor, first: Tensor, second: Tensor, steps: Tensor, ids: Tensor, cos: Tensor, sin: Tensor, tokens: Tensor, ce_w: Tensor, kd_w: Tensor, top: Tensor, top_logp: Tensor, tail: Tensor, hyper: Tensor) -> Tensor:
          values = self.views(flat)
          p = annotate(List[Tensor], [])
          for i in range(len(values)):
            _0 = torch.append(p, torch.requires_grad_(torch.detach(values[i]), True))
          t = ids.size(1)
          c = torch.narrow(cos, 0, 0, t)
          s = torch.narrow(sin, 0, 0, t)
          x = torch.embedding(p[0], ids)
          for j in range($LAYERS):
            at = torch.add(1, torch.mul(j, $LAYER_TENSORS))
            x = self.layer(x, p[at:torch.add(at, $LAYER_TENSORS)], c, s)
          h = torch.reshape(torch.rms_norm(x, [$HIDDEN], p[$FINAL_NORM], $EPSILON), [-1, $HIDDEN])
          loss = self.loss(h, p[$HEAD], tokens, ce_w, kd_w, top, top_logp, tail)
          found = torch.grad([loss], p, None, False, False, False)
          grads = annotate(List[Tensor], [])
          for k in range(len(p)):
            _1 = torch.append(grads, unchecked_cast(Tensor, found[k]))
          norm = torch.linalg_vector_norm(torch.stack(torch._foreach_norm(grads, 2)))
          scale = torch.clamp(torch.div(hyper[5], torch.add(norm, 1e-12)), None, 1.0)
          torch._foreach_mul_(grads, torch.to(scale, 6))
          _2 = torch.add_(steps, 1)
          m = self.views(first)
          v = self.views(second)
          matrix_p = annotate(List[Tensor], [])
          matrix_g = annotate(List[Tensor], [])
          matrix_m = annotate(List[Tensor], [])
          matrix_v = annotate(List[Tensor], [])
          matrix_s = annotate(List[Tensor], [])
          vector_p = annotate(List[Tensor], [])
          vector_g = annotate(List[Tensor], [])
          vector_m = annotate(List[Tensor], [])
          vector_v = annotate(List[Tensor], [])
          vector_s = annotate(List[Tensor], [])
          for n in range(len(values)):
            if torch.gt(values[n].dim(), 1):
              _3 = torch.append(matrix_p, values[n])
              _4 = torch.append(matrix_g, grads[n])
              _5 = torch.append(matrix_m, m[n])
              _6 = torch.append(matrix_v, v[n])
              _11 = torch.append(matrix_s, steps)
            else:
              _7 = torch.append(vector_p, values[n])
              _8 = torch.append(vector_g, grads[n])
              _9 = torch.append(vector_m, m[n])
              _10 = torch.append(vector_v, v[n])
              _12 = torch.append(vector_s, steps)
          torch._fused_adamw_(matrix_p, matrix_g, matrix_m, matrix_v, annotate(List[Tensor], []), matrix_s, lr=float(hyper[0]), beta1=float(hyper[1]), beta2=float(hyper[2]), weight_decay=float(hyper[3]), eps=float(hyper[4]), amsgrad=False, maximize=False)
          torch._fused_adamw_(vector_p, vector_g, vector_m, vector_v, annotate(List[Tensor], []), vector_s, lr=float(hyper[0]), beta1=float(hyper[1]), beta2=float(hyper[2]), weight_decay=0.0, eps=float(hyper[4]), amsgrad=False, maximize=False)
          probe = torch.add(torch.sum(matrix_p[0]), torch.sum(vector_p[0]))
          return torch.stack([torch.to(torch.detach(loss), 7), torch.to(norm, 7), torch.to(probe, 7)])
      """;

  private NaiveSource() {}

  static String of(ModelConfig config) {
    if (config.attentionBias() || config.qkNorm() || config.slidingWindow().isPresent()) {
      throw new IllegalArgumentException("config: " + config + " (expected: a plain Llama)");
    }
    List<TensorInfo> tensors = TensorNames.expected(config);
    List<String> names = tensors.stream().map(TensorInfo::name).toList();
    int first = names.indexOf(TensorNames.inputNorm(0));
    int last = names.indexOf(TensorNames.FINAL_NORM);
    List<String[]> values = new ArrayList<>();
    put(values, "VIEWS", views(tensors));
    put(values, "HIDDEN", config.hiddenSize());
    put(values, "EPSILON", config.rmsNormEpsilon());
    put(values, "HEADS", config.heads());
    put(values, "HEAD_SIZE", config.headSize());
    put(values, "KEY_HEADS", config.keyValueHeads());
    put(values, "GROUP", config.heads() / config.keyValueHeads());
    put(values, "QUERY_SIZE", config.heads() * config.headSize());
    put(values, "LAYERS", config.layers());
    put(values, "LAYER_TENSORS", (last - 1) / config.layers());
    put(values, "FINAL_NORM", last);
    put(values, "HEAD", names.indexOf(TensorNames.head(config)));
    put(values, "INPUT_NORM", 0);
    put(values, "QUERY", names.indexOf(TensorNames.query(0)) - first);
    put(values, "KEY", names.indexOf(TensorNames.key(0)) - first);
    put(values, "VALUE", names.indexOf(TensorNames.value(0)) - first);
    put(values, "OUTPUT", names.indexOf(TensorNames.output(0)) - first);
    put(values, "POST_NORM", names.indexOf(TensorNames.postAttentionNorm(0)) - first);
    put(values, "GATE", names.indexOf(TensorNames.gate(0)) - first);
    put(values, "UP", names.indexOf(TensorNames.up(0)) - first);
    put(values, "DOWN", names.indexOf(TensorNames.down(0)) - first);
    // Longest names first, since some begin with others.
    values.sort((a, b) -> b[0].length() - a[0].length());
    String source = SOURCE;
    for (String[] value : values) {
      source = source.replace("$" + value[0], value[1]);
    }
    return source;
  }

  private static String views(List<TensorInfo> tensors) {
    long[] offset = {0};
    return tensors.stream()
        .map(
            tensor -> {
              String line =
                  "    _0 = torch.append(p, torch.view(torch.narrow(flat, 0, %d, %d), %s))"
                      .formatted(offset[0], tensor.elements(), tensor.shape());
              offset[0] += tensor.elements();
              return line;
            })
        .collect(Collectors.joining("\n"));
  }

  private static void put(List<String[]> values, String name, Object value) {
    values.add(new String[] {name, value.toString()});
  }
}
