package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.CheckpointStore.Loaded;
import io.reflux.trainer.nn.MemoryEstimate;
import io.reflux.trainer.pretrain.Shape;
import io.reflux.trainer.watch.RunReader;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What a trainer would do with these settings, before anything starts: it reads the teacher, the
 * student and the newest checkpoint, connects to nothing and writes nothing.
 */
public final class DryRun {
  /** Ids a position that labels are taken to name: the scorer's own default. */
  private static final int NAMED_IDS = 50;

  /** The share of free memory above which an estimate is a warning. */
  private static final double TIGHT = 0.9;

  private final TrainerConfig config;
  private final OptionalLong machineBytes;
  private final List<Line> lines = new ArrayList<>();
  private final List<String> warnings = new ArrayList<>();

  private DryRun(TrainerConfig config, OptionalLong machineBytes) {
    this.config = config;
    this.machineBytes = machineBytes;
  }

  /**
   * What it says.
   *
   * @param lines in order
   * @param warnings what a person should look at before starting
   */
  public record Plan(List<Line> lines, List<String> warnings) {}

  /**
   * A line of it.
   *
   * @param name what it is about
   * @param text what would be
   */
  public record Line(String name, String text) {}

  /**
   * Looks at everything.
   *
   * @throws RefluxException one line: what would keep the trainer from starting
   */
  public static Plan of(TrainerConfig config) {
    return of(config, memoryOfMachine());
  }

  /**
   * @param machineBytes of memory; empty if it is not known
   */
  static Plan of(TrainerConfig config, OptionalLong machineBytes) {
    TrainerChecks.requireSane(config);
    DryRun dryRun = new DryRun(config, machineBytes);
    try {
      LanguageModel teacher = TrainerService.teacher(config);
      StartingStudent student = StartingStudent.of(config, teacher);
      dryRun.models(teacher, student);
      dryRun.start(teacher, student);
      dryRun.recipe();
      dryRun.batches();
      dryRun.memory(student.config());
      dryRun.time(student);
      dryRun.schedule(student.config());
      dryRun.topics();
    } catch (ModelException e) {
      throw new RefluxException(e.getMessage(), e);
    }
    return new Plan(List.copyOf(dryRun.lines), List.copyOf(dryRun.warnings));
  }

  private void models(LanguageModel teacher, StartingStudent student) {
    say(
        "teacher",
        "%s: %,d weights, vocabulary %,d, for its tokenizer and template",
        config.teacher().orElseThrow(),
        teacher.config().parameters(),
        teacher.config().vocabularySize());
    ModelConfig shape = student.config();
    say(
        "student",
        "%s %s: %,d weights, %d layers, width %d, %d heads (%d for keys), ffn %d, context %,d",
        config.studentName(),
        Shape.looksLikeShape(config.student()) ? "of a new shape" : "from " + config.student(),
        shape.parameters(),
        shape.layers(),
        shape.hiddenSize(),
        shape.heads(),
        shape.keyValueHeads(),
        shape.intermediateSize(),
        shape.maxPositions());
  }

  private void start(LanguageModel teacher, StartingStudent student) {
    Optional<Loaded> loaded = CheckpointStore.peek(config.dataDir());
    if (loaded.isEmpty()) {
      say("start", "anew at step 0: no checkpoint in %s", config.dataDir());
      say("labels", "from the beginning of the topics");
      return;
    }
    Checkpoint checkpoint = loaded.get().checkpoint();
    Checkpoints.requireOurs(config, checkpoint, student, teacher);
    StudentState state = checkpoint.training();
    say(
        "start",
        "resumes checkpoint %d in %s: step %,d, stage %s, %,d labelled tokens trained; the run goes on in %s",
        loaded.get().number(),
        config.dataDir(),
        state.step(),
        state.staging().stage().name().toLowerCase(Locale.ROOT).replace('_', '-'),
        state.rowsTrained(),
        run());
    say(
        "labels",
        "from the checkpoint's offsets: %s",
        new TreeMap<>(checkpoint.intake().offsets())
            .entrySet().stream()
                .map(entry -> entry.getKey() + " at " + entry.getValue())
                .collect(Collectors.joining(", ")));
    loaded.get().problems().forEach(problem -> warnings.add("torn checkpoint: " + problem));
  }

  private String run() {
    try {
      return RunReader.find(config.dataDir()).toString();
    } catch (RefluxException e) {
      // The run's files are for people; without them a new directory is begun.
      return "a new directory of its runs/";
    }
  }

  private void recipe() {
    say(
        "objective",
        "%s on data, of which %s cross-entropy; %s on rollouts",
        config.objective(),
        number(config.crossEntropyShare()),
        config.rolloutObjective());
    say("stages", "%s", stages());
    say(
        "updates",
        "%s: learning rate %s after %,d steps, down to %s of it in %,d more; gradients up to %s; of %s",
        config.optimizer(),
        number(config.learningRate()),
        config.warmUpSteps(),
        number(config.settledShare()),
        config.settleSteps(),
        number(config.maxGradientNorm()),
        trained());
  }

  private String stages() {
    String rollouts =
        "a share of %s rollouts within %,d steps (temperature %s, up to %d tokens)"
            .formatted(
                number(config.lambda()),
                config.lambdaRampSteps(),
                number(config.rolloutTemperature()),
                config.rolloutMaxTokens());
    if (config.lambda() == 0) {
      return "on data alone: lambda is 0";
    }
    return switch (config.stage()) {
      case DATA -> "on data, until told otherwise";
      case ON_POLICY -> "on-policy at once: " + rollouts;
      case AUTO ->
          "on data until held-out agreement is %s, %d measurements bring nothing%s; then %s"
              .formatted(
                  number(config.onPolicyAgreement()),
                  config.plateauValidations(),
                  config.onPolicySteps().isPresent()
                      ? ", or step %,d".formatted(config.onPolicySteps().getAsLong())
                      : "",
                  rollouts);
    };
  }

  private String trained() {
    if (config.lora().rank() > 0) {
      return "adapters of rank %d on %s".formatted(config.lora().rank(), config.lora().targets());
    }
    return config.frozenLayers() > 0
        ? "all but the first %d layers".formatted(config.frozenLayers())
        : "all weights";
  }

  private void batches() {
    say(
        "step",
        "%,d tokens in micro-batches of %,d, on %s; each label at most %s times",
        config.batchTokens(),
        microBatchTokens(),
        config.devices(),
        number(config.maxReuse()));
    say(
        "kept",
        "%,d sequences of replay and %,d recent ones, %,d rollouts, %,d held out (%s %% of the prompts); %s at most",
        config.replaySize(),
        config.recentSize(),
        config.rolloutSize(),
        config.heldOutSize(),
        number(100 * config.heldOutFraction()),
        bytes(config.bufferBytes()));
  }

  private void memory(ModelConfig student) {
    int longest = Math.min(student.maxPositions(), microBatchTokens());
    MemoryEstimate estimate =
        MemoryEstimate.of(
            student, StudentModel.options(config), microBatchTokens(), longest, NAMED_IDS);
    say(
        "memory",
        "%s beside the JVM: weights %s, gradients %s, moments %s, activations %s, labels %s, and the larger of logits %s and way back %s",
        bytes(estimate.total()),
        bytes(estimate.weights()),
        bytes(estimate.gradients()),
        bytes(estimate.moments()),
        bytes(estimate.activations()),
        bytes(estimate.labels()),
        bytes(estimate.logits()),
        bytes(estimate.backward()));
    long heap = Runtime.getRuntime().maxMemory();
    long total = machineBytes.orElse(0);
    if (total > 0) {
      say(
          "machine",
          "%s of memory, of which the JVM's heap takes up to %s",
          bytes(total),
          bytes(heap));
      if (estimate.total() + heap > TIGHT * total) {
        warnings.add(
            "memory: %s and a heap of %s may not fit into %s (a smaller reflux.train.batch-tokens, or REFLUX_HEAP, makes room)"
                .formatted(bytes(estimate.total()), bytes(heap), bytes(total)));
      }
    }
  }

  private void time(StartingStudent student) {
    StepTime.measure(config, microBatchTokens(), student, NAMED_IDS)
        .ifPresentOrElse(
            time ->
                say(
                    "speed",
                    "about %s a step, %,.0f tokens/s, %.0f %% of %.0f GFLOP/s on %s (measured just now)",
                    seconds(time.step()),
                    time.tokensPerSecond(),
                    100 * time.utilisation(),
                    time.peak() / 1e9,
                    time.device()),
            () -> say("speed", "not measured: the student is too large to try out quickly"));
  }

  private void schedule(ModelConfig student) {
    say(
        "gate",
        "%s",
        config.gate()
            ? "a compressed student is published to '%s' only if it is not worse than the published one by more than %s"
                .formatted(config.channel(), number(config.gateTolerance()))
            : "off: every snapshot is published to '%s'".formatted(config.channel()));
    say(
        "snapshots",
        "%s; measured on held-out sequences every %,d steps",
        config.snapshotSteps().isPresent()
            ? "every %,d steps".formatted(config.snapshotSteps().getAsLong())
            : "every " + text(config.snapshotInterval()),
        config.validationSteps());
    say("compression", "%s", compression(student));
    say(
        "checkpoints",
        "every %s, the newest %d kept, in %s",
        config.checkpointSteps().isPresent()
            ? "%,d steps".formatted(config.checkpointSteps().getAsLong())
            : text(config.checkpointInterval()),
        config.checkpointRetention(),
        config.dataDir());
    say(
        "watch",
        "rows every %s in %s/runs%s",
        text(config.recordInterval()),
        config.dataDir(),
        config.http().port() < 0
            ? ""
            : "; page on http://%s:%d/".formatted(config.http().host(), config.http().port()));
  }

  private String compression(ModelConfig student) {
    String cuts = config.prune().equals("none") ? "" : "; cut " + config.prune();
    long tokens = LiveQuantisation.tokens(config);
    return tokens == 0
        ? "%s, rounded to nearest%s".formatted(config.snapshotFormat(), cuts)
        : "%s by %s on the newest %,d tokens, a token counting half after %,d; %s while it is made%s"
            .formatted(
                config.snapshotFormat(),
                config.quantisationMethod(),
                tokens,
                config.calibrationHalfLife(),
                bytes(LiveQuantisation.bytes(student)),
                cuts);
  }

  private void topics() {
    say("reads", "%s", names(Topics.SOFT_LABELS, Topics.ROLLOUT_LABELS));
    say(
        "writes",
        "%s",
        names(
            Topics.ROLLOUTS,
            Topics.SNAPSHOTS,
            Topics.SNAPSHOT_CHUNKS,
            Topics.SNAPSHOT_POINTERS,
            Topics.TRAINING_PROGRESS,
            Topics.STATUS,
            Topics.DEAD_LETTERS));
  }

  private static String names(Topic<?>... topics) {
    return Stream.of(topics).map(Topic::name).collect(Collectors.joining(", "));
  }

  private void say(String name, String format, Object... values) {
    lines.add(new Line(name, String.format(Locale.ROOT, format, values)));
  }

  private int microBatchTokens() {
    return Math.min(config.microBatchTokens(), config.batchTokens());
  }

  /** Of the machine, or what a container may use of it. */
  private static OptionalLong memoryOfMachine() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean system
        ? OptionalLong.of(system.getTotalMemorySize())
        : OptionalLong.empty();
  }

  private static String number(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e9
        ? String.format(Locale.ROOT, "%,d", (long) value)
        : Double.toString(value);
  }

  private static String bytes(long value) {
    return value < 1e9
        ? String.format(Locale.ROOT, "%,.0f MB", value / 1e6)
        : String.format(Locale.ROOT, "%,.1f GB", value / 1e9);
  }

  private static String seconds(double value) {
    return value < 1
        ? String.format(Locale.ROOT, "%.0f ms", 1e3 * value)
        : String.format(Locale.ROOT, "%.1f s", value);
  }

  private static String text(Duration time) {
    return time.toString().substring(2).toLowerCase(Locale.ROOT);
  }
}
