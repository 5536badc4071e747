package io.reflux.trainer;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.trainer.nn.Adaptation;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.Offload;
import io.reflux.trainer.nn.Optimizer;
import io.reflux.trainer.nn.Trainable;

/** The configured ways to run and train a student. */
public final class StudentModel {
  private static final String OFFLOAD_DIRECTORY = "offload";

  private StudentModel() {}

  /**
   * Opens the student on the configured devices.
   *
   * @throws ModelException one line, if it cannot be run or trained so here
   */
  static Trainable open(
      TrainerConfig config, ModelConfig student, Weights weights, Optimizer optimizer) {
    return Trainable.on(config.devices(), student, weights, optimizer, options(config));
  }

  /**
   * All but the device, of which there may be several.
   *
   * @throws ModelException one line, if they cannot be
   */
  public static ModelOptions options(TrainerConfig config) {
    TrainerConfig.Lora lora = config.lora();
    Adaptation adaptation =
        Adaptation.parse(
            config.frozenLayers(),
            config.frozenEmbeddings(),
            lora.rank(),
            lora.alpha(),
            lora.targets(),
            config.seed());
    return ModelOptions.DEFAULT
        .withThreads(config.threads())
        .withPrecision(config.precision())
        .withCheckpointEvery(config.checkpointEvery())
        .withOffload(Offload.parse(config.offload(), config.dataDir().resolve(OFFLOAD_DIRECTORY)))
        .withAdaptation(adaptation);
  }
}
