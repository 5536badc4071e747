package io.reflux.monitor.web;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.reflux.monitor.drift.AlertOptions;
import io.reflux.monitor.view.LoopState;
import io.reflux.monitor.view.LoopState.Lag;
import io.reflux.monitor.view.LoopState.SegmentDrift;
import io.reflux.monitor.view.LoopState.ServiceState;
import io.reflux.monitor.view.LoopState.TopicState;
import io.reflux.monitor.view.LoopState.TrainingPoint;
import io.reflux.monitor.view.LoopState.TrainingState;
import io.reflux.schemas.avro.DriftAlert;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.SnapshotFile;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * The state as JSON. Times are milliseconds since the epoch; a figure that is not known is null.
 * Curves are arrays of numbers, in the order that their {@code columns} name.
 */
final class StateJson {
  private static final JsonFactory JSON = new JsonFactory();
  private static final List<String> TRAINING_COLUMNS =
      List.of("at", "step", "loss", "learning_rate", "tokens_per_second", "lambda", "agreement");
  private static final List<String> DRIFT_COLUMNS =
      List.of(
          "at",
          "version",
          "requests",
          "positions",
          "kl",
          "kl_error",
          "kl_max",
          "agreement",
          "acceptance",
          "entropy");

  private final AlertOptions alertOptions;

  StateJson(AlertOptions alertOptions) {
    this.alertOptions = alertOptions;
  }

  /** What one listener has had of the curves, so that it is sent each point once. */
  static final class Cursor {
    private final Map<String, Long> segments = new HashMap<>();
    private long training = Long.MIN_VALUE;
    private String student = "";
    private boolean begun;
  }

  /** Everything. */
  String whole(LoopState state) {
    return since(state, new Cursor());
  }

  /** Everything but the points that the cursor has seen, and moves it on. */
  String since(LoopState state, Cursor cursor) {
    StringWriter text = new StringWriter(4096);
    try (JsonGenerator out = JSON.createGenerator(text)) {
      out.writeStartObject();
      out.writeNumberField("at", state.at().toEpochMilli());
      out.writeBooleanField("full", !cursor.begun);
      cursor.begun = true;
      out.writeStringField("channel", state.channel());
      if (state.servedVersion().isPresent()) {
        out.writeNumberField("served_version", state.servedVersion().getAsLong());
      } else {
        out.writeNullField("served_version");
      }
      services(out, state);
      brokers(out, state);
      out.writeFieldName("training");
      if (state.training().isPresent()) {
        training(out, state.training().get(), cursor);
      } else {
        out.writeNull();
      }
      snapshots(out, state);
      drift(out, state, cursor);
      alerts(out, state);
      out.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException("write to memory failed", e);
    }
    return text.toString();
  }

  private static void services(JsonGenerator out, LoopState state) throws IOException {
    out.writeArrayFieldStart("services");
    for (ServiceState service : state.services()) {
      out.writeStartObject();
      out.writeStringField("service", service.service());
      out.writeStringField("instance", service.instance());
      out.writeStringField("state", service.state());
      out.writeStringField("detail", service.detail());
      out.writeBooleanField("silent", service.silent());
      out.writeNumberField("at", service.at().toEpochMilli());
      out.writeNumberField("started_at", service.startedAt().toEpochMilli());
      numbers(out, "metrics", service.metrics());
      numbers(out, "rates", service.rates());
      out.writeEndObject();
    }
    out.writeEndArray();
  }

  private static void brokers(JsonGenerator out, LoopState state) throws IOException {
    out.writeArrayFieldStart("topics");
    for (TopicState topic : state.topics()) {
      out.writeStartObject();
      out.writeStringField("name", topic.name());
      number(out, "records_per_second", topic.recordsPerSecond());
      out.writeNumberField("records", topic.records());
      number(out, "bytes", topic.bytes() < 0 ? Double.NaN : (double) topic.bytes());
      number(out, "bytes_per_second", topic.bytesPerSecond());
      out.writeEndObject();
    }
    out.writeEndArray();
    out.writeArrayFieldStart("lags");
    for (Lag lag : state.lags()) {
      out.writeStartObject();
      out.writeStringField("group", lag.group());
      out.writeStringField("topic", lag.topic());
      out.writeNumberField("records", lag.records());
      out.writeEndObject();
    }
    out.writeEndArray();
  }

  private static void training(JsonGenerator out, TrainingState training, Cursor cursor)
      throws IOException {
    if (!cursor.student.equals(training.studentName())) {
      cursor.student = training.studentName();
      cursor.training = Long.MIN_VALUE;
    }
    out.writeStartObject();
    out.writeStringField("student_name", training.studentName());
    out.writeNumberField("at", training.at().toEpochMilli());
    out.writeNumberField("step", training.step());
    out.writeNumberField("tokens", training.tokens());
    out.writeStringField("stage", training.stage().name().toLowerCase(Locale.ROOT));
    number(out, "loss", training.loss());
    number(out, "learning_rate", training.learningRate());
    number(out, "gradient_norm", training.gradientNorm());
    number(out, "tokens_per_second", training.tokensPerSecond());
    number(out, "lambda", training.lambda());
    numbers(out, "metrics", training.metrics());
    strings(out, "columns", TRAINING_COLUMNS);
    out.writeArrayFieldStart("points");
    for (TrainingPoint point : training.points()) {
      long at = point.at().toEpochMilli();
      if (at > cursor.training) {
        row(
            out,
            (double) at,
            (double) point.step(),
            point.loss(),
            point.learningRate(),
            point.tokensPerSecond(),
            point.lambda(),
            point.validationAgreement());
      }
    }
    out.writeEndArray();
    out.writeEndObject();
    cursor.training = Math.max(cursor.training, training.at().toEpochMilli());
  }

  private static void snapshots(JsonGenerator out, LoopState state) throws IOException {
    out.writeArrayFieldStart("snapshots");
    for (SnapshotManifest manifest : state.snapshots()) {
      out.writeStartObject();
      out.writeNumberField("version", manifest.getVersion());
      number(
          out,
          "parent",
          manifest.getParent() == null ? Double.NaN : manifest.getParent().doubleValue());
      out.writeNumberField("created_at", manifest.getCreatedAt().toEpochMilli());
      out.writeNumberField(
          "bytes", manifest.getFiles().stream().mapToLong(SnapshotFile::getSizeBytes).sum());
      out.writeStringField("quantisation", manifest.getQuantisation());
      out.writeNumberField("training_step", manifest.getTrainingStep());
      out.writeNumberField("tokens_trained", manifest.getTokensTrained());
      out.writeNumberField("parameters", manifest.getParameters());
      out.writeStringField("fingerprint", manifest.getStudentFingerprint());
      numbers(out, "quality", manifest.getQuality());
      out.writeEndObject();
    }
    out.writeEndArray();
    out.writeArrayFieldStart("moves");
    for (SnapshotPointer move : state.moves()) {
      out.writeStartObject();
      out.writeNumberField("version", move.getVersion());
      out.writeNumberField("at", move.getMovedAt().toEpochMilli());
      out.writeBooleanField("rollback", move.getRollback());
      out.writeStringField("reason", move.getReason());
      out.writeEndObject();
    }
    out.writeEndArray();
  }

  private void drift(JsonGenerator out, LoopState state, Cursor cursor) throws IOException {
    out.writeObjectFieldStart("drift");
    number(out, "raise_threshold", alertOptions.raiseThreshold());
    number(out, "clear_threshold", alertOptions.clearThreshold());
    strings(out, "columns", DRIFT_COLUMNS);
    out.writeArrayFieldStart("segments");
    for (SegmentDrift segment : state.drift().values()) {
      long seen = cursor.segments.getOrDefault(segment.segment(), Long.MIN_VALUE);
      out.writeStartObject();
      out.writeStringField("segment", segment.segment());
      out.writeArrayFieldStart("points");
      for (DriftReport report : segment.points()) {
        long at = report.getWindowEnd().toEpochMilli();
        if (at > seen) {
          row(
              out,
              (double) at,
              (double) report.getStudentVersion(),
              (double) report.getRequests(),
              (double) report.getPositions(),
              report.getKlMean(),
              report.getKlStandardError(),
              report.getKlMax(),
              report.getAgreement(),
              report.getAcceptance(),
              report.getTeacherEntropy());
        }
      }
      out.writeEndArray();
      out.writeEndObject();
      cursor.segments.put(
          segment.segment(), Math.max(seen, segment.latest().getWindowEnd().toEpochMilli()));
    }
    out.writeEndArray();
    out.writeEndObject();
  }

  private static void alerts(JsonGenerator out, LoopState state) throws IOException {
    out.writeObjectFieldStart("alerts");
    out.writeNumberField("raised", state.alertsRaised());
    out.writeNumberField("cleared", state.alertsCleared());
    alerts(out, "active", state.activeAlerts());
    alerts(out, "recent", state.alerts());
    out.writeEndObject();
  }

  private static void alerts(JsonGenerator out, String name, List<DriftAlert> alerts)
      throws IOException {
    out.writeArrayFieldStart(name);
    for (DriftAlert alert : alerts) {
      out.writeStartObject();
      out.writeStringField("id", alert.getAlertId());
      out.writeStringField("segment", alert.getSegment());
      out.writeStringField("state", alert.getState().name().toLowerCase(Locale.ROOT));
      out.writeStringField("metric", alert.getMetric());
      number(out, "value", alert.getValue());
      number(out, "threshold", alert.getThreshold());
      out.writeNumberField("at", alert.getAt().toEpochMilli());
      out.writeNumberField("student_version", alert.getStudentVersion());
      out.writeStringField("message", alert.getMessage());
      out.writeEndObject();
    }
    out.writeEndArray();
  }

  private static void row(JsonGenerator out, double... values) throws IOException {
    out.writeStartArray();
    for (double value : values) {
      number(out, value);
    }
    out.writeEndArray();
  }

  private static void strings(JsonGenerator out, String name, List<String> values)
      throws IOException {
    out.writeArrayFieldStart(name);
    for (String value : values) {
      out.writeString(value);
    }
    out.writeEndArray();
  }

  private static void numbers(JsonGenerator out, String name, Map<String, Double> values)
      throws IOException {
    out.writeObjectFieldStart(name);
    for (Map.Entry<String, Double> entry : new TreeMap<>(values).entrySet()) {
      number(out, entry.getKey(), entry.getValue());
    }
    out.writeEndObject();
  }

  private static void number(JsonGenerator out, String name, double value) throws IOException {
    out.writeFieldName(name);
    number(out, value);
  }

  /** JSON knows neither NaN nor infinity, and a whole number needs no fraction. */
  private static void number(JsonGenerator out, double value) throws IOException {
    if (Double.isNaN(value) || Double.isInfinite(value)) {
      out.writeNull();
    } else if (value == Math.rint(value) && Math.abs(value) < 1e15) {
      out.writeNumber((long) value);
    } else {
      out.writeNumber(value);
    }
  }
}
