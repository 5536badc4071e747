package io.reflux.monitor.web;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.monitor.drift.AlertOptions;
import io.reflux.monitor.view.LoopState;
import io.reflux.schemas.service.RefluxException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Iterator;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class MonitorPageTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final AlertOptions ALERT = new AlertOptions(0.3, 0.2, 2, 2, 3, 3);

  private final HttpClient http = HttpClient.newHttpClient();
  private final FakeLoop loop = new FakeLoop(Instant.parse("2026-01-01T00:00:00Z"));
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();
  private final AtomicBoolean healthy = new AtomicBoolean(true);
  private MonitorPage page;

  @BeforeEach
  void start() {
    page = page(0, () -> loop.fold().state(loop.now()));
    page.start();
  }

  @AfterEach
  void stop() {
    page.close();
  }

  @Test
  void servesThePageAndAllThatItLoadsFromItself() throws Exception {
    HttpResponse<String> index = get("");
    assertThat(index.statusCode()).isEqualTo(200);
    assertThat(index.headers().firstValue("content-type").orElseThrow()).startsWith("text/html");
    String policy = index.headers().firstValue("content-security-policy").orElseThrow();
    assertThat(policy).contains("default-src 'none'", "script-src 'self'").doesNotContain("unsafe");
    Matcher references = Pattern.compile("(?:src|href)=\"([^#\"]+)\"").matcher(index.body());
    int found = 0;
    while (references.find()) {
      String reference = references.group(1);
      assertThat(reference).as("loads nothing from outside").doesNotContain("//");
      assertThat(get(reference).statusCode()).as(reference).isEqualTo(200);
      found++;
    }
    assertThat(found).isGreaterThanOrEqualTo(5);
    assertThat(get("charts.js").body()).contains("export function charts");
    assertThat(get("chart.umd.min.js").body()).contains("Chart.js v4");
  }

  @Test
  void tellsAnEmptyLoopAsEmpty() throws Exception {
    JsonNode state = JSON.readTree(get("api/state").body());
    assertThat(state.get("full").asBoolean()).isTrue();
    assertThat(state.get("training").isNull()).isTrue();
    assertThat(state.get("served_version").isNull()).isTrue();
    assertThat(state.get("drift").get("segments")).isEmpty();
    assertThat(state.get("drift").get("raise_threshold").asDouble()).isEqualTo(0.3);
  }

  @Test
  void tellsTheWholeLoop() throws Exception {
    loop.live(240);
    JsonNode state = JSON.readTree(get("api/state").body());
    assertThat(state.get("services")).hasSize(5);
    assertThat(state.get("services").get(0).get("rates").get("total").asDouble()).isEqualTo(50);
    assertThat(state.get("served_version").asLong()).isEqualTo(12);
    assertThat(state.get("snapshots")).hasSize(12);
    assertThat(state.get("snapshots").get(11).get("bytes").asLong()).isEqualTo(433_200);
    assertThat(state.get("training").get("stage").asText()).isEqualTo("on_policy");
    assertThat(state.get("training").get("points")).hasSize(237);
    assertThat(state.get("drift").get("segments")).hasSize(7);
    assertThat(state.get("drift").get("segments").get(0).get("segment").asText()).isEqualTo("*");
    assertThat(state.get("alerts").get("active")).hasSize(2);
    assertThat(state.get("alerts").get("recent").get(0).get("state").asText()).isEqualTo("raised");
    assertThat(state.get("lags")).hasSize(3);
  }

  @Test
  void eventsBeginWithEverythingAndGoOnWithWhatIsNew() throws Exception {
    loop.live(60);
    HttpResponse<Stream<String>> events = http.send(request("api/events"), BodyHandlers.ofLines());
    assertThat(events.headers().firstValue("content-type").orElseThrow())
        .startsWith("text/event-stream");
    try (Stream<String> lines = events.body()) {
      Iterator<String> data = lines.filter(line -> line.startsWith("data:")).iterator();
      JsonNode first = event(data);
      assertThat(first.get("full").asBoolean()).isTrue();
      assertThat(first.get("training").get("points")).hasSize(57);
      loop.live(2);
      JsonNode second = event(data);
      assertThat(second.get("full").asBoolean()).isFalse();
      assertThat(second.get("training").get("points")).hasSize(2);
      assertThat(second.get("training").get("step").asLong()).isEqualTo(62 * 6);
    }
  }

  @Test
  void metricsAreInPrometheusText() throws Exception {
    loop.live(220);
    meters.counter("drift_late_requests_total").increment(3);
    meters.counter("probe_refused_total", "reason", "teacher_mismatch").increment();
    HttpResponse<String> metrics = get("metrics");
    assertThat(metrics.headers().firstValue("content-type").orElseThrow())
        .startsWith("text/plain; version=0.0.4");
    assertThat(metrics.body())
        .contains(
            "# TYPE reflux_served_version gauge\nreflux_served_version{channel=\"stable\"} 11.0\n",
            "reflux_drift_kl_mean{segment=\"warranty\"} ",
            "reflux_service_up{service=\"scorer\",instance=\"laptop-4711-scorer\"} 1.0\n",
            "reflux_lag_records{group=\"monitor-probe\",topic=\"soft-labels\"} 31.0\n",
            "reflux_monitor_own_drift_late_requests_total 3.0\n",
            "reflux_monitor_own_probe_refused_total{reason=\"teacher_mismatch\"} 1.0\n")
        .contains("\nreflux_status_scorer_")
        // That is what the scorer's own page says.
        .doesNotContain("\nreflux_scorer_")
        .doesNotContain("\nreflux_monitor_own_probe_refused_total 1.0");
    assertThat(metrics.body().lines().filter(l -> l.startsWith("# TYPE"))).doesNotHaveDuplicates();
  }

  @Test
  void healthFollowsTheService() throws Exception {
    assertThat(get("health").statusCode()).isEqualTo(200);
    healthy.set(false);
    assertThat(get("health").statusCode()).isEqualTo(503);
  }

  @Test
  void refusesForeignNamesSoThatNoOtherPageReadsThisOne() throws IOException {
    assertThat(statusLine("GET /api/state HTTP/1.1\r\nHost: evil.example\r\n\r\n")).contains("403");
    assertThat(statusLine("GET /api/state HTTP/1.1\r\nHost: localhost:1\r\n\r\n")).contains("200");
  }

  @Test
  void onlyReads() throws Exception {
    HttpRequest post =
        HttpRequest.newBuilder(URI.create(page.url() + "api/state"))
            .POST(HttpRequest.BodyPublishers.noBody())
            .build();
    assertThat(http.send(post, BodyHandlers.discarding()).statusCode()).isEqualTo(405);
  }

  @Test
  void saysWhichPortIsTaken() {
    try (MonitorPage second = page(page.port(), () -> loop.fold().state(loop.now()))) {
      assertThatThrownBy(second::start)
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("reflux.monitor.port");
    }
  }

  private MonitorPage page(int port, Supplier<LoopState> states) {
    return new MonitorPage("127.0.0.1", port, states, ALERT, meters, healthy::get);
  }

  private HttpResponse<String> get(String path) throws IOException, InterruptedException {
    return http.send(request(path), BodyHandlers.ofString());
  }

  private HttpRequest request(String path) {
    return HttpRequest.newBuilder(URI.create(page.url() + path)).build();
  }

  private static JsonNode event(Iterator<String> data) throws IOException {
    return JSON.readTree(data.next().substring("data:".length()));
  }

  private String statusLine(String request) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), page.port())) {
      socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
      return new BufferedReader(
              new InputStreamReader(socket.getInputStream(), StandardCharsets.US_ASCII))
          .readLine();
    }
  }
}
