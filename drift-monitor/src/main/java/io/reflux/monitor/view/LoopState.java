package io.reflux.monitor.view;

import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.avro.Stage;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/**
 * The loop at one moment. Immutable, except that the Avro records inside it could be changed by
 * their setters: nobody does.
 *
 * @param at when it was put together
 * @param channel the channel whose served version is shown
 * @param services latest status of each instance, by service and instance
 * @param topics rate and size of each topic, in the catalogue's order
 * @param lags records that a consumer group has still to read, by group and topic
 * @param training empty before the trainer's first word
 * @param snapshots manifests, oldest first, the latest {@value LoopFold#SNAPSHOTS}
 * @param moves moves of the channel's pointer, oldest first, the latest {@value LoopFold#SNAPSHOTS}
 * @param drift by segment; {@code *} is all traffic, and first
 * @param activeAlerts raised and not yet cleared, oldest first
 * @param alerts every change of an alert's state, newest first, the latest {@value LoopFold#ALERTS}
 * @param alertsRaised since the topic's first kept record
 * @param alertsCleared since the topic's first kept record
 */
public record LoopState(
    Instant at,
    String channel,
    List<ServiceState> services,
    List<TopicState> topics,
    List<Lag> lags,
    Optional<TrainingState> training,
    List<SnapshotManifest> snapshots,
    List<SnapshotPointer> moves,
    Map<String, SegmentDrift> drift,
    List<DriftAlert> activeAlerts,
    List<DriftAlert> alerts,
    long alertsRaised,
    long alertsCleared) {

  /** The segment of all traffic. */
  public static final String ALL = "*";

  public LoopState {
    services = List.copyOf(services);
    topics = List.copyOf(topics);
    lags = List.copyOf(lags);
    snapshots = List.copyOf(snapshots);
    moves = List.copyOf(moves);
    activeAlerts = List.copyOf(activeAlerts);
    alerts = List.copyOf(alerts);
  }

  /** The version that the channel points to. */
  public OptionalLong servedVersion() {
    return moves.isEmpty()
        ? OptionalLong.empty()
        : OptionalLong.of(moves.get(moves.size() - 1).getVersion());
  }

  /** Manifest of the version that the channel points to, if it is still kept. */
  public Optional<SnapshotManifest> servedSnapshot() {
    OptionalLong version = servedVersion();
    return snapshots.stream()
        .filter(m -> version.isPresent() && m.getVersion() == version.getAsLong())
        .findFirst();
  }

  /** Latest report over all traffic. */
  public Optional<DriftReport> latestDrift() {
    return Optional.ofNullable(drift.get(ALL)).map(SegmentDrift::latest);
  }

  /** Instances of a service that have spoken lately and have not ended. */
  public List<ServiceState> live(String service) {
    return services.stream()
        .filter(s -> s.service().equals(service) && !s.silent() && !s.ended())
        .toList();
  }

  /** Sum of a metric over a service's live instances; empty when none reports it. */
  public OptionalDouble metric(String service, String name) {
    List<ServiceState> reporting =
        live(service).stream().filter(s -> s.metrics().containsKey(name)).toList();
    return reporting.isEmpty()
        ? OptionalDouble.empty()
        : OptionalDouble.of(reporting.stream().mapToDouble(s -> s.metrics().get(name)).sum());
  }

  /** Growth a second of a counter, summed over a service's live instances. */
  public OptionalDouble rate(String service, String name) {
    List<ServiceState> reporting =
        live(service).stream().filter(s -> s.rates().containsKey(name)).toList();
    return reporting.isEmpty()
        ? OptionalDouble.empty()
        : OptionalDouble.of(reporting.stream().mapToDouble(s -> s.rates().get(name)).sum());
  }

  /** Rate and size of a topic by its short name, once known. */
  public Optional<TopicState> topic(String name) {
    return topics.stream().filter(t -> t.name().equals(name)).findFirst();
  }

  /** Records of a topic that some group has still to read: the slowest group's lag. */
  public OptionalLong lag(String topic) {
    return lags.stream().filter(l -> l.topic().equals(topic)).mapToLong(Lag::records).max();
  }

  /**
   * One instance of a service.
   *
   * @param state as the service said it last
   * @param silent no word for {@value LoopFold#SILENT_AFTER_MILLIS} ms, though it did not say
   *     stopped
   * @param metrics as reported: gauges, and counters since startedAt
   * @param rates growth a second of those metrics that have not fallen, over the last {@value
   *     LoopFold#RATE_WINDOW_MILLIS} ms
   */
  public record ServiceState(
      String service,
      String instance,
      Instant at,
      Instant startedAt,
      String state,
      String detail,
      boolean silent,
      Map<String, Double> metrics,
      Map<String, Double> rates) {
    public ServiceState {
      metrics = Map.copyOf(metrics);
      rates = Map.copyOf(rates);
    }

    /** Whether its last word was that it stopped or failed. */
    public boolean ended() {
      return state.equals("stopped") || state.equals("failed");
    }
  }

  /**
   * What the brokers say of one topic.
   *
   * @param name short, without the prefix
   * @param recordsPerSecond growth of the end offsets; transaction markers count too, so that a
   *     service's own counter is the better figure where there is one
   * @param records end offsets minus start offsets
   * @param bytes on a broker's disk, replicas not counted twice; -1 when the brokers would not say
   * @param bytesPerSecond growth of bytes while no segment was deleted; NaN when unknown
   */
  public record TopicState(
      String name, double recordsPerSecond, long records, long bytes, double bytesPerSecond) {}

  /**
   * What a group has still to read.
   *
   * @param group short, without the prefix
   * @param topic short, without the prefix
   */
  public record Lag(String group, String topic, long records) {}

  /**
   * How training goes.
   *
   * @param metrics further figures by name, as the trainer reported them last
   * @param points oldest first, thinned so that a long run keeps its whole curve
   */
  public record TrainingState(
      String studentName,
      Instant at,
      long step,
      long tokens,
      Stage stage,
      double loss,
      double learningRate,
      double gradientNorm,
      double tokensPerSecond,
      double lambda,
      Map<String, Double> metrics,
      List<TrainingPoint> points) {
    public TrainingState {
      metrics = Map.copyOf(metrics);
      points = List.copyOf(points);
    }

    /** Top-1 agreement with the teacher on held-out labels, when it was last measured. */
    public OptionalDouble validationAgreement() {
      Double value = metrics.get(LoopFold.VALIDATION_AGREEMENT);
      return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
    }
  }

  /**
   * One point of the training curves.
   *
   * @param validationAgreement NaN when it was not measured
   */
  public record TrainingPoint(
      Instant at,
      long step,
      Stage stage,
      double loss,
      double learningRate,
      double tokensPerSecond,
      double lambda,
      double validationAgreement) {}

  /**
   * Drift of one segment.
   *
   * @param points reports, oldest first, thinned so that a long run keeps its whole curve
   */
  public record SegmentDrift(String segment, List<DriftReport> points) {
    public SegmentDrift {
      points = List.copyOf(points);
    }

    /** The newest report. */
    public DriftReport latest() {
      return points.get(points.size() - 1);
    }
  }
}
