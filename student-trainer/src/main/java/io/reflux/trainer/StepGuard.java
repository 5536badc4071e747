package io.reflux.trainer;

import io.reflux.trainer.Lessons.Lesson;
import io.reflux.trainer.StudentState.Guards;
import io.reflux.trainer.StudentState.Quarantined;
import io.reflux.trainer.nn.Losses;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.List;

/**
 * Keeps the student from what would hurt it: tells steps whose loss is not finite or out of bounds,
 * finds the sequences that make it so, and counts how often that happens. Data and rollouts have
 * bounds of their own, since what is usual for one is not for the other.
 */
final class StepGuard {
  /** Steps that are looked back on. */
  private static final int WINDOW = 32;

  /** Relative in held-out KL: less is noise. */
  private static final double TOLERANCE = 0.02;

  private static final double LEAST_TOLERANCE = 1e-3;

  /** At most one in so many sequences of a step is quarantined. */
  private static final int MOST_CULPRITS = 4;

  private final int rewindAfter;
  private final LossGuard data;
  private final LossGuard rollouts;
  private final Quarantine quarantine;
  private final Deque<Long> strikes = new ArrayDeque<>();

  StepGuard(TrainerConfig config, long quarantineBytes) {
    this.rewindAfter = config.rewindAfter();
    this.data = new LossGuard(config.spikeThreshold());
    this.rollouts = new LossGuard(config.spikeThreshold());
    this.quarantine = new Quarantine(config.recentSize(), quarantineBytes);
  }

  /**
   * A step's losses against their bounds, nats a row.
   *
   * @param data of sequences of traffic
   * @param rollouts of the student's own; 0 without any
   */
  record Verdict(double data, double dataBound, double rollouts, double rolloutBound) {
    boolean isFinite() {
      return Double.isFinite(data) && Double.isFinite(rollouts);
    }

    boolean isSound() {
      return isSound(false) && isSound(true);
    }

    /** False also for a loss that is not a number. */
    boolean isSound(boolean ofRollouts) {
      return ofRollouts
          ? Double.isFinite(rollouts) && rollouts <= rolloutBound
          : Double.isFinite(data) && data <= dataBound;
    }

    double bound(boolean ofRollouts) {
      return ofRollouts ? rolloutBound : dataBound;
    }

    @Override
    public String toString() {
      return "loss %s (bound %s), of rollouts %s (bound %s)"
          .formatted(data, dataBound, rollouts, rolloutBound);
    }
  }

  /** Judges a step, and takes note of it. */
  Verdict judge(Losses losses) {
    Losses ofRollouts = StudentTraining.ofOrigin(losses, StudentTraining.ROLLOUT);
    Losses ofData =
        StudentTraining.ofOrigin(losses, StudentTraining.FRESH)
            .plus(StudentTraining.ofOrigin(losses, StudentTraining.REPLAYED));
    Verdict verdict = new Verdict(loss(ofData), data.bound(), loss(ofRollouts), rollouts.bound());
    observe(data, ofData);
    observe(rollouts, ofRollouts);
    return verdict;
  }

  /**
   * The fewest sequences without which the step would have been within bounds, those of the highest
   * loss. None if they are more than a few: then the fault is not theirs.
   */
  List<Quarantined> culprits(Verdict verdict, List<Lesson> drawn, Lessons lessons) {
    List<Quarantined> culprits = new ArrayList<>();
    for (boolean ofRollouts : new boolean[] {false, true}) {
      if (!verdict.isSound(ofRollouts)) {
        culprits.addAll(worst(ofRollouts, verdict.bound(ofRollouts), drawn, lessons));
      }
    }
    return culprits;
  }

  private record Suspect(LabelledSequence sequence, double loss, long rows) {}

  private static List<Quarantined> worst(
      boolean ofRollouts, double bound, List<Lesson> drawn, Lessons lessons) {
    List<Suspect> suspects = new ArrayList<>();
    double sum = 0;
    long rows = 0;
    for (Lesson lesson : drawn) {
      LabelledSequence sequence = lesson.sequence();
      boolean isKnown = suspects.stream().anyMatch(suspect -> suspect.sequence() == sequence);
      if (sequence.isRollout() != ofRollouts || isKnown) {
        continue;
      }
      Losses losses = lessons.measure(lesson);
      double loss = loss(losses);
      loss = Double.isFinite(loss) ? loss : Double.POSITIVE_INFINITY;
      long of = losses.distilledRows();
      suspects.add(new Suspect(sequence, loss, of));
      sum += Double.isFinite(loss) ? loss * of : 0;
      rows += Double.isFinite(loss) ? of : 0;
    }
    suspects.sort(Comparator.comparingDouble(Suspect::loss).reversed());
    List<Quarantined> worst = new ArrayList<>();
    for (Suspect suspect : suspects) {
      boolean finite = Double.isFinite(suspect.loss());
      if (finite && !worst.isEmpty() && sum <= bound * rows) {
        break;
      }
      if (worst.size() == suspects.size() / MOST_CULPRITS) {
        return List.of();
      }
      worst.add(new Quarantined(suspect.sequence(), suspect.loss()));
      sum -= finite ? suspect.loss() * suspect.rows() : 0;
      rows -= finite ? suspect.rows() : 0;
    }
    return worst;
  }

  void quarantine(Quarantined culprit) {
    quarantine.add(culprit);
  }

  /** The next of the quarantined whose loss is usual by now; null if there is none. */
  LabelledSequence release(boolean rollout) {
    double bound = (rollout ? rollouts : data).bound();
    return Double.isFinite(bound) ? quarantine.release(rollout, loss -> loss <= bound) : null;
  }

  /**
   * Takes note of a step that went wrong.
   *
   * @return whether so many have lately that the student itself may be at fault
   */
  boolean strike(long step) {
    strikes.add(step);
    forgetBefore(step - WINDOW);
    if (rewindAfter == 0 || strikes.size() < rewindAfter) {
      return false;
    }
    strikes.clear();
    return true;
  }

  /** Whether nothing went wrong lately. */
  boolean isCalm(long step) {
    forgetBefore(step - WINDOW);
    return strikes.isEmpty();
  }

  private void forgetBefore(long step) {
    while (!strikes.isEmpty() && strikes.element() <= step) {
      strikes.remove();
    }
  }

  /** Learns anew what is usual. */
  void forget() {
    data.clear();
    rollouts.clear();
    strikes.clear();
  }

  /** Whether a held-out KL holds against another; one that is not a number never does. */
  static boolean isNotWorse(double kl, double than) {
    return kl <= than + Math.max(Math.abs(than) * TOLERANCE, LEAST_TOLERANCE);
  }

  int quarantineSize() {
    return quarantine.size();
  }

  List<Quarantined> quarantine() {
    return quarantine.state();
  }

  Guards state() {
    return new Guards(data.state(), rollouts.state(), List.copyOf(strikes));
  }

  void restore(Guards state, List<Quarantined> quarantined) {
    data.restore(state.data());
    rollouts.restore(state.rollouts());
    strikes.clear();
    strikes.addAll(state.strikes());
    quarantine.restore(quarantined);
  }

  private static double loss(Losses losses) {
    return losses.meanKl();
  }

  private static void observe(LossGuard guard, Losses losses) {
    double loss = loss(losses);
    if (losses.distilledRows() > 0 && Double.isFinite(loss)) {
      guard.observe(loss);
    }
  }
}
