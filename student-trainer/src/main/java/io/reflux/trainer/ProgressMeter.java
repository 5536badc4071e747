package io.reflux.trainer;

import static io.reflux.trainer.StudentTraining.FRESH;
import static io.reflux.trainer.StudentTraining.REPLAYED;
import static io.reflux.trainer.StudentTraining.ROLLOUT;

import io.reflux.operations.ProcessMemory;
import io.reflux.trainer.nn.Losses;
import io.reflux.trainer.watch.Figure;
import io.reflux.trainer.watch.Report;
import io.reflux.trainer.watch.Report.Slice;
import java.time.Instant;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** Sums up steps between two reports. What no step told is not known, rather than 0. */
final class ProgressMeter {

  private Losses losses = Losses.NONE;
  private long steps;
  private long sequences;
  private long tokens;
  private long rollouts;
  private double staleness;
  private double learningRate = Double.NaN;
  private double gradientNorms;
  private long finiteSteps;
  private final Utilisation utilisation;
  private long sinceNanos;

  ProgressMeter(Utilisation utilisation, long nowNanos) {
    this.utilisation = utilisation;
    this.sinceNanos = nowNanos;
  }

  void add(StudentTraining.Step step) {
    losses = losses.plus(step.losses());
    steps++;
    sequences += step.sequences();
    tokens += step.tokens();
    rollouts += step.rollouts();
    staleness += step.staleness() * step.rollouts();
    learningRate = step.learningRate();
    if (Double.isFinite(step.gradientNorm())) {
      gradientNorms += step.gradientNorm();
      finiteSteps++;
    }
  }

  /**
   * Reports, and starts over.
   *
   * @param others figures that steps do not tell
   * @param bottleneck of the pipeline; empty if it is not known
   */
  Report report(
      StudentTraining training, long nowNanos, Map<Figure, Double> others, String bottleneck) {
    double seconds = Math.max(1e-9, (nowNanos - sinceNanos) / 1e9);
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    figures.putAll(others);
    if (losses.rows() > 0) {
      figures.put(Figure.LOSS, losses.objective());
      figures.put(Figure.CROSS_ENTROPY, losses.meanCrossEntropy());
      figures.put(Figure.STUDENT_ENTROPY, losses.meanEntropy());
    }
    if (losses.importance().rows() > 0) {
      figures.put(Figure.IMPORTANCE, losses.importance().mean());
      figures.put(Figure.IMPORTANCE_CLIPPED, losses.importance().clippedShare());
    }
    put(figures, Figure.LOSS_DATA, of(FRESH).plus(of(REPLAYED)));
    put(figures, Figure.LOSS_ROLLOUTS, of(ROLLOUT));
    if (losses.distilledRows() > 0) {
      figures.put(Figure.KL, losses.meanKl());
      figures.put(Figure.TRAINING_AGREEMENT, losses.agreement());
    }
    figures.put(Figure.VALIDATION_AGREEMENT, training.agreement());
    figures.put(Figure.VALIDATION_KL, training.kl());
    figures.put(Figure.LEARNING_RATE, learningRate);
    if (finiteSteps > 0) {
      figures.put(Figure.GRADIENT_NORM, gradientNorms / finiteSteps);
    }
    figures.put(Figure.SKIPPED_STEPS, (double) training.tally().skippedSteps());
    figures.put(Figure.REWINDS, (double) training.tally().rewinds());
    figures.put(Figure.REWARMS, (double) training.tally().rewarms());
    figures.put(Figure.QUARANTINE_SIZE, (double) training.quarantineSize());
    figures.put(Figure.LAMBDA_TARGET, training.lambda());
    if (sequences > 0) {
      figures.put(Figure.LAMBDA, (double) rollouts / sequences);
    }
    if (rollouts > 0) {
      figures.put(Figure.STALENESS_VERSIONS, staleness / rollouts);
    }
    figures.put(Figure.REPLAY_SIZE, (double) training.replaySize());
    figures.put(Figure.FRESH_SIZE, (double) training.freshSize());
    figures.put(Figure.ROLLOUTS_HELD, (double) training.rolloutsHeld());
    figures.put(Figure.HELD_OUT_SIZE, (double) training.heldOutSize());
    figures.put(Figure.TOKENS_PER_SECOND, losses.rows() / seconds);
    figures.put(Figure.STEPS_PER_SECOND, steps / seconds);
    figures.put(
        Figure.MFU,
        utilisation.of(training.student()).share(tokens, sequences, losses.rows(), seconds));
    figures.put(Figure.RESIDENT_BYTES, ProcessMemory.residentBytes());
    Report report =
        new Report(
            Instant.now(),
            training.stepsDone(),
            training.rowsTrained(),
            training.stage().name().toLowerCase(Locale.ROOT),
            bottleneck,
            figures,
            slices(training));
    startOver(nowNanos);
    return report;
  }

  /** Of whatever objective. */
  private Losses of(String origin) {
    return StudentTraining.ofOrigin(losses, origin);
  }

  private static void put(Map<Figure, Double> figures, Figure figure, Losses losses) {
    if (losses.rows() > 0) {
      figures.put(figure, losses.objective());
    }
  }

  private Map<Slice, Map<Figure, Double>> slices(StudentTraining training) {
    Map<Slice, Map<Figure, Double>> slices = new HashMap<>();
    segments(training, slices);
    losses
        .parts()
        .forEach(
            (part, of) -> {
              Map<Figure, Double> figures = new EnumMap<>(Figure.class);
              if (of.rows() > 0) {
                figures.put(Figure.LOSS, of.objective());
                figures.put(Figure.CROSS_ENTROPY, of.meanCrossEntropy());
              }
              if (of.distilledRows() > 0) {
                figures.put(Figure.KL, of.meanKl());
                figures.put(Figure.TRAINING_AGREEMENT, of.agreement());
              }
              slices.put(
                  new Slice(Slice.OBJECTIVE, part.origin() + "/" + part.objective()), figures);
            });
    return slices;
  }

  /** What is kept to train on, and the last measurement. */
  private static void segments(StudentTraining training, Map<Slice, Map<Figure, Double>> slices) {
    Map<String, Integer> mix = training.replayMix();
    double all = mix.values().stream().mapToInt(Integer::intValue).sum();
    mix.forEach((segment, kept) -> put(slices, segment, Figure.SHARE, kept / all));
    training
        .validation()
        .ifPresent(
            last ->
                last.bySegment()
                    .forEach(
                        (segment, of) -> {
                          put(slices, segment, Figure.VALIDATION_AGREEMENT, of.agreement());
                          put(slices, segment, Figure.VALIDATION_KL, of.kl());
                        }));
  }

  private static void put(
      Map<Slice, Map<Figure, Double>> slices, String segment, Figure figure, double value) {
    slices
        .computeIfAbsent(new Slice(Slice.SEGMENT, segment), s -> new EnumMap<>(Figure.class))
        .put(figure, value);
  }

  private void startOver(long nowNanos) {
    losses = Losses.NONE;
    steps = 0;
    sequences = 0;
    tokens = 0;
    rollouts = 0;
    staleness = 0;
    gradientNorms = 0;
    finiteSteps = 0;
    sinceNanos = nowNanos;
  }
}
