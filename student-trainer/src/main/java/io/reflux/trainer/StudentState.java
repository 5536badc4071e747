package io.reflux.trainer;

import io.reflux.schemas.avro.Stage;
import io.reflux.trainer.nn.ModelState;
import java.util.List;

/**
 * Everything that a {@link StudentTraining} depends on.
 *
 * @param model weights, moments and the count of updates
 * @param random state of the generator
 * @param stage of the recipe
 * @param step optimizer steps tried, skipped ones included
 * @param skippedSteps of them with a gradient that was not finite
 * @param rowsTrained labelled rows trained, repeats counted
 * @param sequencesSeen labelled sequences taken in for training
 * @param credit rows that may still be trained before new labels are needed
 * @param agreement last held-out agreement with the teacher; NaN before the first
 * @param kl last held-out KL, nats; NaN before the first
 * @param replay data to train on
 * @param rollouts scored rollouts, oldest first
 * @param heldOut held-out sequences, oldest first
 */
public record StudentState(
    ModelState model,
    long random,
    Stage stage,
    long step,
    long skippedSteps,
    long rowsTrained,
    long sequencesSeen,
    double credit,
    double agreement,
    double kl,
    ReplayState replay,
    List<LabelledSequence> rollouts,
    List<LabelledSequence> heldOut) {}
