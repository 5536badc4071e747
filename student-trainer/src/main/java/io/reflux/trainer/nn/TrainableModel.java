package io.reflux.trainer.nn;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.NDScope;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.RotaryFrequencies;
import java.util.ArrayList;
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
  private static final int INITIAL_ROTARY_POSITIONS = 256;
  private static final String PARAMETERS = "parameters";
  private static final String FIRST_MOMENTS = "first-moments";
  private static final String SECOND_MOMENTS = "second-moments";

  private final ModelConfig config;
  private final AdamW adamW;
  private final ModelOptions options;
  private final ParameterLayout layout;
  private final NDManager manager;
  private final TorchModule kernels;
  private final NDArray parameters;
  private final NDArray gradients;
  private final NDArray firstMoments;
  private final NDArray secondMoments;
  private final NDArray steps;
  private NDArray cos;
  private NDArray sin;
  private int rotaryPositions;
  private long updates;
  private Thread prepared;

  /**
   * Copies weights into a model that has taken no updates.
   *
   * @throws ModelException if the machine has no such device
   */
  public TrainableModel(ModelConfig config, Weights weights, AdamW adamW, ModelOptions options) {
    if (config.heads() % config.keyValueHeads() != 0) {
      throw new ModelException(
          "num_key_value_heads: %d (expected: a divisor of %d heads)"
              .formatted(config.keyValueHeads(), config.heads()));
    }
    this.config = config;
    this.adamW = adamW;
    this.options = options;
    this.layout = new ParameterLayout(config);
    this.manager = Torch.newManager(options.device());
    this.kernels = new TorchModule(manager, KernelSource.of(config, layout));
    this.parameters = TorchArrays.floats(manager, layout.flatten(weights), layout.floats());
    this.gradients = TorchArrays.zeros(manager, layout.floats());
    this.firstMoments = TorchArrays.zeros(manager, layout.floats());
    this.secondMoments = TorchArrays.zeros(manager, layout.floats());
    this.steps = TorchArrays.zeros(manager, 1);
    growRotary(Math.min(INITIAL_ROTARY_POSITIONS, config.maxPositions()));
  }

  @Override
  public ModelConfig config() {
    return config;
  }

  @Override
  public long parameterCount() {
    return layout.tensors().stream().mapToLong(tensor -> tensor.elements()).sum();
  }

  @Override
  public long trainedParameterCount() {
    return parameterCount();
  }

  @Override
  public long updates() {
    return updates;
  }

  @Override
  public float[] logits(int[] tokenIds) {
    prepareThread();
    long[] ids = new long[tokenIds.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = tokenIds[i];
    }
    growRotary(ids.length);
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      NDArray sequence = TorchArrays.longs(manager, ids, 1, ids.length);
      return kernels.call("logits", parameters, sequence, cos, sin).toFloatArray();
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
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      return kernels.call("norm", gradients).toDoubleArray()[0];
    }
  }

  @Override
  public void discard() {
    TorchArrays.set(gradients, new float[layout.floats()]);
  }

  @Override
  public double update(double learningRate) {
    prepareThread();
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      NDArray hyper =
          TorchArrays.doubles(
              manager,
              learningRate,
              adamW.beta1(),
              adamW.beta2(),
              adamW.weightDecay(),
              adamW.epsilon(),
              adamW.maxGradientNorm());
      double norm =
          kernels.call("update", parameters, gradients, firstMoments, secondMoments, steps, hyper)
              .toDoubleArray()[0];
      if (Double.isFinite(norm)) {
        updates++;
      }
      return norm;
    }
  }

  @Override
  public MemoryWeights export() {
    return layout.unflatten(parameters.toFloatArray());
  }

  @Override
  public ModelState state() {
    return new ModelState(
        adamW.name(),
        Adaptation.FULL.toString(),
        updates,
        Map.of(),
        Map.of(
            PARAMETERS,
            parameters.toFloatArray(),
            FIRST_MOMENTS,
            firstMoments.toFloatArray(),
            SECOND_MOMENTS,
            secondMoments.toFloatArray()));
  }

  @Override
  public void restore(ModelState state) {
    List<NDArray> targets = List.of(parameters, firstMoments, secondMoments);
    List<String> names = List.of(PARAMETERS, FIRST_MOMENTS, SECOND_MOMENTS);
    for (String name : names) {
      float[] values = state.tensors().get(name);
      if (values == null || values.length != layout.floats()) {
        throw new ModelException(
            "training state: %s %s (expected: %d as the student's shape has)"
                .formatted(values == null ? "no" : values.length, name, layout.floats()));
      }
    }
    for (int i = 0; i < targets.size(); i++) {
      TorchArrays.set(targets.get(i), state.tensors().get(names.get(i)));
    }
    TorchArrays.set(steps, new float[] {state.updates()});
    discard();
    updates = state.updates();
  }

  /** The gathered, unapplied gradients under the tensors' names. */
  MemoryWeights gradients() {
    return layout.unflatten(gradients.toFloatArray());
  }

  @Override
  public void close() {
    kernels.close();
    manager.close();
  }

  private Losses run(Batch batch, boolean backward) {
    if (batch.rows() == 0) {
      return Losses.NONE;
    }
    prepareThread();
    growRotary(batch.packing().length());
    try (NDScope scope = new NDScope()) {
      scope.suppressNotUsedWarning();
      List<NDArray> inputs = new ArrayList<>();
      inputs.add(parameters);
      if (backward) {
        inputs.add(gradients);
      }
      Packing packing = batch.packing();
      inputs.add(
          TorchArrays.longs(manager, packing.tokenIds(), packing.sequences(), packing.length()));
      inputs.add(cos);
      inputs.add(sin);
      inputs.add(TorchArrays.longs(manager, batch.rowPositions(), batch.rowPositions().length));
      inputs.addAll(batch.rowTargets().tensors(manager));
      NDArray stats =
          kernels.call(backward ? "accumulate" : "measure", inputs.toArray(NDArray[]::new));
      return batch.rowTargets().losses(stats.toDoubleArray());
    }
  }

  private void growRotary(int positions) {
    if (positions <= rotaryPositions) {
      return;
    }
    if (positions > config.maxPositions()) {
      throw new ModelException(
          "sequence: %d tokens (expected: at most max_position_embeddings, %d)"
              .formatted(positions, config.maxPositions()));
    }
    int grown = Math.min(config.maxPositions(), Math.max(positions, 2 * rotaryPositions));
    double[] radians = RotaryFrequencies.radiansPerPosition(config);
    int size = config.headSize();
    float[] cosines = new float[grown * size];
    float[] sines = new float[grown * size];
    for (int t = 0; t < grown; t++) {
      for (int i = 0; i < size; i++) {
        double angle = t * radians[i % radians.length];
        cosines[t * size + i] = (float) Math.cos(angle);
        sines[t * size + i] = (float) Math.sin(angle);
      }
    }
    if (cos != null) {
      cos.close();
      sin.close();
    }
    cos = TorchArrays.floats(manager, cosines, grown, size);
    sin = TorchArrays.floats(manager, sines, grown, size);
    rotaryPositions = grown;
  }

  private void prepareThread() {
    if (prepared != Thread.currentThread()) {
      Torch.prepareThread(options.threads());
      prepared = Thread.currentThread();
    }
  }
}
