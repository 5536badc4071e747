package io.reflux.trainer.watch;

import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What is measured while a student trains, once for everyone who shows it: the CSV's columns,
 * TensorBoard's tags, the meters, the page and the plots. A figure that is not known is not in a
 * {@link Report}; it is never 0 instead.
 */
public enum Figure {
  LOSS(Group.LOSS, Unit.NATS, "What is minimised, weighted mean a position, all objectives"),
  LOSS_DATA(Group.LOSS, Unit.NATS, "The loss on traffic that the teacher labelled"),
  LOSS_ROLLOUTS(Group.LOSS, Unit.NATS, "The loss on what the student wrote itself"),
  KL(Group.LOSS, Unit.NATS, "Forward KL from teacher to student, mean a labelled position"),
  CROSS_ENTROPY(Group.LOSS, Unit.NATS, "Cross-entropy of the token that stands in the text"),
  STUDENT_ENTROPY(Group.LOSS, Unit.NATS, "Entropy of the student's distribution, temperature 1"),

  TRAINING_AGREEMENT(
      Group.QUALITY, Unit.SHARE, "Trained positions where both like the same token best"),
  VALIDATION_AGREEMENT(
      Group.QUALITY, Unit.SHARE, "Held-out positions where both like the same token best"),
  VALIDATION_KL(Group.QUALITY, Unit.NATS, "Forward KL on held-out positions"),
  GATE_AGREEMENT(
      Group.QUALITY, Unit.SHARE, "Held-out agreement of the compressed student at the gate"),
  GATE_KL(Group.QUALITY, Unit.NATS, "Held-out forward KL of the compressed student at the gate"),
  GATE_KL_CHANGE(
      Group.QUALITY, Unit.NATS, "Held-out forward KL at the gate, less the published one's"),
  GATE_KL_CHANGE_LOW(
      Group.QUALITY, Unit.NATS, "Lower end of the confidence interval of the gate's KL change"),
  GATE_KL_CHANGE_HIGH(
      Group.QUALITY, Unit.NATS, "Upper end of the confidence interval of the gate's KL change"),

  LEARNING_RATE(Group.OPTIMIZER, Unit.NUMBER, "Of the last step"),
  GRADIENT_NORM(Group.OPTIMIZER, Unit.NUMBER, "Length of the gradient before clipping, mean"),
  SKIPPED_STEPS(Group.OPTIMIZER, Unit.COUNT, "Steps that changed nothing, of the whole run"),

  LAMBDA(Group.MIX, Unit.SHARE, "Rollouts among the sequences trained on"),
  LAMBDA_TARGET(Group.MIX, Unit.SHARE, "Rollouts that the schedule asks for"),
  STALENESS_STEPS(Group.MIX, Unit.COUNT, "Mean steps since the trained rollouts were written"),
  REPLAY_SIZE(Group.MIX, Unit.COUNT, "Sequences kept to train on again"),
  FRESH_SIZE(Group.MIX, Unit.COUNT, "Sequences that were not trained on yet"),
  ROLLOUTS_HELD(Group.MIX, Unit.COUNT, "Scored rollouts that are kept"),
  HELD_OUT_SIZE(Group.MIX, Unit.COUNT, "Sequences kept to measure quality on"),
  IMPORTANCE(Group.MIX, Unit.NUMBER, "Mean weight for staleness of rows an older student wrote"),
  IMPORTANCE_CLIPPED(Group.MIX, Unit.SHARE, "Those rows whose weight was cut at the bound"),
  SHARE(Group.MIX, Unit.SHARE, "The segment's share of the sequences trained on"),

  TOKENS_PER_SECOND(Group.SPEED, Unit.RATE, "Labelled positions trained a second"),
  STEPS_PER_SECOND(Group.SPEED, Unit.RATE, "Steps a second"),
  MFU(Group.SPEED, Unit.SHARE, "Arithmetic of the model over the machine's matrix product peak"),
  RESIDENT_BYTES(Group.SPEED, Unit.BYTES, "Memory of the process that is in RAM"),

  LABELS_PER_SECOND(Group.PIPELINE, Unit.RATE, "Label records of requests read a second"),
  ROLLOUT_LABELS_PER_SECOND(Group.PIPELINE, Unit.RATE, "Label records of rollouts read a second"),
  PROMPTS_PER_SECOND(Group.PIPELINE, Unit.RATE, "Prompts offered for rollouts a second"),
  ROLLOUTS_PER_SECOND(Group.PIPELINE, Unit.RATE, "Rollouts written a second"),
  ROLLOUTS_TRAINED_PER_SECOND(
      Group.PIPELINE, Unit.RATE, "Rollouts trained on a second, repeats included"),
  PROMPTS_WAITING(Group.PIPELINE, Unit.COUNT, "Prompts that wait for a rollout"),
  ROLLOUTS_WRITING(Group.PIPELINE, Unit.COUNT, "Rollouts that the student is writing"),
  ROLLOUTS_SCORING(Group.PIPELINE, Unit.COUNT, "Rollouts sent to the teacher and not yet back"),
  ROLLOUT_LABELS_LAG(Group.PIPELINE, Unit.COUNT, "Label records of rollouts that wait in Kafka"),
  LABELS_LAG(Group.PIPELINE, Unit.COUNT, "Label records of requests that wait in Kafka");

  private static final Map<String, Figure> BY_KEY =
      Stream.of(values()).collect(Collectors.toUnmodifiableMap(Figure::key, Function.identity()));

  private final Group group;
  private final Unit unit;
  private final String help;

  Figure(Group group, Unit unit, String help) {
    this.group = group;
    this.unit = unit;
    this.help = help;
  }

  /** Figures that are looked at together. */
  public enum Group {
    LOSS,
    QUALITY,
    OPTIMIZER,
    MIX,
    SPEED,
    PIPELINE
  }

  /** How a figure is to be read. */
  public enum Unit {
    NATS,
    /** Of 1. */
    SHARE,
    COUNT,
    /** A second. */
    RATE,
    BYTES,
    NUMBER
  }

  /** Its name in files, meters and JSON, such as {@code validation_kl}. */
  public String key() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Its tag in TensorBoard, such as {@code quality/validation_kl}. */
  String tag() {
    return group.name().toLowerCase(Locale.ROOT) + "/" + key();
  }

  public Group group() {
    return group;
  }

  public Unit unit() {
    return unit;
  }

  /** One line for people. */
  public String help() {
    return help;
  }

  /**
   * @return null if there is none of this key
   */
  static Figure ofKey(String key) {
    return BY_KEY.get(key);
  }
}
