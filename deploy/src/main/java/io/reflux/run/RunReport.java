package io.reflux.run;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.cli.Version;
import io.reflux.monitor.view.LoopState;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalDouble;

/** What a run did, as JSON. */
final class RunReport {
  private RunReport() {}

  /**
   * Writes the report.
   *
   * @param published snapshots published during this run
   * @param swaps times that serving took up a snapshot during this run
   */
  static void write(
      Path file, LoopState loop, RunState run, RunFacts facts, long published, long swaps) {
    ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    ObjectNode report = mapper.createObjectNode();
    report.put("requests_mirrored", whole(loop.metric("mirror", "delivered_total")));
    report.put("requests_dropped", whole(loop.metric("mirror", "dropped_total")));
    report.put("soft_labels", whole(loop.metric("scorer", "labels_total")));
    report.put("rollouts_scored", whole(loop.metric("scorer", "rollouts_scored_total")));
    report.put("dead_letters", whole(loop.metric("scorer", "dead_letters_total")));
    report.put("snapshots_published", published);
    report.put("snapshots_served", swaps);
    loop.servedVersion().ifPresent(v -> report.put("served_version", v));
    if (run.agreements().isEmpty()) {
      report.putNull("agreement_first");
      report.putNull("agreement_last");
    } else {
      report.put("agreement_first", run.agreements().get(0).agreement());
      report.put("agreement_last", run.agreements().get(run.agreements().size() - 1).agreement());
    }
    report.put("drift_alerts_raised", loop.alertsRaised());
    report.put("drift_alerts_cleared", loop.alertsCleared());
    report.put("requests_answered", run.answered());
    report.put("requests_failed", run.failed());
    report.put("seconds", run.elapsed().toMillis() / 1000.0);
    facts.shiftedAtSeconds().ifPresent(s -> report.put("shifted_at_seconds", s));
    ArrayNode agreements = report.putArray("agreements");
    for (RunState.Agreement a : run.agreements()) {
      agreements
          .addObject()
          .put("version", a.version())
          .put("at_seconds", a.atSeconds())
          .put("agreement", a.agreement());
    }
    ArrayNode alerts = report.putArray("alerts");
    for (DriftAlert alert : loop.alerts()) {
      alerts
          .addObject()
          .put("segment", alert.getSegment())
          .put("state", alert.getState().name())
          .put("metric", alert.getMetric())
          .put("value", alert.getValue())
          .put("threshold", alert.getThreshold())
          .put("at", alert.getAt().toString());
    }
    ArrayNode snapshots = report.putArray("snapshots");
    for (SnapshotManifest m : loop.snapshots()) {
      ObjectNode node = snapshots.addObject();
      node.put("version", m.getVersion()).put("training_step", m.getTrainingStep());
      node.put("bytes", m.getFiles().stream().mapToLong(f -> f.getSizeBytes()).sum());
      m.getQuality().forEach(node::put);
    }
    ObjectNode conditions = report.putObject("conditions");
    conditions.put("version", Version.current());
    conditions.put("java", Runtime.version().toString());
    conditions.put("processors", Runtime.getRuntime().availableProcessors());
    conditions.put("teacher_parameters", facts.teacherParameters());
    conditions.put("teacher_fingerprint", facts.teacherFingerprint());
    conditions.put("student_shape", facts.student());
    conditions.put("student_parameters", facts.studentParameters());
    conditions.put("traffic", facts.traffic());
    conditions.put("requests_per_second", facts.rate());
    conditions.put("held_out_prompts", facts.heldOutPrompts());
    conditions.put("held_out_positions", facts.heldOutPositions());
    try {
      Files.write(file, mapper.writeValueAsBytes(report));
    } catch (IOException e) {
      throw new RefluxException("--report: " + file + ": " + e.getMessage(), e);
    }
  }

  /** Conditions of the run. */
  record RunFacts(
      long teacherParameters,
      String teacherFingerprint,
      String student,
      long studentParameters,
      String traffic,
      double rate,
      int heldOutPrompts,
      long heldOutPositions,
      OptionalDouble shiftedAtSeconds) {}

  private static long whole(OptionalDouble value) {
    return Math.round(value.orElse(0));
  }
}
