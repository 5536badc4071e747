package io.reflux.trainer.nn;

import ai.djl.Device;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.trainer.nn.Adaptation.Lora;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes the TorchScript of one model shape. All parameters arrive as two flat tensors, those that
 * are trained and those that are not, and are viewed, never copied.
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
        def leaves(self: __torch__.Kernels, flat: Tensor, frozen: Tensor) -> List[Tensor]:
          p = annotate(List[Tensor], [])
      """;

  private static final String SUMS =
      """
        def sums(self: __torch__.Kernels, flat: Tensor) -> List[Tensor]:
          p = annotate(List[Tensor], [])
      """;

  private static final String MERGED =
      """
        def merged(self: __torch__.Kernels, flat: Tensor, frozen: Tensor, which: Tensor) -> Tensor:
          p = self.leaves(flat, frozen)
          a = int(which[1])
          return torch.reshape(torch.addmm(p[int(which[0])], p[torch.add(a, 1)], p[a], beta=1, alpha=$ADAPTER_SCALE), [-1])
      """;

  private KernelSource() {}

  /** The whole module, as a model of these options needs it on a device. */
  static String of(
      ModelConfig config,
      ParameterLayout layout,
      Optimizer optimizer,
      ModelOptions options,
      Device device) {
    int checkpointEvery = options.checkpointEvery();
    Precision precision = Devices.resolve(options.precision(), device);
    String source =
        String.join(
            "\n",
            HEADER,
            leaves(layout),
            sums(layout),
            layout.adapters().isEmpty() ? "" : MERGED,
            TrunkSource.of(config, precision, layout),
            HeadSource.of(precision),
            PassSource.of(checkpointEvery),
            OptimizerSource.of(optimizer, device.isGpu()));
    int segment = Math.min(config.layers(), Math.max(1, checkpointEvery));
    return substitute(source, config, layout, segment);
  }

  /** Views of every tensor, in the order of the layout's list. */
  private static String leaves(ParameterLayout layout) {
    StringBuilder source = new StringBuilder();
    source.append(LEAVES);
    for (TensorInfo tensor : layout.tensors()) {
      source.append(view(layout.isTrained(tensor.name()) ? "flat" : "frozen", tensor, layout));
    }
    return source.append("    return p\n").toString();
  }

  /** The same for gradients: nothing, one-dimensional, where a tensor is frozen. */
  private static String sums(ParameterLayout layout) {
    StringBuilder source = new StringBuilder();
    source.append(SUMS);
    for (TensorInfo tensor : layout.tensors()) {
      source.append(
          layout.isTrained(tensor.name())
              ? view("flat", tensor, layout)
              : "    _0 = torch.append(p, torch.narrow(flat, 0, 0, 0))\n");
    }
    return source.append("    return p\n").toString();
  }

  private static String view(String buffer, TensorInfo tensor, ParameterLayout layout) {
    return "    _0 = torch.append(p, torch.view(torch.narrow(%s, 0, %d, %d), %s))\n"
        .formatted(buffer, layout.offset(tensor.name()), tensor.elements(), tensor.shape());
  }

  private static String substitute(
      String source, ModelConfig config, ParameterLayout layout, int segment) {
    List<String[]> values = new ArrayList<>();
    put(values, "HIDDEN", config.hiddenSize());
    put(values, "EPSILON", config.rmsNormEpsilon());
    put(values, "HEADS", config.heads());
    put(values, "HEAD_SIZE", config.headSize());
    put(values, "HALF_HEAD", config.headSize() / 2);
    put(values, "KEY_HEADS", config.keyValueHeads());
    put(values, "GROUP", config.heads() / config.keyValueHeads());
    put(values, "QUERY_SIZE", config.heads() * config.headSize());
    put(values, "WINDOW", config.slidingWindow().orElse(0));
    put(values, "LAYERS", config.layers());
    put(values, "SEGMENT_LAYERS", segment);
    put(values, "SEGMENTS", (config.layers() + segment - 1) / segment);
    int firstSegment = firstTrainedLayer(config, layout) / segment;
    boolean embedding = layout.isTrained(TensorNames.EMBEDDING);
    put(values, "FIRST_SEGMENT", firstSegment);
    put(values, "FIRST_LAYER", firstSegment * segment);
    // The last segment whose input needs no gradient.
    put(values, "LAST_BLIND", embedding ? -1 : firstSegment);
    if (layout.adaptation() instanceof Lora lora) {
      put(values, "ADAPTER_SCALE", lora.scale());
    }
    put(values, "FINAL_NORM", layout.index(TensorNames.FINAL_NORM));
    put(values, "HEAD", layout.index(TensorNames.head(config)));
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

  /** Where the way back ends: 0 if the embeddings are trained. */
  private static int firstTrainedLayer(ModelConfig config, ParameterLayout layout) {
    int first = config.layers() - 1;
    for (int layer = config.layers() - 1; layer >= 0; layer--) {
      int begin = layout.index(TensorNames.inputNorm(layer));
      int end =
          layer + 1 < config.layers()
              ? layout.index(TensorNames.inputNorm(layer + 1))
              : layout.index(TensorNames.FINAL_NORM);
      boolean trained =
          layout.tensors().subList(begin, end).stream()
              .anyMatch(tensor -> layout.isTrained(tensor.name()));
      first = trained ? layer : first;
    }
    return layout.isTrained(TensorNames.EMBEDDING) ? 0 : first;
  }

  private static String at(ParameterLayout layout, String name, int first) {
    return "p[" + (layout.index(name) - first) + "]";
  }

  private static void put(List<String[]> values, String name, Object value) {
    values.add(new String[] {name, value.toString()});
  }
}
