package io.reflux.trainer;

import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.avro.TrainingProgress;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.registry.RegistryException;
import io.reflux.trainer.Pipeline.Sample;
import io.reflux.trainer.SnapshotMaker.Outcome;
import io.reflux.trainer.gate.Comparison;
import io.reflux.trainer.gate.GateVerdict;
import io.reflux.trainer.watch.Figure;
import io.reflux.trainer.watch.Report;
import io.reflux.trainer.watch.Report.Slice;
import io.reflux.trainer.watch.RunWatch;
import java.time.Duration;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells how training goes: each second the meters, the page, the terminal and the topic, and every
 * few seconds the run's files. All methods belong to the training thread.
 */
final class ProgressReports {
  private static final Logger log = LoggerFactory.getLogger(ProgressReports.class);
  private static final Duration LIVE_EVERY = Duration.ofSeconds(1);

  private final TrainerConfig config;
  private final TrainerMeters meters;
  private final RunWatch watch;
  private final TopicWriter<TrainingProgress> topic;
  private final ProgressMeter live;
  private final ProgressMeter recorded;
  private final Pipeline livePipeline;
  private final Pipeline recordedPipeline;
  private long lastLiveNanos;
  private long lastRecordedNanos;
  private boolean topicFailing;

  ProgressReports(
      TrainerConfig config,
      TrainerMeters meters,
      RunWatch watch,
      TopicWriter<TrainingProgress> topic,
      Sample start,
      Utilisation utilisation,
      long nowNanos) {
    this.config = config;
    this.meters = meters;
    this.watch = watch;
    this.topic = topic;
    this.live = new ProgressMeter(utilisation, nowNanos);
    this.recorded = new ProgressMeter(utilisation, nowNanos);
    this.livePipeline = new Pipeline(start);
    this.recordedPipeline = new Pipeline(start);
    this.lastLiveNanos = nowNanos;
    this.lastRecordedNanos = nowNanos;
  }

  void add(StudentTraining.Step step) {
    live.add(step);
    recorded.add(step);
  }

  /**
   * Reports if it is time.
   *
   * @param pipeline how it stands
   * @param judged the latest snapshot
   */
  void tick(
      StudentTraining training,
      long nowNanos,
      Supplier<Sample> pipeline,
      Optional<Outcome> judged) {
    if (nowNanos - lastLiveNanos >= LIVE_EVERY.toNanos()) {
      lastLiveNanos = nowNanos;
      Report report =
          with(judged, report(live, training, nowNanos, livePipeline.look(pipeline.get())));
      meters.show(report);
      watch.live(report);
      send(report);
    }
    if (nowNanos - lastRecordedNanos >= config.recordInterval().toNanos()) {
      record(training, nowNanos, pipeline.get(), judged);
    }
  }

  /** A last row, so that the files end where training did. */
  void finish(StudentTraining training, long nowNanos, Sample pipeline, Optional<Outcome> judged) {
    record(training, nowNanos, pipeline, judged);
  }

  private void record(
      StudentTraining training, long nowNanos, Sample pipeline, Optional<Outcome> judged) {
    lastRecordedNanos = nowNanos;
    watch.record(
        with(judged, report(recorded, training, nowNanos, recordedPipeline.look(pipeline))));
  }

  private static Report report(
      ProgressMeter meter, StudentTraining training, long nowNanos, Pipeline.View view) {
    return meter.report(
        training, nowNanos, view.figures(), view.narrow().map(Pipeline.Part::text).orElse(""));
  }

  /** With what the gate measured, overall and by segment. */
  private static Report with(Optional<Outcome> judged, Report report) {
    if (judged.isEmpty()) {
      return report;
    }
    GateVerdict verdict = judged.get().verdict();
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    figures.putAll(report.figures());
    figures.putAll(figures(verdict.overall()));
    Map<Slice, Map<Figure, Double>> slices = new HashMap<>(report.slices());
    verdict
        .segments()
        .forEach(
            (name, segment) ->
                slices.merge(
                    new Slice(Slice.SEGMENT, name),
                    figures(segment),
                    (known, more) -> {
                      Map<Figure, Double> both = new EnumMap<>(Figure.class);
                      both.putAll(known);
                      both.putAll(more);
                      return both;
                    }));
    return new Report(
        report.at(),
        report.step(),
        report.tokens(),
        report.stage(),
        report.bottleneck(),
        figures,
        slices);
  }

  private static Map<Figure, Double> figures(Comparison compared) {
    Map<Figure, Double> figures = new EnumMap<>(Figure.class);
    figures.put(Figure.GATE_AGREEMENT, compared.quality().agreement());
    figures.put(Figure.GATE_KL, compared.quality().kl());
    compared
        .change()
        .ifPresent(
            change -> {
              figures.put(Figure.GATE_KL_CHANGE, change.kl().estimate());
              figures.put(Figure.GATE_KL_CHANGE_LOW, change.kl().low());
              figures.put(Figure.GATE_KL_CHANGE_HIGH, change.kl().high());
            });
    return figures;
  }

  private void send(Report report) {
    try {
      var unused =
          topic
              .send(config.studentName(), progress(report))
              .whenComplete(
                  (sent, error) -> {
                    if (error != null) {
                      log.debug("Progress not sent: {}", error.getMessage());
                    }
                  });
      topicFailing = false;
    } catch (RegistryException e) {
      if (!topicFailing) {
        topicFailing = true;
        log.warn("Progress is not reported for now: {}", e.getMessage());
      }
    }
  }

  /** As the topic has it: figures of its own fields are NaN if they are not known. */
  private TrainingProgress progress(Report report) {
    Map<String, Double> metrics = new HashMap<>();
    report.figures().forEach((figure, value) -> metrics.put(figure.key(), value));
    report
        .slices()
        .forEach(
            (slice, figures) ->
                figures.forEach(
                    (figure, value) ->
                        metrics.put(
                            figure.key() + "{" + slice.by() + "=" + slice.name() + "}", value)));
    if (!report.bottleneck().isEmpty()) {
      metrics.put("bottleneck{part=" + report.bottleneck() + "}", 1.0);
    }
    return TrainingProgress.newBuilder()
        .setStudentName(config.studentName())
        .setAt(report.at())
        .setStep(report.step())
        .setTokens(report.tokens())
        .setStage(Stage.valueOf(report.stage().toUpperCase(Locale.ROOT)))
        .setLoss(take(metrics, Figure.LOSS))
        .setLearningRate(take(metrics, Figure.LEARNING_RATE))
        .setGradientNorm(take(metrics, Figure.GRADIENT_NORM))
        .setTokensPerSecond(take(metrics, Figure.TOKENS_PER_SECOND))
        .setLambda(take(metrics, Figure.LAMBDA))
        .setMetrics(metrics)
        .build();
  }

  private static double take(Map<String, Double> metrics, Figure figure) {
    Double value = metrics.remove(figure.key());
    return value == null ? Double.NaN : value;
  }
}
