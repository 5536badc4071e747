package io.reflux.operations;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.schemas.service.MeterFigures;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class OperationsServerTest {
  private static final String HOST = "127.0.0.1";
  private static final Pattern SAMPLE =
      Pattern.compile("([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{.*})? (NaN|[+-]Inf|[-+0-9.eE]+)");
  private static final Pattern SUFFIX = Pattern.compile("_(total|bucket|count|sum|max|info)$");

  private final Health health = Health.waitingFor("teacher", "kafka");
  private final MeterRegistry meters = PrometheusMeters.of("scorer");
  private OperationsServer server = OperationsServer.start(HOST, 0, meters, health);

  @AfterEach
  void stop() {
    server.close();
  }

  private HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(URI.create("http://" + HOST + ":" + server.port() + path))
                .build(),
            HttpResponse.BodyHandlers.ofString());
  }

  private static void assertAnswer(HttpResponse<String> response, int status, String json) {
    assertThat(response.statusCode()).isEqualTo(status);
    assertThat(response.body()).isEqualTo(json + "\n");
    assertThat(response.headers().firstValue("content-type"))
        .hasValueSatisfying(type -> assertThat(type).startsWith("application/json"));
  }

  /** Family by sample name; refuses what Prometheus' text format does not allow. */
  private static Map<String, String> parse(String exposition) {
    Map<String, String> types = new LinkedHashMap<>();
    Map<String, String> samples = new LinkedHashMap<>();
    Set<String> helped = new HashSet<>();
    assertThat(exposition).endsWith("\n");
    for (String line : exposition.split("\n")) {
      if (line.startsWith("# HELP ")) {
        String[] parts = line.split(" ", 4);
        assertThat(parts).as(line).hasSize(4);
        assertThat(parts[3]).as(line).isNotBlank();
        assertThat(helped.add(parts[2])).as("second %s", line).isTrue();
      } else if (line.startsWith("# TYPE ")) {
        String[] parts = line.split(" ");
        assertThat(parts).as(line).hasSize(4);
        assertThat(types.put(parts[2], parts[3])).as("second %s", line).isNull();
      } else {
        Matcher sample = SAMPLE.matcher(line);
        assertThat(sample.matches()).as(line).isTrue();
        String name = sample.group(1);
        String bare = SUFFIX.matcher(name).replaceFirst("");
        assertThat(types.containsKey(name) || types.containsKey(bare)).as(line).isTrue();
        String labels = sample.group(2) == null ? "" : sample.group(2);
        assertThat(samples.put(name + labels, sample.group(3))).as("second %s", line).isNull();
      }
    }
    assertThat(helped).containsAll(types.keySet());
    return samples;
  }

  @Test
  void readinessNamesWhatIsMissing() throws Exception {
    assertAnswer(
        get("/health/ready"),
        503,
        "{\"status\":\"not ready\",\"kafka\":\"starting\",\"teacher\":\"starting\"}");
    assertAnswer(get("/health/live"), 200, "{\"status\":\"live\"}");

    health.ready("teacher");
    health.notReady("kafka", "no broker at \"kafka-1\"");
    assertAnswer(
        get("/health/ready"),
        503,
        "{\"status\":\"not ready\",\"kafka\":\"no broker at \\\"kafka-1\\\"\"}");

    health.ready("kafka");
    assertAnswer(get("/health/ready"), 200, "{\"status\":\"ready\"}");
  }

  @Test
  void aFailedServiceIsNeitherLiveNorReady() throws Exception {
    health.ready("teacher");
    health.ready("kafka");
    health.failed("out of memory");

    assertAnswer(get("/health/live"), 503, "{\"status\":\"failed\",\"reason\":\"out of memory\"}");
    assertAnswer(
        get("/health/ready"), 503, "{\"status\":\"not ready\",\"failed\":\"out of memory\"}");
  }

  @Test
  void metersAreShownUnderTheServicesName() throws Exception {
    Counter.builder("labels_total").description("Labels written.").register(meters).increment(3);
    Counter.builder("steps").description("Steps.").register(meters).increment();
    Counter.builder("dead_letters_total")
        .description("Dead letters.")
        .tag("reason", "too \"long\"\n")
        .register(meters)
        .increment();
    Gauge.builder("in_flight", () -> 7).description("Taken in.").register(meters);
    Timer.builder("queue_age")
        .description("Time in the queue.")
        .register(meters)
        .record(Duration.ofMillis(1500));

    HttpResponse<String> response = get("/metrics");
    Map<String, String> samples = parse(response.body());

    assertThat(response.headers().firstValue("content-type"))
        .hasValue("text/plain; version=0.0.4; charset=utf-8");
    assertThat(samples)
        .containsEntry("reflux_scorer_labels_total", "3.0")
        .containsEntry("reflux_scorer_steps_total", "1.0")
        .containsEntry("reflux_scorer_dead_letters_total{reason=\"too \\\"long\\\"\\n\"}", "1.0")
        .containsEntry("reflux_scorer_in_flight", "7.0")
        .containsEntry("reflux_scorer_queue_age_seconds_count", "1")
        .containsEntry("reflux_scorer_queue_age_seconds_sum", "1.5");
    assertThat(response.body()).contains("# HELP reflux_scorer_labels_total Labels written.");
    assertThat(samples.keySet())
        .contains("process_uptime_seconds", "jvm_threads_live_threads", "process_cpu_usage")
        .contains("process_cpu_seconds_total", "process_resident_memory_bytes")
        .anyMatch(name -> name.startsWith("jvm_memory_used_bytes{"))
        .allMatch(name -> name.matches("(reflux_scorer|jvm|process|system)_.*"));
  }

  @Test
  void whatTheServiceReportsHasItsOwnNamesAndNoMetersOfTheProcess() {
    meters.counter("labels_total").increment(3);

    assertThat(MeterFigures.of(meters)).isEqualTo(Map.of("labels_total", 3.0));
  }

  @Test
  void aTakenPortIsOneLine() {
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> OperationsServer.start(HOST, server.port(), meters, health))
        .withMessageStartingWith("metrics and health: 127.0.0.1:" + server.port() + ": ")
        .withMessageEndingWith("(expected: a free port, see --http-port)")
        .satisfies(e -> assertThat(e.getMessage()).doesNotContain("\n"));
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> OperationsServer.start(HOST, 70_000, meters, health))
        .withMessage("http.port: 70000 (expected: up to 65535; below 0 for none)");
  }

  @Test
  void anotherRegistryShowsTheProcessAlone() throws Exception {
    server.close();
    server = OperationsServer.start(HOST, 0, new SimpleMeterRegistry(), health);

    assertThat(parse(get("/metrics").body()).keySet())
        .isNotEmpty()
        .noneMatch(name -> name.startsWith("reflux"));
  }

  @Test
  void aClosedServersPortIsFree() {
    int port = server.port();
    server.close();
    server.close();

    server = OperationsServer.start(HOST, port, meters, health);
    assertThat(server.port()).isEqualTo(port);
  }

  @Test
  void offListensNowhere() {
    OperationsServer off = OperationsServer.start(HOST, OperationsServer.OFF, meters, health);
    assertThat(off.port()).isEqualTo(OperationsServer.OFF);
    off.close();
  }
}
