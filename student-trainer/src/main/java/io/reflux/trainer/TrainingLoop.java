package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.operations.Health;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.kafka.DeadLetters;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.kafka.Traces;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.schemas.labels.HeldOut;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.RolloutWriter.Prompt;
import io.reflux.trainer.SnapshotMaker.Candidate;
import io.reflux.trainer.watch.Happening;
import io.reflux.trainer.watch.RunWatch;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.errors.RetriableException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

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
  private final LabelIntake intake;
  private final StudentTraining training;
  private final CheckpointStore store;
  private final LabelSource softLabels;
  private final LabelSource rolloutLabels;
  private final Producer<String, byte[]> producer;
  private final DeadLetters deadLetters;
  private final RunWatch watch;
  private final ProgressReports progress;
  private final SnapshotQueue snapshots;
  private final RolloutWriter rollouts;
  private final Deque<Runnable> opened;
  private final AtomicInteger lettersUnderWay = new AtomicInteger();
  private final CountDownLatch stopping = new CountDownLatch(1);
  private final String studentShape;
  private final String tokenizerFingerprint;

  private long lastSnapshotNanos;
  private long lastSnapshotStep;
  private long lastCheckpointNanos;
  private long lastRenewalStep = -1;
  private double promptCredit;

  private TrainingLoop(
      TrainerConfig config,
      KafkaClients clients,
      LanguageModel teacher,
      TrainerMeters meters,
      Health health,
      Consumer<String> news,
      Deque<Runnable> opened) {
    this.config = config;
    this.meters = meters;
    this.health = health;
    this.opened = opened;
    this.store = opened(CheckpointStore.open(config.dataDir()), CheckpointStore::close);
    StartingStudent student = StartingStudent.of(config, teacher);
    this.studentShape = student.config().toString();
    this.tokenizerFingerprint = teacher.tokenizerFingerprint();
    this.intake = new LabelIntake(teacher, student.config().maxPositions());
    Optional<Checkpoint> checkpoint = store.load();
    checkpoint.ifPresent(this::requireOurs);
    this.training =
        opened(
            new StudentTraining(config, student.config(), student.weights()),
            StudentTraining::close);
    checkpoint.ifPresent(
        found -> {
          training.restore(found.training());
          log.info("Resumed at step {}", training.stepsDone());
        });
    Map<String, Long> offsets = checkpoint.map(Checkpoint::offsets).orElse(Map.of());
    this.softLabels =
        opened(
            new LabelSource(clients, Topics.SOFT_LABELS, "trainer-soft-labels", offsets),
            LabelSource::close);
    this.rolloutLabels =
        opened(
            new LabelSource(clients, Topics.ROLLOUT_LABELS, "trainer-rollout-labels", offsets),
            LabelSource::close);
    this.producer = opened(clients.producer("trainer"), Producer::close);
    this.deadLetters = new DeadLetters("trainer", clients, producer);
    long now = System.nanoTime();
    this.watch =
        opened(
            RunWatch.open(
                config.studentName(),
                config.dataDir(),
                checkpoint.isPresent()
                    ? OptionalLong.of(training.stepsDone())
                    : OptionalLong.empty(),
                SettingsText.of(config)),
            RunWatch::close);
    this.progress =
        new ProgressReports(
            config, meters, watch, clients.writer(Topics.TRAINING_PROGRESS, producer), now);
    this.snapshots =
        opened(
            new SnapshotQueue(new SnapshotMaker(config, teacher, clients), meters, watch, news),
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
    lastSnapshotNanos = now;
    lastCheckpointNanos = now;
    lastSnapshotStep = training.stepsDone();
  }

  /**
   * Opens everything, resumes, and publishes a first snapshot if the channel has none.
   *
   * @param health told whether labels can be read, as {@link #LABELS}
   * @param news told in a line what became of each snapshot
   * @throws RefluxException one line; nothing stays open
   */
  static TrainingLoop open(
      TrainerConfig config,
      KafkaClients clients,
      LanguageModel teacher,
      TrainerMeters meters,
      Health health,
      Consumer<String> news) {
    Deque<Runnable> opened = new ArrayDeque<>();
    boolean complete = false;
    try {
      TrainingLoop loop = new TrainingLoop(config, clients, teacher, meters, health, news, opened);
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

  /** Trains until stopped; then writes a last checkpoint. */
  void run() {
    if (training.stage() == Stage.ON_POLICY) {
      renewRollouts();
    }
    while (stopping.getCount() > 0) {
      takeInLabels();
      if (training.canStep()) {
        step();
      }
      tick();
    }
    snapshots.finish();
    producer.flush();
    checkpoint();
    progress.finish(training, System.nanoTime(), labelsLag(), snapshots.last());
  }

  /** Lets go of everything; the last checkpoint is {@link #run}'s. */
  @Override
  public void close() {
    closeAll(opened);
  }

  private void takeInLabels() {
    boolean busy = training.canStep();
    try {
      Duration wait = busy ? Duration.ZERO : WAIT_FOR_LABELS;
      for (Received<SoftLabels> record : softLabels.poll(wait, this::undecodable)) {
        meters.softLabels().increment();
        takeIn(record);
      }
      for (Received<SoftLabels> record : rolloutLabels.poll(Duration.ZERO, this::undecodable)) {
        meters.rolloutLabels().increment();
        takeIn(record);
      }
      meters.labelsLag(labelsLag());
      health.ready(LABELS);
    } catch (RegistryException e) {
      if (!e.isTransient()) {
        throw e;
      }
      waitForKafka(e);
    } catch (RetriableException e) {
      waitForKafka(e);
    }
  }

  private void takeIn(Received<SoftLabels> record) {
    SoftLabels labels = record.value();
    Optional<Refusal> refusal = intake.refusal(labels);
    if (refusal.isPresent()) {
      refuse(record, refusal.get());
      return;
    }
    LabelledSequence sequence = intake.accept(labels);
    if (sequence.rows() == 0) {
      return;
    }
    int[] prompt = Arrays.copyOf(sequence.tokenIds(), sequence.promptLength());
    if (HeldOut.isHeldOut(prompt, config.heldOutFraction())) {
      if (!sequence.isRollout()) {
        training.measureOn(sequence);
      }
      return;
    }
    if (sequence.isRollout()) {
      long age = training.stepsDone() - sequence.written().orElseThrow().studentStep();
      // One from the future was written by a student that a lost data directory took along.
      if (age > config.maxStaleness() || age < 0) {
        meters.staleRollouts().increment();
        return;
      }
    } else {
      offerPrompt(record, prompt);
    }
    training.learnFrom(sequence);
  }

  /** As many rollouts a fresh prompt as make the on-policy share; never more than one. */
  private void offerPrompt(Received<SoftLabels> record, int[] prompt) {
    SoftLabels labels = record.value();
    if (training.stage() != Stage.ON_POLICY || labels.getOrigin() == Origin.ROLLOUT) {
      return;
    }
    promptCredit = Math.min(1, promptCredit + config.lambda() / (1 - config.lambda()));
    if (promptCredit >= 1) {
      promptCredit -= 1;
      rollouts.offer(
          new Prompt(
              labels.getRequestId(),
              labels.getSegment(),
              labels.getRequestedAt(),
              prompt,
              Traces.from(record)));
    }
  }

  private void step() {
    Stage before = training.stage();
    StudentTraining.Step step = training.step();
    progress.add(step);
    boolean skipped = !Double.isFinite(step.gradientNorm());
    meters.stepped(step.losses().rows(), skipped);
    meters.staleRollouts().increment(step.droppedStale());
    if (skipped) {
      log.warn(
          "Step {} skipped: its gradient is not finite (loss {})",
          training.stepsDone(),
          step.losses().meanKl());
      watch.happened(
          Happening.Kind.SKIPPED,
          training.stepsDone(),
          "Its gradient was not finite; nothing changed");
    }
    boolean movedOn = training.stage() != before;
    if (movedOn) {
      log.info(
          "Stage {} from step {}: held-out agreement {}",
          training.stage(),
          training.stepsDone(),
          training.agreement());
      watch.happened(
          Happening.Kind.STAGE,
          training.stepsDone(),
          "%s: held-out agreement %s".formatted(training.stage(), training.agreement()));
    }
    boolean renew =
        training.stage() == Stage.ON_POLICY
            && training.stepsDone() - lastRenewalStep >= config.rolloutRefreshSteps();
    if (movedOn || renew) {
      renewRollouts();
    }
  }

  private void renewRollouts() {
    if (training.stage() == Stage.ON_POLICY) {
      lastRenewalStep = training.stepsDone();
      rollouts.renew(training.export(), training.stepsDone());
    }
  }

  private void tick() {
    long now = System.nanoTime();
    snapshots.settle();
    if (!snapshots.isBusy() && isSnapshotDue(now)) {
      training.validate();
      // What is published must never be ahead of what a restart resumes from.
      if (checkpoint()) {
        snapshots.make(candidate());
      }
      lastSnapshotNanos = now;
      lastSnapshotStep = training.stepsDone();
    }
    if (now - lastCheckpointNanos >= config.checkpointInterval().toNanos()
        && lettersUnderWay.get() == 0) {
      checkpoint();
    }
    progress.tick(training, now, labelsLag(), snapshots.last());
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
        offsets(),
        training.heldOut());
  }

  /** Whether it is safely on disk. A failure leaves those before, and is told. */
  private boolean checkpoint() {
    lastCheckpointNanos = System.nanoTime();
    try {
      store.save(
          new Checkpoint(
              studentShape,
              intake.teacherFingerprint(),
              tokenizerFingerprint,
              offsets(),
              training.state()));
      meters.checkpoints().increment();
      return true;
    } catch (IOException e) {
      meters.checkpointFailures().increment();
      log.error(
          "Checkpoint in {} failed, the one before is kept: {}", config.dataDir(), e.getMessage());
      return false;
    }
  }

  private Map<String, Long> offsets() {
    Map<String, Long> offsets = new HashMap<>(softLabels.offsets());
    offsets.putAll(rolloutLabels.offsets());
    return offsets;
  }

  private long labelsLag() {
    return softLabels.lag() + rolloutLabels.lag();
  }

  private void refuse(Received<SoftLabels> record, Refusal refusal) {
    meters.refused(refusal.reason());
    log.warn("Label {} refused: {}", record.coordinates(), refusal.message());
    try {
      track(record.coordinates(), deadLetters.send(record, refusal.reason(), refusal.message(), 1));
    } catch (RegistryException e) {
      log.error("Dead letter of {} not sent: {}", record.coordinates(), e.getMessage());
    }
  }

  private void undecodable(Undecodable record) {
    meters.refused(record.reason());
    log.warn("Label refused: {}", record);
    track(record.coordinates(), deadLetters.send(record, 1));
  }

  private void track(String coordinates, CompletableFuture<RecordMetadata> letter) {
    lettersUnderWay.incrementAndGet();
    var unused =
        letter.whenComplete(
            (sent, error) -> {
              lettersUnderWay.decrementAndGet();
              if (error != null) {
                log.error("Dead letter of {} not sent: {}", coordinates, error.getMessage());
              }
            });
  }

  private void waitForKafka(RuntimeException problem) {
    log.warn("Labels cannot be read for now: {}", problem.getMessage());
    health.notReady(LABELS, problem.getMessage());
    pause();
  }

  private void pause() {
    try {
      boolean stopped = stopping.await(WAIT_FOR_KAFKA.toMillis(), TimeUnit.MILLISECONDS);
      log.debug("stopped meanwhile: {}", stopped);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      stop();
    }
  }

  private void requireOurs(Checkpoint checkpoint) {
    requireSame("student", checkpoint.studentShape(), studentShape);
    requireSame("teacher", checkpoint.teacherFingerprint(), intake.teacherFingerprint());
    requireSame("tokenizer", checkpoint.tokenizerFingerprint(), tokenizerFingerprint);
  }

  private void requireSame(String what, String stored, String given) {
    if (!stored.equals(given)) {
      throw new RefluxException(
          "reflux.train.%s: %s (expected: %s, as the checkpoint in %s has; start anew with another data-dir)"
              .formatted(what, given, stored, config.dataDir()));
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
