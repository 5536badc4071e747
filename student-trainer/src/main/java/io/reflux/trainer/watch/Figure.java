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
  LOSS(Panel.LOSS, "all", Unit.NATS, "What is minimised, weighted mean a position"),
  LOSS_DATA(Panel.LOSS, "data", Unit.NATS, "The loss on traffic that the teacher labelled"),
  LOSS_ROLLOUTS(Panel.LOSS, "rollouts", Unit.NATS, "The loss on what the student wrote itself"),

  VALIDATION_AGREEMENT(
      Panel.AGREEMENT,
      "held out",
      Unit.SHARE,
      "Held-out positions where both like the same token best"),
  TRAINING_AGREEMENT(
      Panel.AGREEMENT,
      "trained",
      Unit.SHARE,
      "Trained positions where both like the same token best"),
  GATE_AGREEMENT(
      Panel.AGREEMENT,
      "compressed, at the gate",
      Unit.SHARE,
      "Held-out agreement of the compressed student that was offered last"),

  VALIDATION_KL(Panel.KL, "held out", Unit.NATS, "Forward KL on held-out positions"),
  KL(Panel.KL, "trained", Unit.NATS, "Forward KL from teacher to student on trained positions"),
  GATE_KL(
      Panel.KL,
      "compressed, at the gate",
      Unit.NATS,
      "Held-out forward KL of the compressed student that was offered last"),

  GATE_KL_CHANGE(
      Panel.GATE, "change", Unit.NATS, "Held-out forward KL at the gate, less the published one's"),
  GATE_KL_CHANGE_LOW(
      Panel.GATE,
      "at least",
      Unit.NATS,
      "Lower end of the confidence interval of the gate's KL change"),
  GATE_KL_CHANGE_HIGH(
      Panel.GATE,
      "at most",
      Unit.NATS,
      "Upper end of the confidence interval of the gate's KL change"),

  STUDENT_ENTROPY(
      Panel.ENTROPY,
      "the student's entropy",
      Unit.NATS,
      "Entropy of the student's distribution, temperature 1"),
  CROSS_ENTROPY(
      Panel.ENTROPY,
      "cross-entropy of the text",
      Unit.NATS,
      "Cross-entropy of the token that stands in the text"),

  GRADIENT_NORM(
      Panel.GRADIENT,
      "before clipping",
      Unit.NUMBER,
      "Length of the gradient before clipping, mean"),
  LEARNING_RATE(Panel.LEARNING_RATE, "learning rate", Unit.NUMBER, "Of the last step"),

  LAMBDA(Panel.LAMBDA, "as trained", Unit.SHARE, "Rollouts among the sequences trained on"),
  LAMBDA_TARGET(Panel.LAMBDA, "asked for", Unit.SHARE, "Rollouts that the schedule asks for"),
  STALENESS_VERSIONS(
      Panel.STALENESS,
      "versions",
      Unit.COUNT,
      "Mean student versions begun since the trained rollouts were written"),
  IMPORTANCE(
      Panel.IMPORTANCE,
      "mean weight",
      Unit.NUMBER,
      "Mean weight for staleness of rows that an older student wrote"),
  IMPORTANCE_CLIPPED(
      Panel.IMPORTANCE, "share cut", Unit.SHARE, "Those rows whose weight was cut at the bound"),

  REPLAY_SIZE(Panel.KEPT, "replay", Unit.COUNT, "Sequences kept to train on again"),
  FRESH_SIZE(Panel.KEPT, "fresh", Unit.COUNT, "Sequences that were not trained on yet"),
  ROLLOUTS_HELD(Panel.KEPT, "rollouts", Unit.COUNT, "Scored rollouts that are kept"),
  HELD_OUT_SIZE(Panel.KEPT, "held out", Unit.COUNT, "Sequences kept to measure quality on"),
  SHARE(
      Panel.KEPT,
      "share",
      Unit.SHARE,
      "The segment's share of the sequences kept to train on again"),

  TOKENS_PER_SECOND(
      Panel.SPEED, "labelled tokens/s", Unit.RATE, "Labelled positions trained a second"),
  STEPS_PER_SECOND(Panel.STEPS, "steps/s", Unit.RATE, "Steps a second"),
  SKIPPED_STEPS(Panel.STEPS, "skipped", Unit.COUNT, "Steps that changed nothing, of the whole run"),
  REWINDS(Panel.STEPS, "rewinds", Unit.COUNT, "Times the student went back to a good state"),
  REWARMS(
      Panel.STEPS,
      "re-warmings",
      Unit.COUNT,
      "Times the stream had drifted and the learning rate rose again"),
  QUARANTINE_SIZE(
      Panel.KEPT, "quarantine", Unit.COUNT, "Sequences set aside: their loss was out of bounds"),
  MFU(
      Panel.MFU,
      "of the GEMM peak",
      Unit.SHARE,
      "Arithmetic of the model over the machine's matrix product peak"),
  RESIDENT_BYTES(Panel.MEMORY, "resident", Unit.BYTES, "Memory of the process that is in RAM"),

  LABELS_PER_SECOND(
      Panel.PIPELINE, "labels read/s", Unit.RATE, "Label records of requests read a second"),
  ROLLOUTS_PER_SECOND(Panel.PIPELINE, "rollouts written/s", Unit.RATE, "Rollouts written a second"),
  ROLLOUT_LABELS_PER_SECOND(
      Panel.PIPELINE,
      "scored rollouts read/s",
      Unit.RATE,
      "Label records of rollouts read a second"),
  PROMPTS_PER_SECOND(
      Panel.PIPELINE, "prompts/s", Unit.RATE, "Prompts offered for rollouts a second"),
  ROLLOUTS_TRAINED_PER_SECOND(
      Panel.PIPELINE,
      "rollouts trained/s",
      Unit.RATE,
      "Rollouts trained on a second, repeats included"),
  LABELS_LAG(Panel.WAITING, "labels", Unit.COUNT, "Label records of requests that wait in Kafka"),
  PROMPTS_WAITING(Panel.WAITING, "prompts", Unit.COUNT, "Prompts that wait for a rollout"),
  ROLLOUTS_WRITING(
      Panel.WAITING, "being written", Unit.COUNT, "Rollouts that the student is writing"),
  ROLLOUTS_SCORING(
      Panel.WAITING, "being scored", Unit.COUNT, "Rollouts sent to the teacher and not yet back"),
  ROLLOUT_LABELS_LAG(
      Panel.WAITING, "scored rollouts", Unit.COUNT, "Label records of rollouts that wait in Kafka");

  private static final Map<String, Figure> BY_KEY =
      Stream.of(values()).collect(Collectors.toUnmodifiableMap(Figure::key, Function.identity()));

  private final Panel panel;
  private final String label;
  private final Unit unit;
  private final String help;

  Figure(Panel panel, String label, Unit unit, String help) {
    this.panel = panel;
    this.label = label;
    this.unit = unit;
    this.help = help;
  }

  /** Figures that are looked at together: curves that share their axes. */
  public enum Panel {
    LOSS("Loss"),
    AGREEMENT("Agreement with the teacher"),
    KL("KL from the teacher"),
    GATE("KL at the gate against the published one"),
    ENTROPY("Entropy and cross-entropy"),
    GRADIENT("Gradient norm"),
    LEARNING_RATE("Learning rate"),
    LAMBDA("On-policy share λ"),
    STALENESS("Staleness of rollouts"),
    IMPORTANCE("Importance weights"),
    SPEED("Tokens a second"),
    MFU("Model FLOPs utilisation"),
    PIPELINE("Pipeline"),
    WAITING("What waits"),
    KEPT("Sequences kept"),
    STEPS("Steps"),
    MEMORY("Resident memory");

    private final String title;

    Panel(String title) {
      this.title = title;
    }

    /** For people. */
    public String title() {
      return title;
    }

    /** Its name in tags and JSON. */
    String key() {
      return name().toLowerCase(Locale.ROOT);
    }
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

  /** Its tag in TensorBoard, such as {@code kl/validation_kl}. */
  String tag() {
    return panel.key() + "/" + key();
  }

  public Panel panel() {
    return panel;
  }

  /** Its name beside the others of its panel. */
  public String label() {
    return label;
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
