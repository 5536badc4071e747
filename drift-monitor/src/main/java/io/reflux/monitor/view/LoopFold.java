package io.reflux.monitor.view;

import io.reflux.monitor.view.LoopState.Lag;
import io.reflux.monitor.view.LoopState.SegmentDrift;
import io.reflux.monitor.view.LoopState.ServiceState;
import io.reflux.monitor.view.LoopState.TopicState;
import io.reflux.monitor.view.LoopState.TrainingPoint;
import io.reflux.monitor.view.LoopState.TrainingState;
import io.reflux.operations.Series;
import io.reflux.schemas.avro.AlertState;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.ServiceStatus;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.avro.TrainingProgress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Folds the loop's records into a {@link LoopState}. Records of one key come in the order of their
 * topic; a record seen twice changes nothing that matters. Bounded in every direction. Thread-safe.
 */
public final class LoopFold {
  /** Points kept a curve. */
  static final int POINTS = 600;

  /** Snapshots and pointer moves kept. */
  static final int SNAPSHOTS = 200;

  /** Alert changes kept. */
  static final int ALERTS = 100;

  /** Segments kept; the one that was quiet for longest makes room. */
  static final int SEGMENTS = 64;

  /** A service that says nothing for this long is shown as silent. */
  static final long SILENT_AFTER_MILLIS = 10_000;

  /** A service that says nothing for this long is forgotten. */
  static final long FORGOTTEN_AFTER_MILLIS = 600_000;

  /** Rates are taken over this long, so that they neither jump nor lag. */
  static final long RATE_WINDOW_MILLIS = 10_000;

  /** Name of the agreement on held-out labels in {@link TrainingProgress}. */
  static final String VALIDATION_AGREEMENT = "validation_agreement";

  private final String channel;
  private final Map<String, Deque<ServiceStatus>> statuses = new TreeMap<>();
  private final Map<Long, SnapshotManifest> manifests = new TreeMap<>();
  private final Deque<SnapshotPointer> moves = new ArrayDeque<>();
  private final Map<String, Series<DriftReport>> drift = new HashMap<>();
  private final Map<String, Instant> lastReported = new HashMap<>();
  private final Map<String, DriftAlert> active = new LinkedHashMap<>();
  private final Deque<DriftAlert> alerts = new ArrayDeque<>();
  private Series<TrainingPoint> training = new Series<>(POINTS);
  private TrainingProgress progress;
  private long alertsRaised;
  private long alertsCleared;
  private List<TopicState> topics = List.of();
  private List<Lag> lags = List.of();

  /**
   * @param channel whose pointer is followed
   */
  public LoopFold(String channel) {
    this.channel = channel;
  }

  /** A service's status; those before a restart of the same instance no longer count. */
  public synchronized void status(ServiceStatus status) {
    Deque<ServiceStatus> history =
        statuses.computeIfAbsent(
            status.getService() + "/" + status.getInstance(), k -> new ArrayDeque<>());
    ServiceStatus last = history.peekLast();
    if (last != null && status.getAt().isBefore(last.getAt())) {
      return;
    }
    if (last != null && !last.getStartedAt().equals(status.getStartedAt())) {
      history.clear();
    }
    history.addLast(status);
    Instant oldest = status.getAt().minusMillis(RATE_WINDOW_MILLIS);
    while (history.size() > 2 && history.peekFirst().getAt().isBefore(oldest)) {
      history.removeFirst();
    }
  }

  /** The trainer's word. */
  public synchronized void progress(TrainingProgress record) {
    if (progress != null && !progress.getStudentName().equals(record.getStudentName())) {
      training = new Series<>(POINTS);
    }
    progress = record;
    training.add(
        new TrainingPoint(
            record.getAt(),
            record.getStep(),
            record.getStage(),
            record.getLoss(),
            record.getLearningRate(),
            record.getTokensPerSecond(),
            record.getLambda(),
            record.getMetrics().getOrDefault(VALIDATION_AGREEMENT, Double.NaN)));
  }

  /** A published snapshot. */
  public synchronized void manifest(SnapshotManifest manifest) {
    manifests.put(manifest.getVersion(), manifest);
    while (manifests.size() > SNAPSHOTS) {
      manifests.remove(manifests.keySet().iterator().next());
    }
  }

  /** A move of a channel's pointer; other channels are passed over. */
  public synchronized void pointer(SnapshotPointer pointer) {
    if (!pointer.getChannel().equals(channel)) {
      return;
    }
    moves.addLast(pointer);
    while (moves.size() > SNAPSHOTS) {
      moves.removeFirst();
    }
  }

  /** Drift of a segment in one window. */
  public synchronized void report(DriftReport report) {
    String segment = report.getSegment();
    drift.computeIfAbsent(segment, k -> new Series<>(POINTS)).add(report);
    lastReported.put(segment, report.getWindowEnd());
    if (drift.size() > SEGMENTS) {
      String quietest =
          lastReported.entrySet().stream()
              .filter(e -> !e.getKey().equals(LoopState.ALL))
              .min(Map.Entry.comparingByValue())
              .orElseThrow()
              .getKey();
      drift.remove(quietest);
      lastReported.remove(quietest);
    }
  }

  /** A change of an alert's state. */
  public synchronized void alert(DriftAlert alert) {
    if (alert.getState() == AlertState.RAISED) {
      alertsRaised++;
      active.put(alert.getAlertId(), alert);
    } else if (alert.getState() == AlertState.CLEARED) {
      alertsCleared++;
      active.remove(alert.getAlertId());
    } else {
      return;
    }
    alerts.addFirst(alert);
    while (alerts.size() > ALERTS) {
      alerts.removeLast();
    }
  }

  /** What the brokers say, in place of what they said before. */
  public synchronized void brokers(List<TopicState> newTopics, List<Lag> newLags) {
    topics = List.copyOf(newTopics);
    lags = List.copyOf(newLags);
  }

  /** Forgets everything, to be told it again from the beginning. */
  public synchronized void clear() {
    statuses.clear();
    manifests.clear();
    moves.clear();
    drift.clear();
    lastReported.clear();
    active.clear();
    alerts.clear();
    training = new Series<>(POINTS);
    progress = null;
    alertsRaised = 0;
    alertsCleared = 0;
    topics = List.of();
    lags = List.of();
  }

  /**
   * @param now decides who is silent
   */
  public synchronized LoopState state(Instant now) {
    statuses.values().removeIf(h -> age(h.getLast(), now) > FORGOTTEN_AFTER_MILLIS);
    List<ServiceState> services = new ArrayList<>();
    statuses.values().forEach(history -> services.add(service(history, now)));
    Map<String, SegmentDrift> segments =
        new TreeMap<>(
            Comparator.comparing((String s) -> !s.equals(LoopState.ALL))
                .thenComparing(Comparator.naturalOrder()));
    drift.forEach((s, series) -> segments.put(s, new SegmentDrift(s, series.points())));
    return new LoopState(
        now,
        channel,
        services,
        topics,
        lags,
        Optional.ofNullable(progress).map(p -> training(p, training.points())),
        List.copyOf(manifests.values()),
        List.copyOf(moves),
        segments,
        List.copyOf(active.values()),
        List.copyOf(alerts),
        alertsRaised,
        alertsCleared);
  }

  private static TrainingState training(TrainingProgress p, List<TrainingPoint> points) {
    Map<String, Double> metrics = new HashMap<>(p.getMetrics());
    for (int i = points.size() - 1;
        i >= 0 && !metrics.containsKey(VALIDATION_AGREEMENT);
        i--) { // measured now and then: the last one stands
      if (!Double.isNaN(points.get(i).validationAgreement())) {
        metrics.put(VALIDATION_AGREEMENT, points.get(i).validationAgreement());
      }
    }
    return new TrainingState(
        p.getStudentName(),
        p.getAt(),
        p.getStep(),
        p.getTokens(),
        p.getStage(),
        p.getLoss(),
        p.getLearningRate(),
        p.getGradientNorm(),
        p.getTokensPerSecond(),
        p.getLambda(),
        metrics,
        points);
  }

  private static ServiceState service(Deque<ServiceStatus> history, Instant now) {
    ServiceStatus last = history.getLast();
    ServiceStatus first = history.getFirst();
    double seconds = Duration.between(first.getAt(), last.getAt()).toMillis() / 1000.0;
    Map<String, Double> rates = new HashMap<>();
    if (seconds > 0) {
      last.getMetrics()
          .forEach(
              (name, value) -> {
                Double before = first.getMetrics().get(name);
                if (before != null && value >= before) {
                  rates.put(name, (value - before) / seconds);
                }
              });
    }
    boolean ended = last.getState().equals("stopped") || last.getState().equals("failed");
    return new ServiceState(
        last.getService(),
        last.getInstance(),
        last.getAt(),
        last.getStartedAt(),
        last.getState(),
        last.getDetail(),
        !ended && age(last, now) > SILENT_AFTER_MILLIS,
        last.getMetrics(),
        rates);
  }

  private static long age(ServiceStatus status, Instant now) {
    return Duration.between(status.getAt(), now).toMillis();
  }
}
