package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import java.lang.ref.WeakReference;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A Llama-family model with gradients and AdamW, in float32. Batches add up gradients until {@link
 * #update} applies them, so that a step may be made of several batches.
 *
 * <p>At a fixed number of threads the same calls give the same bits. One thread at a time may use
 * it, any thread.
 */
public final class TrainableModel implements Trainable {
  static final String PARAMETERS = "parameters";
  private static final String FROZEN = "frozen";

  private final ModelConfig config;
  private final Optimizer optimizer;
  private final ModelOptions options;
  private final ParameterLayout layout;
  private final NDManager manager;
  private final TorchModule kernels;
  private final NDArray parameters;
  private final NDArray frozen;
  private final NDArray gradients;
  private final FlatTensors flats;
  private final OptimizerState state; // null in a replica, which takes no steps of its own
  private final RotaryTables rotary;
  private WeakReference<float[]> heldFrozen = new WeakReference<>(null);
  private Thread prepared;

  /**
   * Copies weights into a model that has taken no updates.
   *
   * @throws ModelException if the machine has no such device, the model cannot be adapted so, or
   *     there is no room to offload to
   */
  public TrainableModel(
      ModelConfig config, Weights weights, Optimizer optimizer, ModelOptions options) {
    this(config, weights, optimizer, options, false);
  }

  private TrainableModel(
      ModelConfig config,
      Weights weights,
      Optimizer optimizer,
      ModelOptions options,
      boolean replica) {
    if (config.heads() % config.keyValueHeads() != 0) {
      throw new ModelException(
          "num_key_value_heads: %d (expected: a divisor of %d heads)"
              .formatted(config.keyValueHeads(), config.heads()));
    }
    this.config = config;
    this.optimizer = optimizer;
    this.options = options;
    this.layout = new ParameterLayout(config, options.adaptation());
    this.manager = Torch.newManager(options.device());
    this.kernels =
        new TorchModule(
            manager, KernelSource.of(config, layout, optimizer, options, manager.getDevice()));
    this.parameters = TorchArrays.zeros(manager, layout.floats());
    this.frozen = TorchArrays.zeros(manager, layout.frozenFloats());
    this.gradients = TorchArrays.zeros(manager, layout.floats());
    this.flats = new FlatTensors(manager, kernels);
    this.rotary = new RotaryTables(config, manager);
    prepareThread();
    for (TensorInfo tensor : layout.modelTensors()) {
      fill(tensor.name(), weights.floats(tensor.name()));
    }
    layout.freshAdapters().forEach(this::fill);
    try {
      this.state =
          replica
              ? null
              : new OptimizerState(
                  optimizer, options.offload(), layout, manager, kernels, parameters);
    } catch (ModelException e) {
      kernels.close();
      manager.close();
      throw e;
    }
  }

  private void fill(String tensor, float[] values) {
    NDArray buffer = layout.isTrained(tensor) ? parameters : frozen;
    flats.write(buffer, layout.offset(tensor), values, 0, values.length);
  }

  @Override
  public ModelConfig config() {
    return config;
  }

  @Override
  public long parameterCount() {
    return layout.modelTensors().stream().mapToLong(tensor -> tensor.elements()).sum();
  }

  @Override
  public long trainedParameterCount() {
    return layout.trainedElements();
  }

  @Override
  public long updates() {
    return state.updates();
  }

  @Override
  public float[] logits(int[] tokenIds) {
    prepareThread();
    rotary.reach(tokenIds.length);
    NDArray evaluated = state.evaluated(parameters);
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      List<NDArray> inputs = new ArrayList<>();
      inputs.add(evaluated);
      inputs.add(frozen);
      inputs.add(rotary.cosines());
      inputs.add(rotary.sines());
      inputs.addAll(Packing.of(tokenIds).tensors(manager));
      return kernels.call("logits", inputs.toArray(NDArray[]::new)).toFloatArray();
    }
  }

  @Override
  public Losses accumulate(Batch batch) {
    return run(batch, true);
  }

  @Override
  public List<Losses> accumulate(List<Batch> batches) {
    return batches.stream().map(this::accumulate).toList();
  }

  @Override
  public Losses measure(Batch batch) {
    return run(batch, false);
  }

  @Override
  public double gradientNorm() {
    prepareThread();
    return state.norm(gradients);
  }

  @Override
  public double update(double learningRate) {
    double norm = gradientNorm();
    if (Double.isFinite(norm)) {
      state.apply(parameters, gradients, learningRate, norm);
    } else {
      discard();
    }
    return norm;
  }

  @Override
  public void discard() {
    prepareThread();
    flats.clear(gradients);
  }

  @Override
  public MemoryWeights export() {
    prepareThread();
    NDArray evaluated = state.evaluated(parameters);
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : layout.modelTensors()) {
      weights.floats(tensor.name(), ParameterLayout.shape(tensor), exported(tensor, evaluated));
    }
    return weights.build();
  }

  private float[] exported(TensorInfo tensor, NDArray evaluated) {
    float[] values = new float[Math.toIntExact(tensor.elements())];
    for (Adapter adapter : layout.adapters()) {
      if (adapter.matrix().equals(tensor.name())) {
        long[] which = {layout.index(tensor.name()), layout.index(adapter.a().name())};
        try (NDScope scope = new NDScope()) {
          scope.suppressNotUsedWarning();
          NDArray places = TorchArrays.longs(manager, which, 2);
          NDArray merged = kernels.call("merged", evaluated, frozen, places);
          flats.read(merged, 0, values, 0, values.length);
        }
        return values;
      }
    }
    NDArray buffer = layout.isTrained(tensor.name()) ? evaluated : frozen;
    flats.read(buffer, layout.offset(tensor.name()), values, 0, values.length);
    return values;
  }

  @Override
  public ModelState state() {
    prepareThread();
    Map<String, float[]> tensors = new HashMap<>(state.tensors());
    tensors.put(PARAMETERS, flats.read(parameters, layout.floats()));
    if (layout.frozenFloats() > 0) {
      tensors.put(FROZEN, frozenCopy());
    }
    return new ModelState(
        optimizer.name(), options.adaptation().toString(), updates(), state.numbers(), tensors);
  }

  /** One for all states that somebody still holds. */
  private float[] frozenCopy() {
    float[] copy = heldFrozen.get();
    if (copy == null) {
      copy = flats.read(frozen, layout.frozenFloats());
      heldFrozen = new WeakReference<>(copy);
    }
    return copy;
  }

  @Override
  public void restore(ModelState from) {
    prepareThread();
    if (!from.adaptation().equals(options.adaptation().toString())) {
      throw new ModelException(
          "training state: adaptation %s (expected: %s, as configured)"
              .formatted(from.adaptation(), options.adaptation()));
    }
    float[] values = FlatTensors.require(from, PARAMETERS, layout.floats());
    state.check(from);
    if (layout.frozenFloats() > 0) {
      float[] still = FlatTensors.require(from, FROZEN, layout.frozenFloats());
      flats.write(frozen, 0, still, 0, still.length);
      heldFrozen = new WeakReference<>(still);
    }
    flats.write(parameters, 0, values, 0, values.length);
    state.restore(from);
    discard();
  }

  /** The gathered, unapplied gradients under the tensors' names. */
  MemoryWeights gradients() {
    prepareThread();
    return layout.unflatten(flats.read(gradients, layout.floats()));
  }

  /** A model for another device, which only gathers gradients. */
  static TrainableModel replica(
      ModelConfig config, Weights weights, Optimizer optimizer, ModelOptions options) {
    return new TrainableModel(config, weights, optimizer, options, true);
  }

  /** Adds a replica's gradients to the own ones, and sets them to zero. */
  void takeGradients(TrainableModel replica) {
    prepareThread();
    flats.add(gradients, replica.gradients, layout.floats());
    flats.clear(replica.gradients);
  }

  /** Becomes equal in what is trained. */
  void takeParameters(TrainableModel other) {
    flats.copy(parameters, other.parameters);
  }

  /** Becomes equal in what is not trained. */
  void takeFrozen(TrainableModel other) {
    flats.copy(frozen, other.frozen);
  }

  @Override
  public void close() {
    if (state != null) {
      state.close();
    }
    kernels.close();
    manager.close();
  }

  private Losses run(Batch batch, boolean backward) {
    if (batch.rows() == 0) {
      return Losses.NONE;
    }
    prepareThread();
    Packing packing = batch.packing();
    rotary.reach(packing.longest());
    NDArray weights = weights(backward);
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      List<NDArray> inputs = new ArrayList<>();
      inputs.add(weights);
      inputs.add(frozen);
      if (backward) {
        inputs.add(gradients);
      }
      inputs.add(rotary.cosines());
      inputs.add(rotary.sines());
      inputs.addAll(packing.tensors(manager));
      inputs.add(TorchArrays.longs(manager, batch.rowPositions(), batch.rowPositions().length));
      inputs.addAll(batch.rowTargets().tensors(manager));
      NDArray stats =
          kernels.call(backward ? "accumulate" : "measure", inputs.toArray(NDArray[]::new));
      return batch.rowTargets().losses(stats.toFloatArray());
    }
  }

  /** Those that gradients are taken at, or those to measure. */
  private NDArray weights(boolean backward) {
    if (backward && state != null) {
      state.forgetAverage();
    }
    return backward ? parameters : state.evaluated(parameters);
  }

  private void prepareThread() {
    if (prepared != Thread.currentThread()) {
      Torch.prepareThread(options.threads());
      prepared = Thread.currentThread();
    }
  }
}
