package io.reflux.trainer.nn;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.compress.PrunedModel;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/** What becomes of a training state when its model is cut. */
public final class StateCut {
  /** What a refit moves; all others, the moments, are only cut. */
  private static final Set<String> WEIGHTS = Set.of(TrainableModel.PARAMETERS, OptimizerState.Z);

  private StateCut() {}

  /**
   * The state of the smaller model, every number of the optimizer kept: moments go and stay with
   * their weights. Refitted weights differ from those that were cut; all that an optimizer keeps in
   * the place of weights is moved by that difference, so that what is exported is what the pruning
   * made, to rounding.
   *
   * @param config the model before
   * @param state of a model whose every weight is trained
   * @param exported its weights, which were pruned
   * @param pruned what was made of them
   */
  public static ModelState of(
      ModelConfig config, ModelState state, Weights exported, PrunedModel pruned) {
    ParameterLayout before = new ParameterLayout(config, Adaptation.FULL);
    ParameterLayout after = new ParameterLayout(pruned.config(), Adaptation.FULL);
    float[] cut = after.flatten(pruned.mask().cut(config, exported));
    float[] refitted = after.flatten(pruned.weights());
    Map<String, float[]> tensors = new HashMap<>();
    state
        .tensors()
        .forEach(
            (name, flat) -> {
              FlatTensors.require(state, name, before.floats());
              Weights named = before.unflatten(flat);
              float[] values = after.flatten(pruned.mask().cut(config, named));
              for (int i = 0; i < values.length && WEIGHTS.contains(name); i++) {
                values[i] += refitted[i] - cut[i];
              }
              tensors.put(name, values);
            });
    return new ModelState(
        state.optimizer(), state.adaptation(), state.updates(), state.numbers(), tensors);
  }
}
