package io.reflux.trainer;

import io.reflux.model.LanguageModel;
import io.reflux.operations.Health;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.CheckpointStore.Loaded;
import io.reflux.trainer.IntakeJournal.Entry;
import io.reflux.trainer.IntakeJournal.Run;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What a restart goes on from: checkpoints, and the journal of what was taken in since. Tells
 * health of what is torn and what cannot be written. One thread at a time.
 */
final class Checkpoints implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Checkpoints.class);

  /** What health says of them. */
  static final String PART = "checkpoint";

  private final TrainerConfig config;
  private final TrainerMeters meters;
  private final Health health;
  private final CheckpointStore store;
  private final IntakeJournal journal;
  private final String studentShape;
  private final String teacherFingerprint;
  private final String tokenizerFingerprint;
  private final Optional<Loaded> loaded;

  /**
   * Takes the data directory, and reads what is there.
   *
   * @throws RefluxException if it is in use or cannot be, has no whole checkpoint, or one of
   *     another student, teacher or tokenizer
   */
  Checkpoints(
      TrainerConfig config,
      StartingStudent student,
      LanguageModel teacher,
      TrainerMeters meters,
      Health health) {
    this.config = config;
    this.meters = meters;
    this.health = health;
    this.studentShape = student.config().toString();
    this.teacherFingerprint = teacher.fingerprint();
    this.tokenizerFingerprint = teacher.tokenizerFingerprint();
    this.journal = new IntakeJournal(config.dataDir());
    this.store = CheckpointStore.open(config.dataDir(), config.checkpointRetention());
    boolean read = false;
    try {
      this.loaded = store.load();
      loaded.ifPresent(found -> requireOurs(config, found.checkpoint(), student, teacher));
      tell(loaded.map(Loaded::problems).orElse(List.of()));
      read = true;
    } finally {
      if (!read) {
        store.close();
      }
    }
  }

  private void tell(List<String> problems) {
    problems.forEach(problem -> meters.checkpointsTorn().increment());
    if (problems.isEmpty()) {
      health.ready(PART);
    } else {
      health.notReady(
          PART, "an older one is used until the next is written: " + String.join("; ", problems));
    }
  }

  /** The newest checkpoint that was whole at the start. */
  Optional<Checkpoint> loaded() {
    return loaded.map(Loaded::checkpoint);
  }

  /**
   * What was done after that, to be done again, in order.
   *
   * @param step that the checkpoint has
   * @param offsets next ones, as it has them
   */
  List<Entry> doneSince(long step, Map<String, Long> offsets) {
    return journal.resume(loaded.map(Loaded::number).orElse(0L), step, offsets);
  }

  /** Notes what was taken in before a step. */
  void note(long step, List<Run> runs) {
    if (!journal.append(step, runs)) {
      health.notReady(PART, "what is taken in cannot be noted until the next is written");
    }
  }

  /**
   * Whether it is safely on disk. A failure leaves those before, and is told.
   *
   * @param runs taken in since the last step
   */
  boolean save(IntakeState intake, StudentState training, List<Run> runs) {
    if (!runs.isEmpty()) {
      // Should this checkpoint be torn, the one before goes on past it.
      note(0, runs);
    }
    try {
      store.save(
          new Checkpoint(studentShape, teacherFingerprint, tokenizerFingerprint, intake, training));
    } catch (IOException e) {
      meters.checkpointFailures().increment();
      health.notReady(PART, "cannot be written, the one before is kept: " + e.getMessage());
      log.error(
          "Checkpoint in {} failed, the one before is kept: {}", config.dataDir(), e.getMessage());
      return false;
    }
    meters.checkpoints().increment();
    if (journal.begin(store.newest(), training.step(), intake.offsets())) {
      health.ready(PART);
    }
    journal.prune(store.oldest());
    return true;
  }

  /** Nothing is noted until the next checkpoint: it would follow what was not done. */
  void stopNoting() {
    journal.close();
  }

  @Override
  public void close() {
    journal.close();
    store.close();
  }

  /** A checkpoint of another student, teacher or tokenizer cannot be gone on from. */
  static void requireOurs(
      TrainerConfig config, Checkpoint checkpoint, StartingStudent student, LanguageModel teacher) {
    requireSame(config, "student", checkpoint.studentShape(), student.config().toString());
    requireSame(config, "teacher", checkpoint.teacherFingerprint(), teacher.fingerprint());
    requireSame(
        config, "tokenizer", checkpoint.tokenizerFingerprint(), teacher.tokenizerFingerprint());
  }

  private static void requireSame(TrainerConfig config, String what, String stored, String given) {
    if (!stored.equals(given)) {
      throw new RefluxException(
          "reflux.train.%s: %s (expected: %s, as the checkpoint in %s has; start anew with another data-dir)"
              .formatted(what, given, stored, config.dataDir()));
    }
  }
}
