package io.reflux.model.compress;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.PruningReport.PrunedMatrix;
import io.reflux.model.compress.PruningTarget.Part;
import io.reflux.model.onnx.MatrixInput;
import io.reflux.model.runtime.RuntimeOptions;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Cuts whole layers, key-value groups and neurons out of a model. Layers go by their {@link
 * BlockImportance}, measured once. Then, layer by layer and each with inputs from what is pruned
 * already, groups and neurons go by OSSCAR (arXiv 2403.12983): groups of the attention output's
 * inputs, then neurons of the down projection's. The result is an ordinary checkpoint of the same
 * family.
 */
public final class StructuredPruning {
  private final ModelConfig config;
  private final PrunedShape shape;
  private final PruningOptions options;
  private final List<int[]> sequences;
  private final RuntimeOptions runtime;
  // Of the dense shape; what is pruned has zeros, so that every prefix runs as it is.
  private final Map<String, float[]> tensors = new LinkedHashMap<>();
  private final List<PrunedMatrix> pruned = new ArrayList<>();

  private StructuredPruning(
      ModelConfig config,
      Weights weights,
      PrunedShape shape,
      PruningOptions options,
      List<int[]> sequences,
      RuntimeOptions runtime) {
    this.config = config;
    this.shape = shape;
    this.options = options;
    this.sequences = sequences;
    this.runtime = runtime;
    for (TensorInfo tensor : TensorNames.expected(config)) {
      tensors.put(tensor.name(), finite(tensor.name(), weights.floats(tensor.name())));
    }
  }

  /**
   * Prunes a model. The same input gives the same bits.
   *
   * @param shape what is left
   * @param sequences to calibrate on, token ids; some thousands of tokens that look like what the
   *     model will see
   * @throws ModelException if the model is smaller than the shape, a sequence is not possible, or a
   *     weight or an activation is not finite
   */
  public static PrunedModel prune(
      ModelConfig config,
      Weights weights,
      PrunedShape shape,
      PruningOptions options,
      List<int[]> sequences,
      RuntimeOptions runtime) {
    // Before anything is measured.
    ModelConfig target = shape.cut(config);
    PruningMask everything = PruningMask.all(config);
    List<Double> importance = List.of();
    List<Integer> layers = everything.layers();
    if (shape.layers() < config.layers()) {
      importance = BlockImportance.of(config, weights, sequences, runtime);
      layers = BlockImportance.mostImportant(importance, shape.layers());
    }
    PruningMask depth =
        new PruningMask(
            layers,
            everything.keyValueHeads().subList(0, layers.size()),
            everything.neurons().subList(0, layers.size()));
    ModelConfig shallow = depth.shape().cut(config);
    Weights kept = layers.size() == config.layers() ? weights : depth.cut(config, weights);
    StructuredPruning pruning =
        new StructuredPruning(shallow, kept, shape, options, sequences, runtime);
    PruningMask width = pruning.run(layers);
    Weights cut = width.cut(shallow, pruning.current());
    PruningReport report =
        new PruningReport(importance, pruning.pruned, config.parameters(), target.parameters());
    PruningMask mask = new PruningMask(layers, width.keyValueHeads(), width.neurons());
    return new PrunedModel(target, cut, mask, report);
  }

  /** Returns the survivors of the model that has its final depth already. */
  private PruningMask run(List<Integer> denseLayers) {
    PruningMask all = PruningMask.all(config);
    List<List<Integer>> heads = new ArrayList<>(all.keyValueHeads());
    List<List<Integer>> neurons = new ArrayList<>(all.neurons());
    for (int layer = 0; layer < config.layers(); layer++) {
      int name = denseLayers.get(layer);
      if (shape.keyValueHeads() < config.keyValueHeads()) {
        int groupSize = config.heads() / config.keyValueHeads() * config.headSize();
        String matrix = TensorNames.output(layer);
        heads.set(
            layer,
            cut(
                layer,
                name,
                Part.KV,
                matrix,
                groupSize,
                shape.keyValueHeads(),
                options.groupStep()));
      }
      if (shape.intermediateSize() < config.intermediateSize()) {
        String matrix = TensorNames.down(layer);
        neurons.set(
            layer,
            cut(
                layer,
                name,
                Part.NEURONS,
                matrix,
                1,
                shape.intermediateSize(),
                options.neuronStep()));
      }
    }
    return new PruningMask(all.layers(), heads, neurons);
  }

  /** Removes blocks of a matrix's inputs, and returns those that are left. */
  private List<Integer> cut(
      int layer, int denseLayer, Part part, String matrix, int blockSize, int keep, int step) {
    float[] weights = tensors.get(matrix);
    BlockRemoval removal =
        new BlockRemoval(matrix, sums(layer, matrix), weights, blockSize, options.damping());
    int before = removal.kept().size();
    removal.reduceTo(keep, step, options.swapPasses());
    pruned.add(
        new PrunedMatrix(
            denseLayer, part, before, keep, removal.maskedError(), removal.refittedError()));
    tensors.put(matrix, options.refit() ? removal.refitted() : removal.masked());
    return removal.kept();
  }

  /** Σ of a matrix's input, of a run that ends with its layer. */
  private float[] sums(int layer, String matrix) {
    ModelConfig prefix =
        config.resized(
            layer + 1, config.intermediateSize(), config.heads(), config.keyValueHeads());
    MatrixInput input =
        MatrixInput.of(prefix).stream()
            .filter(one -> one.matrices().contains(matrix))
            .findFirst()
            .orElseThrow();
    return Calibration.sums(prefix, current(), Set.of(input), sequences, runtime).of(matrix);
  }

  /** The weights as they are now, of the dense shape. */
  private Weights current() {
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : TensorNames.expected(config)) {
      // Arrays are replaced and never written to, so they can be shared.
      builder.floats(
          tensor.name(),
          tensor.shape().stream().mapToLong(Long::longValue).toArray(),
          tensors.get(tensor.name()));
    }
    return builder.build();
  }

  private static float[] finite(String name, float[] floats) {
    for (int i = 0; i < floats.length; i++) {
      if (!Float.isFinite(floats[i])) {
        throw new ModelException(
            "%s: %s at element %d (expected: finite weights)".formatted(name, floats[i], i));
      }
    }
    return floats;
  }
}
