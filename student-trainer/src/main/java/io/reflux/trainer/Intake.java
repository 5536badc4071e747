package io.reflux.trainer;

import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Traces;
import io.reflux.schemas.labels.HeldOut;
import io.reflux.trainer.IntakeJournal.Run;
import io.reflux.trainer.RolloutWriter.Prompt;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Takes labels from Kafka into training. What is taken in before a step is a function of the
 * records and of what was taken in before, not of when they were fetched: in the order of {@link
 * LabelSource}, rollouts first, as they grow old, and no more than a quota, so that a backlog keeps
 * nobody from training. One thread at a time.
 */
final class Intake {
  private static final Logger log = LoggerFactory.getLogger(Intake.class);
  private static final Duration SLICE = Duration.ofMillis(100);

  /** A partition that has records and gives none for so long is gone on without. */
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private final TrainerConfig config;
  private final LabelIntake labels;
  private final LabelSource softLabels;
  private final LabelSource rolloutLabels;
  private final StudentTraining training;
  private final RolloutWriter rollouts;
  private final RefusedLabels refused;
  private final TrainerMeters meters;
  private final CountDownLatch stopping;

  private final List<Run> runs = new ArrayList<>();
  private final List<Prompt> prompts = new ArrayList<>();
  private int softLabelsTaken;
  private int rolloutLabelsTaken;
  private double promptCredit;
  private final Set<LabelSource> stalled = new HashSet<>();

  /**
   * @param from where to go on
   * @param stopping nothing is waited for once it is down
   */
  Intake(
      TrainerConfig config,
      LabelIntake labels,
      LabelSource softLabels,
      LabelSource rolloutLabels,
      StudentTraining training,
      RolloutWriter rollouts,
      RefusedLabels refused,
      TrainerMeters meters,
      IntakeState from,
      CountDownLatch stopping) {
    this.config = config;
    this.labels = labels;
    this.softLabels = softLabels;
    this.rolloutLabels = rolloutLabels;
    this.training = training;
    this.rollouts = rollouts;
    this.refused = refused;
    this.meters = meters;
    this.stopping = stopping;
    this.softLabelsTaken = from.softLabelsTaken();
    this.rolloutLabelsTaken = from.rolloutLabelsTaken();
    this.promptCredit = from.promptCredit();
  }

  /**
   * Takes in what is wanted before the next step, as far as it is there.
   *
   * @param wait for a first record if nothing is there and training can do nothing without
   * @throws io.reflux.schemas.registry.RegistryException when the registry does not answer; nothing
   *     is lost
   */
  void takeIn(Duration wait) {
    rolloutLabels.fetch(Duration.ZERO);
    softLabels.fetch(Duration.ZERO);
    boolean waited = false;
    while (true) {
      Optional<Label> label = next();
      if (label.isPresent()) {
        take(label.get());
      } else if (waited || training.canStep()) {
        return;
      } else {
        waited = true;
        softLabels.fetch(wait);
        rolloutLabels.fetch(Duration.ZERO);
      }
    }
  }

  private Optional<Label> next() {
    int quota = config.intakeSequences();
    // Beyond the quota only what training cannot go on without.
    boolean starved = !training.canStep();
    Optional<Label> label = Optional.empty();
    if (rolloutLabelsTaken < quota) {
      label = next(rolloutLabels);
    }
    if (label.isEmpty() && (softLabelsTaken < quota || starved)) {
      label = next(softLabels);
    }
    if (label.isEmpty() && starved) {
      label = next(rolloutLabels);
    }
    return label;
  }

  private Optional<Label> next(LabelSource source) {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (source.isBehind()) {
      if (stalled.contains(source) || stopping.getCount() == 0) {
        return Optional.empty();
      }
      if (System.nanoTime() > end) {
        log.warn("Labels that are in Kafka do not come; training goes on without them for now");
        stalled.add(source);
        return Optional.empty();
      }
      source.fetch(SLICE);
    }
    stalled.remove(source);
    return source.next();
  }

  /** Whether records that are there do not come. */
  boolean isStalled() {
    return !stalled.isEmpty();
  }

  /**
   * Takes in, once more, the records of a run as far as they are there.
   *
   * @return whether that is all of them
   * @throws MissingRecordsException if they will not come
   */
  boolean redo(Run run, Duration wait) {
    LabelSource source = source(run.partition());
    boolean waited = false;
    while (source.nextOffset(run.partition()) < run.next()) {
      Optional<Label> next = source.peek(run.partition());
      if (next.isPresent()) {
        if (next.get().received() != null && next.get().offset() >= run.next()) {
          throw new MissingRecordsException(
              "%s: offset %d (expected: %d, as it was taken in before)"
                  .formatted(run.partition(), next.get().offset(), run.next() - 1));
        }
        take(source.nextOf(run.partition()));
      } else if (waited && !source.isBehind(run.partition())) {
        throw new MissingRecordsException(
            "%s: ends before offset %d, which was taken in before"
                .formatted(run.partition(), run.next() - 1));
      } else if (waited) {
        return false;
      } else {
        // The other topic's need not wait here: it is fetched in its turn.
        source.fetch(wait);
        waited = source.peek(run.partition()).isEmpty();
      }
    }
    return true;
  }

  /** What was taken in once is not there any more. */
  static final class MissingRecordsException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    MissingRecordsException(String message) {
      super(message);
    }
  }

  private LabelSource source(String partition) {
    if (softLabels.has(partition)) {
      return softLabels;
    }
    if (rolloutLabels.has(partition)) {
      return rolloutLabels;
    }
    throw new MissingRecordsException(partition + ": no such partition");
  }

  private void take(Label label) {
    boolean ofRollout = rolloutLabels.has(label.partition());
    if (ofRollout) {
      rolloutLabelsTaken++;
    } else {
      softLabelsTaken++;
    }
    note(label.partition());
    if (label.received() == null) {
      refused.refuse(label.undecodable());
      return;
    }
    if (ofRollout) {
      meters.rolloutLabels().increment();
      if (label.received().value().getRolloutId() != null) {
        rollouts.scored(label.received().value().getRolloutId());
      }
    } else {
      meters.softLabels().increment();
    }
    take(label.received());
  }

  private void note(String partition) {
    Run run = new Run(partition, source(partition).nextOffset(partition));
    int last = runs.size() - 1;
    if (last >= 0 && runs.get(last).partition().equals(partition)) {
      runs.set(last, run);
    } else {
      runs.add(run);
    }
  }

  private void take(Received<SoftLabels> record) {
    SoftLabels value = record.value();
    Optional<Refusal> refusal = labels.refusal(value);
    if (refusal.isPresent()) {
      refused.refuse(record, refusal.get());
      return;
    }
    LabelledSequence sequence = labels.accept(value);
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
    if (!sequence.isRollout()) {
      drawPrompt(record, prompt);
    }
    if (!training.learnFrom(sequence)) {
      meters.staleRollouts().increment();
    }
  }

  /**
   * As many rollouts a fresh prompt as make the on-policy share; never more than one. The share
   * that training rises to, not where it is: what is written now is trained on later, and more than
   * once.
   */
  private void drawPrompt(Received<SoftLabels> record, int[] prompt) {
    SoftLabels value = record.value();
    if (training.stage() != Stage.ON_POLICY || value.getOrigin() == Origin.ROLLOUT) {
      return;
    }
    promptCredit = Math.min(1, promptCredit + config.lambda() / (1 - config.lambda()));
    if (promptCredit >= 1) {
      promptCredit -= 1;
      prompts.add(
          new Prompt(
              value.getRequestId(),
              value.getSegment(),
              value.getRequestedAt(),
              prompt,
              Traces.from(record)));
    }
  }

  /** What was taken in since this was last asked, in order. */
  List<Run> takeRuns() {
    List<Run> taken = List.copyOf(runs);
    runs.clear();
    return taken;
  }

  /** Prompts to write rollouts for since this was last asked. */
  List<Prompt> takePrompts() {
    List<Prompt> taken = List.copyOf(prompts);
    prompts.clear();
    return taken;
  }

  /** A step has been done: the quotas begin anew. */
  void stepped() {
    softLabelsTaken = 0;
    rolloutLabelsTaken = 0;
  }

  IntakeState state() {
    Map<String, Position> positions = new HashMap<>(softLabels.positions());
    positions.putAll(rolloutLabels.positions());
    return new IntakeState(positions, softLabelsTaken, rolloutLabelsTaken, promptCredit);
  }

  /** Labels of rollouts that wait to be taken in. */
  long rolloutLag() {
    return rolloutLabels.lag();
  }

  /** Labels of requests that wait to be taken in. */
  long softLabelsLag() {
    return softLabels.lag();
  }
}
