package io.reflux.trainer;

import io.reflux.trainer.Lessons.Lesson;
import io.reflux.trainer.StudentState.Guards;
import io.reflux.trainer.StudentState.Quarantined;
import io.reflux.trainer.StudentState.Seen;
import io.reflux.trainer.nn.Losses;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * Keeps the student from what would hurt it: tells steps that are not finite or out of bounds,
 * finds the sequences that make them so, and counts how often that happens. What is fresh, what was
 * trained on before, and rollouts have bounds of their own, since what is usual for one is not for
 * the others.
 *
 * <p>A loss out of bounds alone is no harm, and may be all that there is to learn: a request of a
 * kind that never came before looks just so. It counts only where it also turns the weights more
 * than usual, by a gradient whose norm is out of its own bounds.
 */
final class StepGuard {
  /** Steps that are looked back on. */
  private static final int WINDOW = 32;

  /** Relative in held-out KL: less is noise. */
  private static final double TOLERANCE = 0.02;

  private static final double LEAST_TOLERANCE = 1e-3;

  /** Name of the norms among what has been seen of losses, by origin. */
  private static final String NORMS = "gradient norm";

  /** At most one in so many sequences of a step is quarantined. */
  private static final int MOST_CULPRITS = 4;

  private final int rewindAfter;
  private final SortedMap<String, LossGuard> guards = new TreeMap<>();
  private final LossGuard norms;
  private final Quarantine quarantine;
  private final Deque<Long> strikes = new ArrayDeque<>();

  StepGuard(TrainerConfig config, long quarantineBytes) {
    this.rewindAfter = config.rewindAfter();
    for (String origin :
        List.of(StudentTraining.FRESH, StudentTraining.REPLAYED, StudentTraining.ROLLOUT)) {
      guards.put(origin, LossGuard.ofLosses(config.spikeThreshold()));
    }
    this.norms = LossGuard.ofNorms(config.spikeThreshold());
    this.quarantine = new Quarantine(config.recentSize(), quarantineBytes);
  }

  /**
   * What is wrong with a step.
   *
   * @param excesses of origins whose loss is not finite or out of bounds; empty if all is well
   */
  record Verdict(SortedMap<String, Excess> excesses) {
    private static final Verdict SOUND = new Verdict(new TreeMap<>());

    boolean isSound() {
      return excesses.isEmpty();
    }

    boolean isFinite() {
      return excesses.values().stream().allMatch(excess -> Double.isFinite(excess.loss()));
    }

    @Override
    public String toString() {
      return isSound()
          ? "losses within bounds"
          : excesses.entrySet().stream()
              .map(
                  entry ->
                      "loss of %s %s (bound %s)"
                          .formatted(
                              entry.getKey(), entry.getValue().loss(), entry.getValue().bound()))
              .collect(Collectors.joining(", "));
    }
  }

  /** A loss and the bound that it does not keep, nats a row. */
  record Excess(double loss, double bound) {}

  /**
   * Judges a step, and takes note of it.
   *
   * @param norm of its gradient before clipping
   */
  Verdict judge(Losses losses, double norm) {
    SortedMap<String, Excess> excesses = new TreeMap<>();
    guards.forEach(
        (origin, guard) -> {
          Losses of = StudentTraining.ofOrigin(losses, origin);
          double loss = of.meanKl();
          double bound = guard.bound(of.distilledRows());
          // Not for a loss that is not a number either.
          boolean holds = loss <= bound && Double.isFinite(loss);
          if (of.distilledRows() > 0 && !holds) {
            excesses.put(origin, new Excess(loss, bound));
          }
          if (of.distilledRows() > 0 && Double.isFinite(loss)) {
            guard.observe(loss, of.distilledRows());
          }
        });
    boolean harmless = norm <= norms.bound();
    if (Double.isFinite(norm)) {
      norms.observe(norm, 1);
    }
    Verdict verdict = new Verdict(excesses);
    return harmless && verdict.isFinite() ? Verdict.SOUND : verdict;
  }

  /**
   * The fewest sequences without which the step would have been within bounds, those of the highest
   * loss. None if they are more than a few: then the fault is not theirs.
   */
  List<Quarantined> culprits(Verdict verdict, List<Lesson> drawn, Lessons lessons) {
    List<Quarantined> culprits = new ArrayList<>();
    verdict
        .excesses()
        .forEach(
            (origin, excess) ->
                culprits.addAll(worst(suspects(origin, drawn, lessons), excess.bound())));
    return culprits.size() > drawn.size() / MOST_CULPRITS ? List.of() : culprits;
  }

  /**
   * A sequence of a step.
   *
   * @param loss infinite where it is not finite
   */
  private record Suspect(LabelledSequence sequence, double loss, long rows) {
    boolean isFinite() {
      return Double.isFinite(loss);
    }

    double nats() {
      return isFinite() ? loss * rows : 0;
    }
  }

  private static List<Suspect> suspects(String origin, List<Lesson> drawn, Lessons lessons) {
    Map<LabelledSequence, Suspect> suspects = new IdentityHashMap<>();
    List<Suspect> inOrder = new ArrayList<>();
    for (Lesson lesson : drawn) {
      if (lesson.origin().equals(origin) && !suspects.containsKey(lesson.sequence())) {
        Losses losses = lessons.measure(lesson);
        double loss = losses.meanKl();
        Suspect suspect =
            new Suspect(
                lesson.sequence(),
                Double.isFinite(loss) ? loss : Double.POSITIVE_INFINITY,
                losses.distilledRows());
        suspects.put(lesson.sequence(), suspect);
        inOrder.add(suspect);
      }
    }
    return inOrder;
  }

  private static List<Quarantined> worst(List<Suspect> suspects, double bound) {
    double nats = suspects.stream().mapToDouble(Suspect::nats).sum();
    long rows = suspects.stream().filter(Suspect::isFinite).mapToLong(Suspect::rows).sum();
    suspects.sort(Comparator.comparingDouble(Suspect::loss).reversed());
    List<Quarantined> worst = new ArrayList<>();
    for (Suspect suspect : suspects) {
      if (suspect.isFinite() && !worst.isEmpty() && nats <= bound * rows) {
        break;
      }
      worst.add(new Quarantined(suspect.sequence(), suspect.loss()));
      nats -= suspect.nats();
      rows -= suspect.isFinite() ? suspect.rows() : 0;
    }
    return worst;
  }

  void quarantine(Quarantined culprit) {
    quarantine.add(culprit);
  }

  /** The next of the quarantined whose loss is usual by now; null if there is none. */
  LabelledSequence release(boolean rollout) {
    String origin = rollout ? StudentTraining.ROLLOUT : StudentTraining.FRESH;
    double bound = guards.get(origin).bound();
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
    guards.values().forEach(LossGuard::clear);
    norms.clear();
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
    SortedMap<String, List<Seen>> latest = new TreeMap<>();
    guards.forEach((origin, guard) -> latest.put(origin, guard.state()));
    latest.put(NORMS, norms.state());
    return new Guards(latest, List.copyOf(strikes));
  }

  void restore(Guards state, List<Quarantined> quarantined) {
    guards.forEach(
        (origin, guard) -> guard.restore(state.latest().getOrDefault(origin, List.of())));
    norms.restore(state.latest().getOrDefault(NORMS, List.of()));
    strikes.clear();
    strikes.addAll(state.strikes());
    quarantine.restore(quarantined);
  }
}
