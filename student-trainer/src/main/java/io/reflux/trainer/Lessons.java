package io.reflux.trainer;

import io.reflux.trainer.LabelledSequence.Written;
import io.reflux.trainer.TrainerConfig.StaleRollouts;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.Behaviour;
import io.reflux.trainer.nn.Losses;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Trainable;
import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.pretrain.LengthBuckets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** How sequences are put before the student: by which objective, by what weight, in what parts. */
final class Lessons {
  /** Of the held-out sequences and of what is measured of them, the part shared by segments. */
  static final double RESERVED_SHARE = 0.25;

  /** Held-out sequences that a measurement takes: enough for a trend, soon done. */
  private static final int MEASURED = 128;

  private final TrainerConfig config;
  private final Trainable model;
  private final Objective onData;
  private final Objective onRollouts;
  private final Objective measured = Objective.forwardKl(0);

  Lessons(TrainerConfig config, Trainable model) {
    this.config = config;
    this.model = model;
    this.onData = Objective.parse(config.objective(), config.crossEntropyShare());
    this.onRollouts = Objective.parse(config.rolloutObjective(), 0);
  }

  /**
   * A sequence of a step.
   *
   * @param versionsBehind of the student that wrote it; 0 for data
   */
  record Lesson(
      LabelledSequence sequence, String origin, Optional<Behaviour> behaviour, int versionsBehind) {
    boolean isWeighted() {
      return behaviour.isPresent();
    }
  }

  /**
   * @param fresh whether no step has trained on it
   */
  Lesson ofData(LabelledSequence sequence, boolean fresh) {
    return new Lesson(
        sequence, fresh ? StudentTraining.FRESH : StudentTraining.REPLAYED, Optional.empty(), 0);
  }

  Lesson ofRollout(LabelledSequence rollout, StudentVersions versions) {
    Written written = rollout.written().orElseThrow();
    int behind = versions.behind(written.studentStep());
    Optional<Behaviour> behaviour =
        behind > config.maxStaleness()
            ? Optional.of(
                new Behaviour(written.logprobs(), written.temperature(), config.importanceClip()))
            : Optional.empty();
    return new Lesson(rollout, StudentTraining.ROLLOUT, behaviour, behind);
  }

  /** Whether a rollout is too old, and cannot or may not be weighted instead. */
  boolean isUnusable(LabelledSequence rollout, StudentVersions versions) {
    Written written = rollout.written().orElseThrow();
    boolean weighted =
        config.staleRollouts() == StaleRollouts.WEIGHT
            && written.logprobs().length == rollout.rows();
    return !weighted && versions.behind(written.studentStep()) > config.maxStaleness();
  }

  /** Adds the gradient of a step's sequences, in parts. */
  Losses accumulate(List<Lesson> lessons) {
    List<TrainingSequence> sequences = lessons.stream().map(this::training).toList();
    double total = Batch.totalWeight(sequences);
    int vocabulary = model.config().vocabularySize();
    List<Batch> batches = new ArrayList<>();
    for (List<TrainingSequence> part : cut(sequences)) {
      batches.add(new Batch(part, vocabulary, total));
    }
    return model.accumulate(batches).stream().reduce(Losses.NONE, Losses::plus);
  }

  /** The loss of one sequence of a step alone. */
  Losses measure(Lesson lesson) {
    return model.measure(new Batch(List.of(training(lesson)), model.config().vocabularySize()));
  }

  /** The student as it is on the newest held-out sequences; the parts' origins are segments. */
  Losses measure(LatestSequences heldOut) {
    List<TrainingSequence> sequences =
        heldOut.newest(MEASURED).stream()
            .map(sequence -> sequence.toTraining(measured, null, sequence.segment()))
            .toList();
    Losses losses = Losses.NONE;
    for (List<TrainingSequence> part : cut(sequences)) {
      losses = losses.plus(model.measure(new Batch(part, model.config().vocabularySize())));
    }
    return losses;
  }

  private TrainingSequence training(Lesson lesson) {
    LabelledSequence sequence = lesson.sequence();
    return sequence.toTraining(
        sequence.isRollout() ? onRollouts : onData,
        lesson.behaviour().orElse(null),
        lesson.origin());
  }

  private List<List<TrainingSequence>> cut(List<TrainingSequence> sequences) {
    return LengthBuckets.cut(sequences, config.microBatchTokens());
  }
}
