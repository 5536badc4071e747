package io.reflux.trainer;

import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.nn.Losses;
import io.reflux.trainer.nn.ModelState;
import io.reflux.trainer.nn.Optimizer;
import io.reflux.trainer.nn.ScheduleFreeAdamW;
import io.reflux.trainer.nn.Trainable;
import io.reflux.trainer.watch.Happening;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;

/**
 * A student and all that it learns from: the teacher's labels of traffic, then mixed with its own
 * scored rollouts (on-policy distillation, arXiv 2306.13649; the two stages of arXiv 2502.14305).
 *
 * <p>Sequences count by the inverse of their sampling probability, over the sum of these in the
 * step: self-normalised, so that a step's size does not hang on how traffic was sampled. Factors
 * for rollouts that are too old, all at most the clip, are not normalised.
 *
 * <p>Knows neither clock nor Kafka: the same calls in the same order give the same bits, also after
 * a {@link #restore} of what {@link #state} gave. All decisions are made at steps. One thread at a
 * time.
 */
public final class StudentTraining implements AutoCloseable {
  /** Origin in figures: data that is trained on for the first time. */
  public static final String FRESH = "fresh";

  /** Origin in figures: data that was trained on before. */
  public static final String REPLAYED = "replayed";

  /** Origin in figures: the student's own responses. */
  public static final String ROLLOUT = "rollouts";

  private static final String NOT_PRUNED = "none";

  private final TrainerConfig config;
  private final Optimizer optimizer;
  private final GradualPruning pruning;
  private final RandomBits random;
  private final ReplayBuffer replay;
  private final LatestSequences rollouts;
  private final LatestSequences heldOut;
  private final Recipe recipe;
  private final StudentVersions versions;
  private final LearningRatePolicy learningRate;
  private final DriftDetector drift;
  private final StepGuard guard;

  // These are made anew when the student is cut.
  private Trainable model;
  private Lessons lessons;
  private GoodStudent good;
  private boolean open;

  private long step;
  private long rowsTrained;
  private long sequencesSeen;
  private double credit;
  private double lastKl = Double.NaN;
  private double lastAgreement = Double.NaN;
  private Tally tally = Tally.NONE;
  private Optional<Validation> validation = Optional.empty();

  /**
   * A student that has not been trained here.
   *
   * @param student its shape
   * @param weights to start from
   * @throws RefluxException one line, if the configuration cannot be
   */
  public StudentTraining(TrainerConfig config, ModelConfig student, Weights weights) {
    TrainerChecks.requireSane(config);
    this.config = config;
    Optimizer plain =
        Optimizer.parse(config.optimizer(), config.weightDecay(), config.maxGradientNorm());
    boolean scheduleFree = plain instanceof ScheduleFreeAdamW;
    this.optimizer =
        plain instanceof ScheduleFreeAdamW free
            ? free.withLongestAverage(config.longestAverage())
            : plain;
    this.pruning = new GradualPruning(config, student);
    open(student, weights);
    this.random = new RandomBits(config.seed());
    long bytes = config.bufferBytes();
    this.replay =
        new ReplayBuffer(
            config.replaySize(),
            config.recentSize(),
            config.recentShare(),
            bytes / 2,
            config.replayHalfLife().toMillis());
    this.rollouts = new LatestSequences(config.rolloutSize(), bytes / 8, 0);
    this.heldOut = new LatestSequences(config.heldOutSize(), bytes / 4, Lessons.RESERVED_SHARE);
    this.recipe = new Recipe(config);
    this.versions = new StudentVersions(config.maxStaleness());
    this.learningRate =
        new LearningRatePolicy(
            config.learningRate(),
            config.warmUpSteps(),
            config.settleSteps(),
            // Its average takes the place of a rate that falls.
            scheduleFree ? 1 : config.settledShare());
    this.drift = new DriftDetector(config.driftThreshold());
    this.guard = new StepGuard(config, bytes / 8);
  }

  private void open(ModelConfig student, Weights weights) {
    model = StudentModel.open(config, student, weights, optimizer);
    open = true;
    lessons = new Lessons(config, model);
    good = new GoodStudent(model, lessons);
  }

  /** Goes on with a student of another shape; the old one goes first, for both may not fit. */
  private void become(ModelConfig student, Weights weights) {
    open = false;
    model.close();
    open(student, weights);
  }

  /** What became of a step. */
  public enum Outcome {
    /** The student learned. */
    TRAINED,
    /** Nothing changed, because a loss or the gradient was not finite. */
    NOT_FINITE,
    /** Nothing changed, because a loss was out of bounds. */
    SPIKE
  }

  /**
   * What a step did.
   *
   * @param losses of its sequences, before the update; the parts' origins are {@link #FRESH},
   *     {@link #REPLAYED} and {@link #ROLLOUT}
   * @param learningRate of the update
   * @param gradientNorm before clipping
   * @param sequences that it was of
   * @param tokens of them, prompts included
   * @param rollouts among them
   * @param lambda the share that rollouts should have had
   * @param staleness mean versions that the rollouts' students were behind; 0 without any
   * @param droppedStale rollouts that had become too old and were let go
   * @param weightedStale rollouts that were too old and counted by their importance
   * @param notes what was out of the ordinary
   */
  public record Step(
      Outcome outcome,
      Losses losses,
      double learningRate,
      double gradientNorm,
      int sequences,
      long tokens,
      int rollouts,
      double lambda,
      double staleness,
      int droppedStale,
      int weightedStale,
      List<Note> notes) {
    /** Losses of an origin, whatever the objective. */
    public Losses losses(String origin) {
      return ofOrigin(losses, origin);
    }
  }

  /**
   * Something out of the ordinary at a step.
   *
   * @param text one line for people
   */
  public record Note(Happening.Kind kind, String text) {}

  /** The part of losses that is of an origin, whatever the objective. */
  static Losses ofOrigin(Losses losses, String origin) {
    Losses sum = Losses.NONE;
    for (var part : losses.parts().entrySet()) {
      sum = part.getKey().origin().equals(origin) ? sum.plus(part.getValue()) : sum;
    }
    return sum;
  }

  /** The student's shape. */
  public ModelConfig student() {
    return model.config();
  }

  /** Weights. */
  public long parameterCount() {
    return model.parameterCount();
  }

  /**
   * Takes in a sequence to learn from.
   *
   * @return false for a rollout that is let go of at once, and counted: too old, or of a student
   *     that this one has never been, because a lost data directory took that one along
   */
  public boolean learnFrom(LabelledSequence sequence) {
    if (sequence.isRollout()) {
      if (isForeign(sequence) || lessons.isUnusable(sequence, versions)) {
        tally = tally.plus(Tally.ofStale(1, 0));
        return false;
      }
      rollouts.add(sequence);
    } else {
      replay.add(sequence, random);
      sequencesSeen++;
    }
    credit = Math.min(credit + sequence.rows() * config.maxReuse(), mostCredit());
    if (sequencesSeen >= config.minimumLabels()) {
      recipe.begin();
    }
    return true;
  }

  /** Takes in a sequence to measure on. */
  public void measureOn(LabelledSequence sequence) {
    heldOut.add(sequence);
  }

  /** Whether there is enough to train on that was not repeated too often. */
  public boolean canStep() {
    return recipe.stage() != Stage.WAITING && credit > 0 && replay.size() > 0;
  }

  /** Trains on one batch, and measures on held-out sequences when it is time. */
  public Step step() {
    List<Note> notes = new ArrayList<>();
    if (pruning.isDue(step, model.config())) {
      cut(notes);
    }
    int dropped = rollouts.removeIf(rollout -> lessons.isUnusable(rollout, versions));
    double lambda = recipe.lambda(step);
    List<Lessons.Lesson> drawn = draw(lambda);
    double rate = learningRate.at(step);
    Losses losses = lessons.accumulate(drawn);
    Outcome outcome;
    double norm = model.gradientNorm();
    StepGuard.Verdict verdict = guard.judge(losses, norm);
    if (verdict.isSound()) {
      model.update(rate);
      outcome = Double.isFinite(norm) ? Outcome.TRAINED : Outcome.NOT_FINITE;
      if (outcome == Outcome.TRAINED) {
        good.learned();
      }
    } else {
      model.discard();
      outcome = verdict.isFinite() ? Outcome.SPIKE : Outcome.NOT_FINITE;
    }
    step++;
    int weighted = account(drawn);
    tally = tally.plus(Tally.ofStale(dropped, weighted));
    if (outcome != Outcome.TRAINED) {
      skipped(outcome, verdict, norm, drawn, notes);
    }
    watchDrift(losses, notes);
    if (step % config.validationSteps() == 0) {
      validateAtStep(notes);
    }
    moveOn(notes);
    long onPolicy = drawn.stream().filter(lesson -> lesson.sequence().isRollout()).count();
    double age = drawn.stream().mapToInt(Lessons.Lesson::versionsBehind).sum();
    return new Step(
        outcome,
        losses,
        rate,
        norm,
        drawn.size(),
        drawn.stream().mapToLong(lesson -> lesson.sequence().tokenIds().length).sum(),
        (int) onPolicy,
        lambda,
        onPolicy == 0 ? 0 : age / onPolicy,
        dropped,
        weighted,
        List.copyOf(notes));
  }

  /**
   * Measures the student as it is on held-out sequences, for show: no decision depends on it.
   *
   * @return the figures; empty without held-out sequences
   */
  public Optional<Validation> validate() {
    if (heldOut.size() > 0) {
      validation = Optional.of(Validation.of(step, lessons.measure(heldOut)));
    }
    return validation;
  }

  /** A copy of the weights as they stand. */
  public MemoryWeights export() {
    return model.export();
  }

  /** Times of the requests trained on, as far as they are held. */
  Optional<TimeRange> timesHeld() {
    return replay.times();
  }

  /** Token ids of the newest sequences to train on, of about so many tokens, oldest first. */
  List<int[]> newestTraffic(long tokens) {
    return NewestTraffic.of(replay.contents(), tokens);
  }

  /** What it is measured on, oldest first. */
  public List<LabelledSequence> heldOut() {
    return heldOut.all();
  }

  /** Held-out sequences. */
  public int heldOutSize() {
    return heldOut.size();
  }

  /** Of the recipe. */
  public Stage stage() {
    return recipe.stage();
  }

  /** Steps tried, skipped ones included. */
  public long stepsDone() {
    return step;
  }

  /** Share of the next step's sequences that should be rollouts. */
  public double lambda() {
    return recipe.lambda(step);
  }

  /**
   * Number of the newest student version, the step at which it began: from then on rollouts should
   * be written with the weights as they were after that step. -1 before the first.
   */
  public long studentVersion() {
    return versions.newest();
  }

  /** What was out of the ordinary so far. */
  public Tally tally() {
    return tally;
  }

  /** Labelled rows trained, repeats counted. */
  public long rowsTrained() {
    return rowsTrained;
  }

  /** Labelled sequences taken in for training. */
  public long sequencesSeen() {
    return sequencesSeen;
  }

  /** Sequences kept to train on. */
  public int replaySize() {
    return replay.size();
  }

  /** Memory of these, in bytes. */
  public long replayBytes() {
    return replay.bytes();
  }

  /** The same sequences by segment. */
  public SortedMap<String, Integer> replayMix() {
    return replay.mix();
  }

  /** Sequences not trained on yet. */
  public int freshSize() {
    return replay.freshSize();
  }

  /** Scored rollouts kept. */
  public int rolloutsHeld() {
    return rollouts.size();
  }

  /** Sequences set aside because their loss was out of bounds. */
  public int quarantineSize() {
    return guard.quarantineSize();
  }

  /** The last measurement on held-out sequences; empty before the first. */
  public Optional<Validation> validation() {
    return validation;
  }

  /** Last held-out agreement; NaN before the first. */
  public double agreement() {
    return validation.map(last -> last.overall().agreement()).orElse(Double.NaN);
  }

  /** Last held-out KL, nats; NaN before the first. */
  public double kl() {
    return validation.map(last -> last.overall().kl()).orElse(Double.NaN);
  }

  /** A copy of everything that a later step depends on. */
  public StudentState state() {
    ModelState now = model.state();
    return new StudentState(
        now,
        good.state(now),
        random.state(),
        step,
        rowsTrained,
        sequencesSeen,
        credit,
        lastKl,
        lastAgreement,
        tally,
        validation,
        recipe.state(),
        versions.state(),
        learningRate.state(),
        drift.state(),
        guard.state(),
        replay.contents(),
        rollouts.all(),
        guard.quarantine(),
        heldOut.all());
  }

  /** Takes up where another training was. */
  public void restore(StudentState state) {
    ModelConfig shape = pruning.shapeAfter(state.step());
    if (!shape.equals(model.config())) {
      // What it starts from is of no matter.
      become(shape, RandomModel.weights(shape, config.seed()));
    }
    restoreModel(state.model());
    good.restore(state.good(), state.model());
    random.restore(state.random());
    step = state.step();
    rowsTrained = state.rowsTrained();
    sequencesSeen = state.sequencesSeen();
    credit = state.credit();
    lastKl = state.lastKl();
    lastAgreement = state.lastAgreement();
    tally = state.tally();
    validation = state.validation();
    recipe.restore(state.staging());
    versions.restore(state.versions());
    learningRate.restore(state.ramp());
    drift.restore(state.drift());
    guard.restore(state.guards(), state.quarantine());
    replay.restore(state.replay());
    rollouts.clear();
    rollouts.addAll(state.rollouts());
    heldOut.clear();
    heldOut.addAll(state.heldOut());
  }

  private void restoreModel(ModelState state) {
    try {
      model.restore(state);
    } catch (ModelException e) {
      if (config.prune().equals(NOT_PRUNED)) {
        throw e;
      }
      throw new RefluxException(
          "reflux.train.prune: %s: %s; the schedule must be the one that the checkpoint was made with"
              .formatted(config.prune(), e.getMessage()),
          e);
    }
  }

  @Override
  public void close() {
    if (open) {
      open = false;
      model.close();
    }
  }

  /** Losses will be other ones than before, and none of that is the stream's doing. */
  private void cut(List<Note> notes) {
    GradualPruning.Cut cut = pruning.cut(step, model, replay.contents());
    become(cut.config(), cut.weights());
    model.restore(cut.state());
    guard.forget();
    drift.restore(StudentState.Drift.NONE);
    learningRate.rewarm(step);
    recipe.forget();
    lastKl = Double.NaN;
    if (recipe.stage() == Stage.ON_POLICY) {
      versions.begin(step);
    }
    notes.add(new Note(Happening.Kind.NOTE, cut.text()));
  }

  private List<Lessons.Lesson> draw(double lambda) {
    List<Lessons.Lesson> drawn = new ArrayList<>();
    List<LabelledSequence> scored = rollouts.all();
    long tokens = 0;
    // What is drawn for the first time may be drawn again before the step has trained on it.
    Set<LabelledSequence> fresh = Collections.newSetFromMap(new IdentityHashMap<>());
    while (tokens < config.batchTokens()) {
      if (lambda > 0 && !scored.isEmpty() && random.nextDouble() < lambda) {
        LabelledSequence rollout = scored.get((int) random.below(scored.size()));
        drawn.add(lessons.ofRollout(rollout, versions));
        tokens += rollout.tokenIds().length;
        continue;
      }
      ReplayBuffer.Drawn next = replay.draw(random);
      if (next.fresh()) {
        fresh.add(next.sequence());
      }
      drawn.add(lessons.ofData(next.sequence(), fresh.contains(next.sequence())));
      tokens += next.sequence().tokenIds().length;
    }
    return drawn;
  }

  /** Counts what was drawn, also if the step was skipped: else it might be tried for ever. */
  private int account(List<Lessons.Lesson> drawn) {
    int weighted = 0;
    for (Lessons.Lesson lesson : drawn) {
      rowsTrained += lesson.sequence().rows();
      credit -= lesson.sequence().rows();
      weighted += lesson.isWeighted() ? 1 : 0;
    }
    return weighted;
  }

  private void skipped(
      Outcome outcome,
      StepGuard.Verdict verdict,
      double norm,
      List<Lessons.Lesson> drawn,
      List<Note> notes) {
    tally = tally.plus(outcome == Outcome.SPIKE ? Tally.ofSpike() : Tally.ofNotFinite());
    List<StudentState.Quarantined> culprits =
        verdict.isSound() ? List.of() : guard.culprits(verdict, drawn, lessons);
    for (StudentState.Quarantined culprit : culprits) {
      if (culprit.sequence().isRollout()) {
        rollouts.removeIf(held -> held == culprit.sequence());
      } else {
        replay.remove(culprit.sequence());
      }
      guard.quarantine(culprit);
    }
    tally = tally.plus(Tally.ofQuarantine(culprits.size(), 0));
    notes.add(
        new Note(
            Happening.Kind.SKIPPED,
            "skipped: %s, gradient norm %s; %d sequences quarantined"
                .formatted(verdict, norm, culprits.size())));
    if (guard.strike(step)) {
      goBack(notes);
    }
  }

  private void goBack(List<Note> notes) {
    Optional<GoodStudent.Return> gone = good.goBack(heldOut);
    if (gone.isEmpty()) {
      return;
    }
    learningRate.startOver(step);
    guard.forget();
    if (recipe.stage() == Stage.ON_POLICY) {
      versions.begin(step);
    }
    tally = tally.plus(Tally.ofRewind());
    notes.add(
        new Note(
            Happening.Kind.REWOUND,
            "back to the student after step %d, held-out KL %s instead of %s; the learning rate starts over"
                .formatted(gone.get().step(), gone.get().kl(), gone.get().klBefore())));
  }

  private void watchDrift(Losses losses, List<Note> notes) {
    Losses fresh = ofOrigin(losses, FRESH);
    double loss = fresh.meanKl();
    if (fresh.distilledRows() > 0
        && Double.isFinite(loss)
        && drift.observe(loss, fresh.distilledRows())) {
      learningRate.rewarm(step);
      tally = tally.plus(Tally.ofRewarm());
      notes.add(
          new Note(
              Happening.Kind.NOTE,
              "the stream has drifted, fresh sequences cost %s nats a row; the learning rate rises again"
                  .formatted(loss)));
    }
  }

  private void validateAtStep(List<Note> notes) {
    takeBack(notes);
    if (heldOut.size() == 0) {
      return;
    }
    Validation measured = Validation.of(step, lessons.measure(heldOut));
    validation = Optional.of(measured);
    double kl = measured.overall().kl();
    double agreement = measured.overall().agreement();
    recipe.validated(kl, agreement);
    boolean holds =
        Double.isFinite(kl) && (Double.isNaN(lastKl) || StepGuard.isNotWorse(kl, lastKl));
    if (config.rewindAfter() > 0 && holds && guard.isCalm(step)) {
      good.keep(step);
    }
    lastKl = kl;
    lastAgreement = agreement;
  }

  /** What is within bounds by now was no poison, but news. */
  private void takeBack(List<Note> notes) {
    int released = 0;
    for (boolean rollout : new boolean[] {false, true}) {
      LabelledSequence sequence = guard.release(rollout);
      while (sequence != null) {
        released++;
        if (rollout) {
          rollouts.add(sequence);
        } else {
          replay.add(sequence, random);
        }
        sequence = guard.release(rollout);
      }
    }
    if (released > 0) {
      tally = tally.plus(Tally.ofQuarantine(0, released));
      notes.add(
          new Note(Happening.Kind.NOTE, "%d quarantined sequences taken back".formatted(released)));
    }
  }

  private void moveOn(List<Note> notes) {
    if (recipe.moveOn(step)) {
      notes.add(
          new Note(
              Happening.Kind.STAGE,
              "%s: held-out agreement %s, KL %s".formatted(recipe.stage(), lastAgreement, lastKl)));
      if (recipe.stage() == Stage.ON_POLICY) {
        versions.begin(step);
      }
    } else if (recipe.stage() == Stage.ON_POLICY
        && step - versions.newest() >= config.rolloutRefreshSteps()) {
      versions.begin(step);
    }
  }

  private boolean isForeign(LabelledSequence rollout) {
    return rollout.written().orElseThrow().studentStep() > step;
  }

  /** So many passes over what is held, and no more, are made without anything new. */
  private double mostCredit() {
    return (replay.rows() + rollouts.rows()) * config.maxReuse();
  }
}
