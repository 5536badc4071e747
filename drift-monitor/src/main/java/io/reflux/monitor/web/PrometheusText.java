package io.reflux.monitor.web;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.monitor.view.LoopState;
import io.reflux.monitor.view.LoopState.Lag;
import io.reflux.monitor.view.LoopState.ServiceState;
import io.reflux.monitor.view.LoopState.TopicState;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.service.MeterFigures;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The monitor's own meters and the loop's figures in Prometheus' text format, version 0.0.4. */
final class PrometheusText {
  /** A metric's type and its samples, kept together as the format asks. */
  private record Family(String type, List<String> samples) {}

  private final Map<String, Family> families = new TreeMap<>();

  private PrometheusText() {}

  static String of(LoopState state, MeterRegistry meters) {
    PrometheusText text = new PrometheusText();
    text.loop(state);
    text.figures("reflux_monitor_own_", MeterFigures.of(meters));
    StringBuilder out = new StringBuilder();
    text.families.forEach(
        (name, family) -> {
          out.append("# TYPE ").append(name).append(' ').append(family.type()).append('\n');
          family.samples().forEach(sample -> out.append(sample).append('\n'));
        });
    return out.toString();
  }

  private void loop(LoopState state) {
    state
        .servedVersion()
        .ifPresent(v -> gauge("reflux_served_version", v, "channel", state.channel()));
    gauge("reflux_alerts_active", state.activeAlerts().size());
    counter("reflux_alerts_raised_total", state.alertsRaised());
    counter("reflux_alerts_cleared_total", state.alertsCleared());
    for (ServiceState service : state.services()) {
      boolean up = !service.silent() && !service.ended();
      String[] labels = {"service", service.service(), "instance", service.instance()};
      gauge("reflux_service_up", up ? 1 : 0, labels);
      // A name that the service's own /metrics does not have: a sum must not count both.
      figures("reflux_status_" + service.service() + "_", service.metrics(), labels);
    }
    for (TopicState topic : state.topics()) {
      gauge("reflux_topic_records", topic.records(), "topic", topic.name());
      if (topic.bytes() >= 0) {
        gauge("reflux_topic_bytes", topic.bytes(), "topic", topic.name());
      }
    }
    for (Lag lag : state.lags()) {
      gauge("reflux_lag_records", lag.records(), "group", lag.group(), "topic", lag.topic());
    }
    state
        .training()
        .ifPresent(
            t -> {
              String[] labels = {"student", t.studentName()};
              gauge("reflux_training_step", t.step(), labels);
              gauge("reflux_training_loss", t.loss(), labels);
              gauge("reflux_training_tokens_per_second", t.tokensPerSecond(), labels);
              counter("reflux_training_tokens_total", t.tokens(), labels);
              t.validationAgreement()
                  .ifPresent(a -> gauge("reflux_training_validation_agreement", a, labels));
            });
    state
        .drift()
        .forEach(
            (segment, drift) -> {
              DriftReport latest = drift.latest();
              gauge("reflux_drift_kl_mean", latest.getKlMean(), "segment", segment);
              gauge(
                  "reflux_drift_kl_standard_error",
                  latest.getKlStandardError(),
                  "segment",
                  segment);
              gauge("reflux_drift_agreement", latest.getAgreement(), "segment", segment);
              gauge("reflux_drift_acceptance", latest.getAcceptance(), "segment", segment);
              gauge("reflux_drift_requests", latest.getRequests(), "segment", segment);
            });
  }

  /** Names as {@link MeterFigures} gives them: tags follow in braces, sums over them are bare. */
  private void figures(String prefix, Map<String, Double> figures, String... labels) {
    figures.forEach(
        (name, value) -> {
          int brace = name.indexOf('{');
          if (brace < 0) {
            if (figures.keySet().stream().noneMatch(n -> n.startsWith(name + "{"))) {
              sample(prefix + name, type(name), value, labels);
            }
            return;
          }
          List<String> all = new ArrayList<>(List.of(labels));
          for (String tag : name.substring(brace + 1, name.length() - 1).split(",", -1)) {
            int equals = tag.indexOf('=');
            all.add(equals < 0 ? "tag" : tag.substring(0, equals));
            all.add(tag.substring(equals + 1));
          }
          String bare = name.substring(0, brace);
          sample(prefix + bare, type(bare), value, all.toArray(String[]::new));
        });
  }

  /** Counters are named so by convention; of the others only their services know what they are. */
  private static String type(String name) {
    return name.endsWith("_total") ? "counter" : "untyped";
  }

  private void gauge(String name, long value, String... labels) {
    gauge(name, (double) value, labels);
  }

  private void gauge(String name, double value, String... labels) {
    sample(name, "gauge", value, labels);
  }

  private void counter(String name, long value, String... labels) {
    sample(name, "counter", (double) value, labels);
  }

  /**
   * @param labels names and values in turn
   */
  private void sample(String name, String type, double value, String... labels) {
    String safe = safeName(name);
    StringBuilder line = new StringBuilder(safe);
    for (int i = 0; i < labels.length; i += 2) {
      line.append(i == 0 ? '{' : ',')
          .append(safeName(labels[i]))
          .append("=\"")
          .append(escaped(labels[i + 1]))
          .append('"');
    }
    line.append(labels.length == 0 ? " " : "} ").append(number(value));
    families
        .computeIfAbsent(safe, n -> new Family(type, new ArrayList<>()))
        .samples()
        .add(line.toString());
  }

  private static String safeName(String name) {
    return name.replaceAll("[^a-zA-Z0-9_]", "_");
  }

  private static String escaped(String value) {
    return value.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n");
  }

  private static String number(double value) {
    if (Double.isInfinite(value)) {
      return value > 0 ? "+Inf" : "-Inf";
    }
    return Double.toString(value);
  }
}
