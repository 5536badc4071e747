package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import java.util.List;
import java.util.stream.Stream;

/**
 * A model that learns, on one device or on several. Gradients of batches add up until {@link
 * #update} applies them or {@link #discard} drops them.
 *
 * <p>At the same options the same calls give the same bits. One thread at a time may use it, any
 * thread.
 */
public interface Trainable extends AutoCloseable {
  /**
   * Copies weights into a model that has taken no updates.
   *
   * @param devices names as {@link ModelOptions#device()} has them, separated by commas, instead of
   *     the options' own; with several, each has its own {@link ModelOptions#threads()}
   * @throws io.reflux.model.ModelException if the machine lacks a device, the model cannot be
   *     adapted so, or there is no room to offload to
   */
  static Trainable on(
      String devices,
      ModelConfig config,
      Weights weights,
      Optimizer optimizer,
      ModelOptions options) {
    List<String> names = Stream.of(devices.split(",", -1)).map(String::strip).toList();
    return names.size() == 1
        ? new TrainableModel(config, weights, optimizer, options.withDevice(names.get(0)))
        : new DataParallel(config, weights, optimizer, options, names);
  }

  /** Its shape. */
  ModelConfig config();

  /** Weights of what is exported. */
  long parameterCount();

  /** Numbers that training moves: fewer with frozen layers, an adapter's own with adapters. */
  long trainedParameterCount();

  /** Updates taken so far. */
  long updates();

  /**
   * Logits of the token after each position, at the weights that {@link #export} gives.
   *
   * @return [tokens, vocabularySize] row-major
   */
  float[] logits(int[] tokenIds);

  /** Runs forward and backward, and adds the gradient of the batch's objective to the others. */
  Losses accumulate(Batch batch);

  /**
   * {@link #accumulate(Batch)} of each, side by side where there are several devices.
   *
   * @return one a batch, in their order
   */
  List<Losses> accumulate(List<Batch> batches);

  /** Runs forward alone, at the weights that {@link #export} gives. */
  Losses measure(Batch batch);

  /** Global norm of the gradients gathered so far, of no effect on anything. */
  double gradientNorm();

  /**
   * Applies the gathered gradients, clipped, and forgets them. If their norm is not finite, nothing
   * is applied and no update is counted.
   *
   * @return global norm before clipping
   */
  double update(double learningRate);

  /** Forgets the gathered gradients: weights, moments and counts stay as they are. */
  void discard();

  /** A copy of the weights to serve, adapters merged, under their Hugging Face names. */
  MemoryWeights export();

  /** A copy of everything but unapplied gradients. */
  ModelState state();

  /**
   * Goes back to a state of a model of the same shape, optimizer and adaptation, and forgets
   * unapplied gradients.
   *
   * @throws io.reflux.model.ModelException if the state is another kind of model's
   */
  void restore(ModelState state);

  /** Frees all native memory, and scratch files if there are any. */
  @Override
  void close();
}
