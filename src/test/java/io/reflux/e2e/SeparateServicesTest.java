package io.reflux.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The README's way of running each service in a process of its own, against one broker. */
class SeparateServicesTest {
  private static final Duration PATIENCE = Duration.ofMinutes(5);

  @TempDir private Path folder;

  private final List<RefluxProcess> processes = new ArrayList<>();
  private final HttpClient http = HttpClient.newHttpClient();

  @AfterEach
  void end() throws InterruptedException {
    for (RefluxProcess process : processes) {
      process.close();
    }
  }

  @Test
  void servicesInTheirOwnProcessesMakeTheWholeLoop() throws Exception {
    Path teacher = TinyTeacher.write(folder.resolve("teacher"));
    int broker = freePort();
    int registry = freePort();
    int mirror = freePort();
    int server = freePort();
    int monitor = freePort();
    int metrics = freePort();
    Path config = folder.resolve("reflux.yaml");
    Files.writeString(
        config,
        """
        reflux:
          kafka:
            bootstrap-servers: 127.0.0.1:%d
          registry:
            url: http://127.0.0.1:%d
          score:
            teacher: %s
            http:
              port: %d
          train:
            teacher: %s
            http:
              port: 0
            student: hidden=32,layers=1,heads=2,kv-heads=1,ffn=64
            snapshot-interval: 5s
            gate: false
          mirror:
            port: %d
          serve:
            port: %d
          monitor:
            port: %d
            window:
              size: 2s
              grace: 500ms
        """
            .formatted(broker, registry, teacher, metrics, teacher, mirror, server, monitor));

    start("dev", "broker", "--port", "" + broker, "--registry-port", "" + registry)
        .await(PATIENCE, line -> line.startsWith("registry:"));
    RefluxProcess scorer = start("score", "--config", config.toString());
    RefluxProcess trainer = start("train", "--config", config.toString());
    scorer.await(PATIENCE, line -> line.startsWith("scorer:"));
    trainer.await(PATIENCE, line -> line.startsWith("trainer:"));
    start("serve", "--config", config.toString())
        .await(PATIENCE, line -> line.startsWith("server:"));
    start("monitor", "--config", config.toString())
        .await(PATIENCE, line -> line.startsWith("monitor:"));
    start("mirror", "--config", config.toString())
        .await(PATIENCE, line -> line.startsWith("mirror:"));

    for (int i = 0; i < 60; i++) {
      HttpResponse<String> taken =
          post(
              "http://127.0.0.1:" + mirror + "/v1/mirror?wait=true",
              "{\"prompt\": \"" + TinyTeacher.prompt(i) + "\", \"segment\": \"tests\"}");
      assertThat(taken.statusCode()).as(taken.body()).isEqualTo(200);
    }
    awaitTrue(
        "a drift report for the segment",
        () -> get("http://127.0.0.1:" + monitor + "/api/state").contains("\"tests\""));
    awaitTrue(
        "a second version in service",
        () -> {
          HttpResponse<String> answer = chat(server);
          return answer.statusCode() == 200
              && answer.headers().firstValueAsLong("reflux-snapshot-version").orElse(0) >= 2;
        });
    assertThat(get("http://127.0.0.1:" + metrics + "/health/ready")).contains("\"ready\"");
    assertThat(get("http://127.0.0.1:" + metrics + "/metrics"))
        .containsPattern("\nreflux_scorer_labels_total [1-9]");
    JsonNode answer = new ObjectMapper().readTree(chat(server).body());
    assertThat(answer.at("/choices/0/message/role").asText()).isEqualTo("assistant");

    // SIGTERM is what an orchestrator sends.
    scorer.terminate();
    assertThat(scorer.exitCode(PATIENCE)).isIn(0, 143);
  }

  private HttpResponse<String> chat(int server) throws IOException, InterruptedException {
    return post(
        "http://127.0.0.1:" + server + "/v1/chat/completions",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"" + TinyTeacher.prompt(0) + "\"}]}");
  }

  private RefluxProcess start(String... arguments) throws IOException {
    RefluxProcess process = RefluxProcess.start(folder, arguments);
    processes.add(process);
    return process;
  }

  private HttpResponse<String> post(String url, String body)
      throws IOException, InterruptedException {
    return http.send(
        HttpRequest.newBuilder(URI.create(url))
            .header("content-type", "application/json")
            .POST(BodyPublishers.ofString(body))
            .build(),
        BodyHandlers.ofString());
  }

  private String get(String url) throws IOException, InterruptedException {
    return http.send(HttpRequest.newBuilder(URI.create(url)).build(), BodyHandlers.ofString())
        .body();
  }

  private interface Check {
    boolean holds() throws IOException, InterruptedException;
  }

  private static void awaitTrue(String what, Check check) throws Exception {
    long deadline = System.nanoTime() + PATIENCE.toNanos();
    while (!check.holds()) {
      assertThat(System.nanoTime()).as("waiting for " + what).isLessThan(deadline);
      java.util.concurrent.locks.LockSupport.parkNanos(Duration.ofMillis(200).toNanos());
    }
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return socket.getLocalPort();
    }
  }
}
