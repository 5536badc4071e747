package io.reflux.schemas.kafka;

import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.ServiceStatus;
import io.reflux.schemas.avro.SnapshotChunk;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.avro.TrainingProgress;
import java.time.Duration;
import java.util.List;

/** The topic catalogue: every topic of the loop, and all that is to be known to create it. */
public final class Topics {
  /** Fits a broker's default limit of 1 MiB a batch with room for key and headers. */
  private static final int DEFAULT_MAX_RECORD_BYTES = 900 << 10;

  /** 1 MiB of a file and the record around it. */
  private static final int SNAPSHOT_CHUNK_MAX_RECORD_BYTES = (1 << 20) + (16 << 10);

  public static final Topic<MirroredRequest> REQUESTS =
      new Topic<>(
          "requests",
          MirroredRequest.class,
          "conversation_id, else request_id",
          4,
          Duration.ofDays(7),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "Production requests, copied by the mirror.");

  public static final Topic<SoftLabels> SOFT_LABELS =
      new Topic<>(
          "soft-labels",
          SoftLabels.class,
          "request_id",
          4,
          Duration.ofDays(30),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "The teacher's distributions for mirrored requests.");

  public static final Topic<Rollout> ROLLOUTS =
      new Topic<>(
          "rollouts",
          Rollout.class,
          "rollout_id",
          4,
          Duration.ofDays(1),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "The student's own responses, to be scored by the teacher.");

  public static final Topic<SoftLabels> ROLLOUT_LABELS =
      new Topic<>(
          "rollout-labels",
          SoftLabels.class,
          "rollout_id",
          4,
          Duration.ofDays(1),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "The teacher's distributions for rollouts.");

  public static final Topic<SnapshotManifest> SNAPSHOTS =
      new Topic<>(
          "snapshots",
          SnapshotManifest.class,
          "version in decimal",
          1,
          Topic.FOREVER,
          true,
          DEFAULT_MAX_RECORD_BYTES,
          "One manifest a published student.");

  public static final Topic<SnapshotChunk> SNAPSHOT_CHUNKS =
      new Topic<>(
          "snapshot-chunks",
          SnapshotChunk.class,
          "file_sha256/index",
          1,
          Topic.FOREVER,
          true,
          SNAPSHOT_CHUNK_MAX_RECORD_BYTES,
          "The files of snapshots, in pieces of at most 1 MiB.");

  public static final Topic<SnapshotPointer> SNAPSHOT_POINTERS =
      new Topic<>(
          "snapshot-pointers",
          SnapshotPointer.class,
          "channel",
          1,
          Topic.FOREVER,
          true,
          DEFAULT_MAX_RECORD_BYTES,
          "Which version each channel serves.");

  public static final Topic<FleetReport> FLEET_REPORTS =
      new Topic<>(
          "fleet-reports",
          FleetReport.class,
          "fleet/instance/channel",
          1,
          Duration.ofDays(7),
          true,
          DEFAULT_MAX_RECORD_BYTES,
          "Which version each fleet serves, and which it refused and why.");

  public static final Topic<TrainingProgress> TRAINING_PROGRESS =
      new Topic<>(
          "training-progress",
          TrainingProgress.class,
          "student_name",
          1,
          Duration.ofDays(30),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "How training goes.");

  public static final Topic<Divergence> DIVERGENCES =
      new Topic<>(
          "divergences",
          Divergence.class,
          "segment",
          4,
          Duration.ofDays(7),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "Served student against teacher, a record a labelled request.");

  public static final Topic<DriftReport> DRIFT_REPORTS =
      new Topic<>(
          "drift-reports",
          DriftReport.class,
          "segment",
          1,
          Duration.ofDays(30),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "Divergence a segment and window of event time.");

  public static final Topic<DriftAlert> DRIFT_ALERTS =
      new Topic<>(
          "drift-alerts",
          DriftAlert.class,
          "segment",
          1,
          Duration.ofDays(90),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "Alerts raised and cleared.");

  public static final Topic<ServiceStatus> STATUS =
      new Topic<>(
          "status",
          ServiceStatus.class,
          "service/instance",
          1,
          Duration.ofDays(1),
          true,
          DEFAULT_MAX_RECORD_BYTES,
          "What each running service does, every second.");

  public static final Topic<DeadLetter> DEAD_LETTERS =
      new Topic<>(
          "dead-letters",
          DeadLetter.class,
          "topic/partition/offset",
          1,
          Duration.ofDays(30),
          false,
          DEFAULT_MAX_RECORD_BYTES,
          "Records that a service could not use, with the reason.");

  private static final List<Topic<?>> ALL =
      List.of(
          REQUESTS,
          SOFT_LABELS,
          ROLLOUTS,
          ROLLOUT_LABELS,
          SNAPSHOTS,
          SNAPSHOT_CHUNKS,
          SNAPSHOT_POINTERS,
          FLEET_REPORTS,
          TRAINING_PROGRESS,
          DIVERGENCES,
          DRIFT_REPORTS,
          DRIFT_ALERTS,
          STATUS,
          DEAD_LETTERS);

  private Topics() {}

  /** Every topic, in the order the data flows. */
  public static List<Topic<?>> all() {
    return ALL;
  }
}
