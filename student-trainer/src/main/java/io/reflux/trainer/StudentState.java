package io.reflux.trainer;

import io.reflux.schemas.avro.Stage;
import io.reflux.trainer.nn.ModelState;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;

/**
 * Everything that a {@link StudentTraining} depends on.
 *
 * @param model weights, the optimizer's state and the count of updates
 * @param good what a student that has gone wrong goes back to; empty before the first
 * @param random state of the generator
 * @param step steps tried, skipped ones included
 * @param rowsTrained labelled rows trained, repeats counted
 * @param sequencesSeen labelled sequences taken in for training
 * @param credit rows that may still be trained before new labels are needed
 * @param lastKl of the last measurement at a step, nats; NaN before the first
 * @param lastAgreement of the same
 * @param tally of what was out of the ordinary
 * @param validation the last measurement, at a step or asked for; empty before the first
 * @param staging of the recipe
 * @param versions steps at which student versions began, oldest first
 * @param ramp of the learning rate
 * @param drift of the stream
 * @param guards of losses
 * @param replay data to train on
 * @param rollouts scored rollouts, oldest first
 * @param quarantine sequences out of bounds, oldest first
 * @param heldOut held-out sequences, oldest first
 */
public record StudentState(
    ModelState model,
    Optional<Good> good,
    long random,
    long step,
    long rowsTrained,
    long sequencesSeen,
    double credit,
    double lastKl,
    double lastAgreement,
    Tally tally,
    Optional<Validation> validation,
    Staging staging,
    List<Long> versions,
    Ramp ramp,
    Drift drift,
    Guards guards,
    ReplayState replay,
    List<LabelledSequence> rollouts,
    List<Quarantined> quarantine,
    List<LabelledSequence> heldOut) {

  /**
   * A student that was measured, and not worse than before.
   *
   * @param step that it was after
   * @param model the very object of the state if nothing was learned since
   */
  public record Good(long step, ModelState model) {}

  /**
   * Where the recipe is.
   *
   * @param stage of it
   * @param since step at which the second stage began
   * @param bestKl lowest held-out KL of the first stage, nats; infinite before any
   * @param withoutImprovement measurements since
   * @param enough whether the last measurement called for the second stage
   */
  public record Staging(
      Stage stage, long since, double bestKl, int withoutImprovement, boolean enough) {}

  /**
   * Of the learning rate.
   *
   * @param start step at which it last began to rise
   * @param from share of the peak that it rose from
   */
  public record Ramp(long start, double from) {}

  /**
   * What the loss of fresh sequences usually is.
   *
   * @param seen steps that it is taken from
   * @param mean nats
   * @param variance nats squared
   * @param rows mean of a step's
   * @param sum of excesses, in spreads
   */
  public record Drift(long seen, double mean, double variance, double rows, double sum) {
    static final Drift NONE = new Drift(0, 0, 0, 0, 0);
  }

  /**
   * What losses usually are.
   *
   * @param latest steps' losses by origin, oldest first
   * @param strikes latest steps that went wrong, oldest first
   */
  public record Guards(SortedMap<String, List<Seen>> latest, List<Long> strikes) {}

  /**
   * The loss of a step's sequences of an origin.
   *
   * @param loss mean, nats
   * @param rows that it is the mean of
   */
  public record Seen(double loss, long rows) {}

  /**
   * A sequence that is not trained on.
   *
   * @param loss its own, nats; infinite where it is not finite
   */
  public record Quarantined(LabelledSequence sequence, double loss) {}
}
