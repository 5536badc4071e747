package io.reflux.trainer;

import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.schemas.avro.Stage;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.Losses;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Trainable;
import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.pretrain.LengthBuckets;
import java.util.ArrayList;
import java.util.List;

/**
 * A student and all that it learns from: forward KL on teacher-labelled traffic, then mixed with
 * its own scored rollouts (on-policy distillation, arXiv 2306.13649; the two stages of arXiv
 * 2502.14305).
 *
 * <p>Knows neither clock nor Kafka: the same calls in the same order give the same bits. One thread
 * at a time.
 */
public final class StudentTraining implements AutoCloseable {
  /** Held-out sequences a measurement between snapshots: enough for a trend, soon done. */
  private static final int VALIDATION_SEQUENCES = 128;

  private final TrainerConfig config;
  private final Trainable model;
  private final Objective objective;
  private final RandomBits random;
  private final ReplayBuffer replay;
  private final LatestSequences rollouts;
  private final LatestSequences heldOut;

  private Stage stage = Stage.WAITING;
  private long step;
  private long skippedSteps;
  private long rowsTrained;
  private long sequencesSeen;
  private double credit;
  private double agreement = Double.NaN;
  private double kl = Double.NaN;

  /**
   * A student that has not been trained here.
   *
   * @param student its shape
   * @param weights to start from
   */
  public StudentTraining(TrainerConfig config, ModelConfig student, Weights weights) {
    this.config = config;
    AdamW adamW = new AdamW(0.9, 0.95, 1e-8, config.weightDecay(), config.maxGradientNorm());
    this.model = StudentModel.open(config, student, weights, adamW);
    this.objective = Objective.forwardKl(config.crossEntropyShare());
    this.random = new RandomBits(config.seed());
    this.replay = new ReplayBuffer(config.replaySize(), config.recentSize(), config.recentShare());
    this.rollouts = new LatestSequences(config.rolloutSize());
    this.heldOut = new LatestSequences(config.heldOutSize());
  }

  /**
   * What a step did.
   *
   * @param losses of its sequences, before the update
   * @param gradientNorm before clipping; not finite if the step was skipped
   * @param sequences trained on
   * @param rollouts among them
   * @param staleness mean steps since the rollouts were written; 0 without any
   * @param droppedStale rollouts that had become too old and were let go
   */
  public record Step(
      Losses losses,
      double learningRate,
      double gradientNorm,
      int sequences,
      int rollouts,
      double staleness,
      int droppedStale) {}

  /** The student's shape. */
  public ModelConfig student() {
    return model.config();
  }

  /** Weights. */
  public long parameterCount() {
    return model.parameterCount();
  }

  /** Takes in a sequence to learn from. */
  public void learnFrom(LabelledSequence sequence) {
    if (sequence.isRollout()) {
      rollouts.add(sequence);
    } else {
      replay.add(sequence, random);
      sequencesSeen++;
    }
    credit = Math.min(credit + sequence.rows() * config.maxReuse(), mostCredit());
    if (stage == Stage.WAITING && sequencesSeen >= config.minimumLabels()) {
      stage = Stage.ON_DATA;
    }
  }

  /** Takes in a sequence to measure on. */
  public void measureOn(LabelledSequence sequence) {
    heldOut.add(sequence);
  }

  /** Whether there is enough to train on that was not repeated too often. */
  public boolean canStep() {
    return stage != Stage.WAITING && credit > 0 && replay.size() > 0;
  }

  /** Trains on one batch, and measures on held-out sequences when it is time. */
  public Step step() {
    int dropped = rollouts.dropWrittenBefore(step - config.maxStaleness());
    List<LabelledSequence> drawn = draw();
    List<TrainingSequence> sequences =
        drawn.stream().map(sequence -> sequence.toTraining(objective)).toList();
    double total = Batch.totalWeight(sequences);
    Losses losses = Losses.NONE;
    List<Batch> batches = new ArrayList<>();
    for (List<TrainingSequence> part : LengthBuckets.cut(sequences, config.batchTokens())) {
      Batch batch = new Batch(part, model.config().vocabularySize(), total);
      batches.add(batch);
    }
    for (Losses part : model.accumulate(batches)) {
      losses = losses.plus(part);
    }
    double learningRate =
        config.learningRate() * Math.min(1, (step + 1.0) / Math.max(1, config.warmUpSteps()));
    double norm = model.update(learningRate);
    step++;
    if (!Double.isFinite(norm)) {
      skippedSteps++;
    }
    int onPolicy = 0;
    long age = 0;
    for (LabelledSequence sequence : drawn) {
      rowsTrained += sequence.rows();
      credit -= sequence.rows();
      if (sequence.isRollout()) {
        onPolicy++;
        age += step - sequence.written().orElseThrow().studentStep();
      }
    }
    if (step % config.validationSteps() == 0) {
      validate();
    }
    moveOn();
    double staleness = onPolicy == 0 ? 0 : (double) age / onPolicy;
    return new Step(losses, learningRate, norm, drawn.size(), onPolicy, staleness, dropped);
  }

  /** Measures the student as it is, in float32, on the newest held-out sequences. */
  public void validate() {
    if (heldOut.size() == 0) {
      return;
    }
    List<TrainingSequence> sequences =
        heldOut.newest(VALIDATION_SEQUENCES).stream()
            .map(sequence -> sequence.toTraining(objective))
            .toList();
    Losses losses = Losses.NONE;
    for (List<TrainingSequence> part : LengthBuckets.cut(sequences, config.batchTokens())) {
      losses = losses.plus(model.measure(new Batch(part, model.config().vocabularySize())));
    }
    agreement = losses.agreement();
    kl = losses.meanKl();
  }

  /** A copy of the weights as they stand. */
  public MemoryWeights export() {
    return model.export();
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
    return stage;
  }

  /** Steps tried, skipped ones included. */
  public long stepsDone() {
    return step;
  }

  /** Steps that changed nothing because their gradient was not finite. */
  public long skippedSteps() {
    return skippedSteps;
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

  /** Of them not trained on yet. */
  public int freshSize() {
    return replay.freshSize();
  }

  /** Scored rollouts kept. */
  public int rolloutsHeld() {
    return rollouts.size();
  }

  /** Last held-out agreement; NaN before the first. */
  public double agreement() {
    return agreement;
  }

  /** Last held-out KL, nats; NaN before the first. */
  public double kl() {
    return kl;
  }

  /** A copy of everything that a later step depends on. */
  public StudentState state() {
    return new StudentState(
        model.state(),
        random.state(),
        stage,
        step,
        skippedSteps,
        rowsTrained,
        sequencesSeen,
        credit,
        agreement,
        kl,
        replay.contents(),
        rollouts.all(),
        heldOut.all());
  }

  /** Takes up where another training was. */
  public void restore(StudentState state) {
    model.restore(state.model());
    random.restore(state.random());
    stage = state.stage();
    step = state.step();
    skippedSteps = state.skippedSteps();
    rowsTrained = state.rowsTrained();
    sequencesSeen = state.sequencesSeen();
    credit = state.credit();
    agreement = state.agreement();
    kl = state.kl();
    replay.restore(state.replay());
    rollouts.clear();
    rollouts.addAll(state.rollouts());
    heldOut.clear();
    heldOut.addAll(state.heldOut());
  }

  @Override
  public void close() {
    model.close();
  }

  private List<LabelledSequence> draw() {
    List<LabelledSequence> drawn = new ArrayList<>();
    List<LabelledSequence> scored = rollouts.all();
    long tokens = 0;
    while (tokens < config.batchTokens()) {
      boolean onPolicy =
          stage == Stage.ON_POLICY && !scored.isEmpty() && random.nextDouble() < config.lambda();
      LabelledSequence sequence =
          onPolicy ? scored.get((int) random.below(scored.size())) : replay.draw(random);
      drawn.add(sequence);
      tokens += sequence.tokenIds().length;
    }
    return drawn;
  }

  private void moveOn() {
    boolean ready =
        agreement >= config.onPolicyAgreement()
            || step >= config.onPolicySteps().orElse(Long.MAX_VALUE);
    if (stage == Stage.ON_DATA && config.lambda() > 0 && ready) {
      stage = Stage.ON_POLICY;
    }
  }

  /** So many passes over what is held, and no more, are made without anything new. */
  private double mostCredit() {
    return (replay.rows() + rollouts.rows()) * config.maxReuse();
  }
}
