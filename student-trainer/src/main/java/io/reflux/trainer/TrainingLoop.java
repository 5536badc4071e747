package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.Weights;
import io.reflux.operations.Health;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.kafka.DeadLetters;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.trainer.Intake.MissingRecordsException;
import io.reflux.trainer.IntakeJournal.Entry;
import io.reflux.trainer.IntakeJournal.Run;
import io.reflux.trainer.Pipeline.Sample;
import io.reflux.trainer.SnapshotMaker.Candidate;
import io.reflux.trainer.watch.Happening.Kind;
import io.reflux.trainer.watch.RunWatch;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.errors.RetriableException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * The training thread: labels in, steps, checkpoints, snapshots handed over, progress out. All but
 * {@link #stop} belongs to the one thread that runs it.
 */
final class TrainingLoop implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(TrainingLoop.class);

  /** What the loop's health says of its input. */
  static final String LABELS = "labels";

  private static final Duration WAIT_FOR_LABELS = Duration.ofMillis(200);
  private static final Duration WAIT_FOR_KAFKA = Duration.ofSeconds(1);

  private final TrainerConfig config;
  private final TrainerMeters meters;
  private final Health health;
  private final StudentTraining training;
  private final Checkpoints checkpoints;
  private final Deque<Entry> redo;
  private final Intake intake;
  private final RefusedLabels refused;
  private final Producer<String, byte[]> producer;
  private final RunWatch watch;
  private final ProgressReports progress;
  private final SnapshotQueue snapshots;
  private final RolloutWriter rollouts;
  private final Deque<Runnable> opened;
  private final CountDownLatch stopping = new CountDownLatch(1);

  private long lastSnapshotNanos;
  private long lastSnapshotStep;
  private long lastCheckpointNanos;
  private long lastCheckpointStep;
  private long writing = StudentVersions.NONE;
  private long readAgainNanos;
  private long rolloutsTrained;
  private long idleNanos;

  private TrainingLoop(
      TrainerConfig config,
      SnapshotAccess access,
      LanguageModel teacher,
      TrainerMeters meters,
      Health health,
      Consumer<String> news,
      Deque<Runnable> opened) {
    KafkaClients clients = access.clients();
    this.config = config;
    this.meters = meters;
    this.health = health;
    this.opened = opened;
    StartingStudent student = StartingStudent.of(config, teacher);
    this.checkpoints =
        opened(new Checkpoints(config, student, teacher, meters, health), Checkpoints::close);
    this.training =
        opened(
            new StudentTraining(config, student.config(), student.weights()),
            StudentTraining::close);
    checkpoints.loaded().ifPresent(this::restore);
    IntakeState state = checkpoints.loaded().map(Checkpoint::intake).orElse(IntakeState.NONE);
    LabelSource softLabels =
        opened(
            new LabelSource(clients, Topics.SOFT_LABELS, "trainer-soft-labels", state.positions()),
            LabelSource::close);
    LabelSource rolloutLabels =
        opened(
            new LabelSource(
                clients, Topics.ROLLOUT_LABELS, "trainer-rollout-labels", state.positions()),
            LabelSource::close);
    this.producer = opened(clients.producer("trainer"), Producer::close);
    this.refused = new RefusedLabels(new DeadLetters("trainer", clients, producer), meters);
    this.watch =
        opened(
            RunWatch.open(
                config.studentName(),
                config.dataDir(),
                checkpoints.loaded().isPresent()
                    ? OptionalLong.of(training.stepsDone())
                    : OptionalLong.empty(),
                SettingsText.of(config)),
            RunWatch::close);
    this.snapshots =
        opened(
            new SnapshotQueue(new SnapshotMaker(config, teacher, access), meters, watch, news),
            SnapshotQueue::close);
    this.rollouts =
        opened(
            new RolloutWriter(
                config,
                student.config(),
                teacher,
                clients.writer(Topics.ROLLOUTS, producer),
                meters),
            RolloutWriter::close);
    this.intake =
        new Intake(
            config,
            new LabelIntake(teacher, student.config().maxPositions()),
            softLabels,
            rolloutLabels,
            training,
            rollouts,
            refused,
            meters,
            state,
            stopping);
    this.redo =
        new ArrayDeque<>(checkpoints.doneSince(training.stepsDone(), intake.state().offsets()));
    if (!redo.isEmpty()) {
      log.info("Redoing what was done after the checkpoint at step {}", training.stepsDone());
    }
    long now = System.nanoTime();
    this.progress =
        new ProgressReports(
            config,
            meters,
            watch,
            clients.writer(Topics.TRAINING_PROGRESS, producer),
            pipeline(),
            Utilisation.of(config, student.config()),
            now);
    readAgainNanos = now;
    lastSnapshotNanos = now;
    lastCheckpointNanos = now;
    lastSnapshotStep = training.stepsDone();
    lastCheckpointStep = training.stepsDone();
  }

  private void restore(Checkpoint checkpoint) {
    training.restore(checkpoint.training());
    log.info("Resumed at step {}", training.stepsDone());
  }

  /**
   * Opens everything, resumes, and publishes a first snapshot if the channel has none.
   *
   * @param health told whether labels can be read, as {@link #LABELS}, and of checkpoints that are
   *     torn or cannot be written, as {@link Checkpoints#PART}
   * @param news told in a line what became of each snapshot
   * @throws RefluxException one line; nothing stays open
   */
  static TrainingLoop open(
      TrainerConfig config,
      SnapshotAccess access,
      LanguageModel teacher,
      TrainerMeters meters,
      Health health,
      Consumer<String> news) {
    Deque<Runnable> opened = new ArrayDeque<>();
    boolean complete = false;
    try {
      TrainingLoop loop = new TrainingLoop(config, access, teacher, meters, health, news, opened);
      loop.snapshots.publishFirst(loop.candidate());
      complete = true;
      return loop;
    } finally {
      if (!complete) {
        closeAll(opened);
      }
    }
  }

  /** The run as those see it who look. */
  RunWatch watch() {
    return watch;
  }

  /** Makes {@link #run} return after the step under way; from any thread. */
  void stop() {
    stopping.countDown();
  }

  /** Trains until stopped, or the last step is done; then writes a last checkpoint. */
  void run() {
    if (redo.isEmpty()) {
      renewRollouts();
    }
    while (stopping.getCount() > 0 && !isAtEnd()) {
      turn();
    }
    snapshots.finish();
    producer.flush();
    if (redo.isEmpty()) {
      checkpoint();
    }
    progress.finish(training, System.nanoTime(), pipeline(), snapshots.last());
    if (isAtEnd()) {
      log.info("Stopped at step {}: weights {}", training.stepsDone(), weights().fingerprint());
    }
  }

  private boolean isAtEnd() {
    return training.stepsDone() >= config.stopAtStep().orElse(Long.MAX_VALUE);
  }

  /** Takes in, does a step if there is one to do, and whatever is due between steps. */
  void turn() {
    if (redo.isEmpty()) {
      reading(this::takeIn);
      // Kafka being away keeps nobody from training on what is held. A stop may have cut short what
      // this step is to have before it: the next start takes in the rest.
      if (training.canStep() && stopping.getCount() > 0) {
        checkpoints.note(training.stepsDone() + 1, intake.takeRuns());
        // Only now: a restart redoes what is noted, and offers nothing again.
        intake.takePrompts().forEach(rollouts::offer);
        step();
      }
    } else {
      reading(this::redoNext);
    }
    tick();
  }

  private void reading(Runnable read) {
    if (System.nanoTime() - readAgainNanos < 0) {
      if (!training.canStep() || !redo.isEmpty()) {
        pause();
      }
      return;
    }
    try {
      read.run();
      meters.labelsLag(intake.softLabelsLag());
      if (intake.isStalled()) {
        health.notReady(LABELS, "some that are in Kafka do not come");
      } else {
        health.ready(LABELS);
      }
    } catch (RegistryException e) {
      if (!e.isTransient()) {
        throw e;
      }
      waitForKafka(e);
    } catch (RetriableException e) {
      waitForKafka(e);
    }
  }

  long stepsDone() {
    return training.stepsDone();
  }

  /** The student's as they stand. */
  Weights weights() {
    return training.export();
  }

  private void takeIn() {
    boolean idle = !training.canStep();
    long start = System.nanoTime();
    intake.takeIn(WAIT_FOR_LABELS);
    if (idle) {
      idleNanos += System.nanoTime() - start;
    }
  }

  /** What was noted before a restart: the same records in the same order, and the same step. */
  private void redoNext() {
    Entry next = redo.peek();
    try {
      for (Run run : next.runs()) {
        if (!intake.redo(run, WAIT_FOR_LABELS)) {
          return;
        }
      }
    } catch (MissingRecordsException e) {
      giveUpRedoing(e.getMessage());
      return;
    }
    // They are noted, and prompts were offered then.
    intake.takeRuns();
    intake.takePrompts();
    if (next.step() > 0) {
      if (!training.canStep() || training.stepsDone() + 1 != next.step()) {
        giveUpRedoing(
            "step %d cannot follow step %d; the settings have changed"
                .formatted(next.step(), training.stepsDone()));
        return;
      }
      step();
      meters.stepsRedone().increment();
    }
    redo.remove();
    if (redo.isEmpty()) {
      log.info("Redone up to step {}", training.stepsDone());
      renewRollouts();
    }
  }

  private void giveUpRedoing(String why) {
    log.error(
        "What was done after step {} cannot be redone as it was, and is done anew: {}",
        training.stepsDone(),
        why);
    redo.clear();
    intake.takeRuns();
    intake.takePrompts();
    if (!checkpoint()) {
      // What is noted from now on must not follow what was not redone.
      checkpoints.stopNoting();
    }
    renewRollouts();
  }

  /** Lets go of everything; the last checkpoint is {@link #run}'s. */
  @Override
  public void close() {
    closeAll(opened);
  }

  private void step() {
    StudentTraining.Step step = training.step();
    intake.stepped();
    rolloutsTrained += step.rollouts();
    progress.add(step);
    boolean skipped = step.outcome() != StudentTraining.Outcome.TRAINED;
    meters.stepped(step.losses().rows(), skipped);
    meters.staleRollouts().increment(step.droppedStale());
    for (StudentTraining.Note note : step.notes()) {
      boolean bad = note.kind() == Kind.SKIPPED || note.kind() == Kind.REWOUND;
      log.atLevel(bad ? Level.WARN : Level.INFO)
          .log("Step {}: {}", training.stepsDone(), note.text());
      watch.happened(note.kind(), training.stepsDone(), note.text());
    }
    if (redo.isEmpty() && training.studentVersion() != writing) {
      renewRollouts();
    }
  }

  private void renewRollouts() {
    if (training.stage() == Stage.ON_POLICY) {
      writing = training.studentVersion();
      rollouts.renew(training.student(), training.export(), training.stepsDone());
    }
  }

  /** What time brings about. None of it changes what training does next. */
  private void tick() {
    long now = System.nanoTime();
    snapshots.settle();
    // What is redone is on its way to where it was; a letter that is under way is not yet safe.
    if (redo.isEmpty() && refused.areSent()) {
      if (!snapshots.isBusy() && isSnapshotDue(now)) {
        // What is published must never be ahead of what a restart resumes from.
        if (checkpoint()) {
          snapshots.make(candidate());
        }
        lastSnapshotNanos = now;
        lastSnapshotStep = training.stepsDone();
      }
      if (isCheckpointDue(now)) {
        checkpoint();
      }
    }
    progress.tick(training, now, this::pipeline, snapshots.last());
  }

  private boolean isCheckpointDue(long now) {
    return config.checkpointSteps().isPresent()
        ? training.stepsDone() - lastCheckpointStep >= config.checkpointSteps().getAsLong()
        : now - lastCheckpointNanos >= config.checkpointInterval().toNanos();
  }

  private boolean isSnapshotDue(long now) {
    long steps = training.stepsDone() - lastSnapshotStep;
    return config.snapshotSteps().isPresent()
        ? steps >= config.snapshotSteps().getAsLong()
        : steps > 0 && now - lastSnapshotNanos >= config.snapshotInterval().toNanos();
  }

  private Candidate candidate() {
    return new Candidate(
        training.student(),
        training.export(),
        training.stepsDone(),
        training.rowsTrained(),
        training.parameterCount(),
        intake.state().offsets(),
        training.timesHeld(),
        training.heldOut(),
        training.newestTraffic(LiveQuantisation.tokens(config)));
  }

  private boolean checkpoint() {
    lastCheckpointNanos = System.nanoTime();
    lastCheckpointStep = training.stepsDone();
    boolean saved = checkpoints.save(intake.state(), training.state(), intake.takeRuns());
    intake.takePrompts().forEach(rollouts::offer);
    return saved;
  }

  private Sample pipeline() {
    RolloutWriter.Progress writing = rollouts.progress();
    return new Sample(
        new Pipeline.Counts(
            (long) meters.softLabels().count(),
            writing.offered(),
            writing.written(),
            writing.scored(),
            rolloutsTrained),
        new Pipeline.Waiting(
            writing.prompts(),
            writing.writing(),
            writing.scoring(),
            intake.rolloutLag(),
            intake.softLabelsLag()),
        new Pipeline.Times(writing.waited(), idleNanos, System.nanoTime()));
  }

  private void waitForKafka(RuntimeException problem) {
    log.warn("Labels cannot be read for now: {}", problem.getMessage());
    health.notReady(LABELS, problem.getMessage());
    readAgainNanos = System.nanoTime() + WAIT_FOR_KAFKA.toNanos();
  }

  private void pause() {
    try {
      long nanos = Math.max(0, readAgainNanos - System.nanoTime());
      boolean stopped = stopping.await(nanos, TimeUnit.NANOSECONDS);
      log.debug("stopped meanwhile: {}", stopped);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      stop();
    }
  }

  private <C> C opened(C resource, Consumer<C> close) {
    opened.push(() -> close.accept(resource));
    return resource;
  }

  /** In the opposite order; the first failure is thrown when all have had their turn. */
  private static void closeAll(Deque<Runnable> opened) {
    RuntimeException first = null;
    while (!opened.isEmpty()) {
      try {
        opened.pop().run();
      } catch (RuntimeException e) {
        if (first == null) {
          first = e;
        } else {
          first.addSuppressed(e);
        }
      }
    }
    if (first != null) {
      throw first;
    }
  }
}
