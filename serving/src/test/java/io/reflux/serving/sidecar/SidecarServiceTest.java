package io.reflux.serving.sidecar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.FleetOutcome;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.avro.FleetStage;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.serving.SharedStack;
import io.reflux.serving.sidecar.Runtime.Asked;
import io.reflux.snapshots.FleetReports;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotPublisher;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

@ExtendWith(SharedStack.class)
class SidecarServiceTest {
  @TempDir private Path temp;
  private KafkaClients clients;
  private SnapshotPublisher publisher;
  private Runtime runtime;
  private Path folder;

  @BeforeEach
  void open(DevStack stack) throws IOException {
    String prefix = "t" + UUID.randomUUID().toString().substring(0, 8) + ".";
    clients = new KafkaClients(stack.kafkaConfig(prefix), stack.registryConfig());
    clients.createTopics();
    publisher = new SnapshotPublisher(clients);
    runtime = new Runtime();
    folder = temp.resolve("student");
  }

  @AfterEach
  void close() {
    runtime.close();
    publisher.close();
  }

  @Test
  void formatIsLaidOutAndTheRuntimeIsToldWhereItIs() throws Exception {
    publish(1);
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    try (SidecarService sidecar =
        new SidecarService(
            config(Map.of("format", "hf", "webhook-token", "sesame")),
            SnapshotAccess.unsigned(clients),
            meters)) {
      sidecar.start();
      Asked asked = runtime.next();
      assertThat(asked.method()).isEqualTo("POST");
      assertThat(asked.version()).isEqualTo("1");
      assertThat(asked.authorization()).isEqualTo("Bearer sesame");
      JsonNode body = new ObjectMapper().readTree(asked.body());
      assertThat(body.path("channel").asText()).isEqualTo("stable");
      assertThat(body.path("version").asLong()).isEqualTo(1);
      assertThat(body.path("path").asText()).isEqualTo(folder.resolve("versions/1").toString());
      assertThat(body.path("current").asText()).isEqualTo(folder.resolve("current").toString());
      assertThat(body.path("format").asText()).isEqualTo("hf");
      assertThat(body.path("student_fingerprint").asText()).isEqualTo("student-1");
      FleetReport report = awaitReport(1, FleetOutcome.SERVING);
      assertThat(report.getService()).isEqualTo("sidecar");
      assertThat(report.getStage()).isEqualTo(FleetStage.WEBHOOK);
      assertThat(report.getServingVersion()).isEqualTo(1);
      // The format's own files beside what all share; nothing of other formats.
      assertThat(names(folder.resolve("current")))
          .containsExactlyInAnyOrder("config.json", "model.safetensors", "tokenizer.json");
      assertThat(folder.resolve("current/config.json")).hasContent("plain 1");
      assertThat(folder.resolve("current/model.safetensors"))
          .hasSameBinaryContentAs(model(1).resolve("hf/model.safetensors"));
      assertThat(sidecar.servedVersion()).hasValue(1);
      assertThat(health(sidecar)).isEqualTo(200);
      assertThat(meters.get("served_version").gauge().value()).isEqualTo(1);
    }
  }

  @Test
  void runtimeThatFailsOnceIsAskedAgain() throws Exception {
    runtime.answers(call -> runtime.waiting() == 0 ? 500 : 204);
    publish(1);
    try (SidecarService sidecar = start(Map.of())) {
      awaitServed(sidecar, 1);
      assertThat(runtime.waiting()).isEqualTo(2);
      assertThat(awaitReport(1, FleetOutcome.SERVING).getReason()).isEmpty();
    }
  }

  @Test
  void runtimeThatWillNotLeavesTheOldVersionCurrentAndTheReportSaysWhy() throws Exception {
    publish(1);
    try (SidecarService sidecar = start(Map.of("webhook-attempts", "2"))) {
      awaitServed(sidecar, 1);
      runtime.answers(call -> call.version().equals("2") ? 503 : 200);
      publish(2);
      FleetReport refused = awaitReport(2, FleetOutcome.REFUSED);
      assertThat(refused.getStage()).isEqualTo(FleetStage.WEBHOOK);
      assertThat(refused.getServingVersion()).isEqualTo(1);
      assertThat(refused.getReason())
          .startsWith(
              "snapshot 2: webhook POST " + runtime.url() + ": 503 '{\"message\": \"as told\"}'")
          .endsWith("(expected: 2xx), called 2 times; version 1 is current again");
      assertThat(sidecar.servedVersion()).hasValue(1);
      // It said no itself, so nobody asks it for the old one.
      runtime.next();
      assertThat(runtime.next().version()).isEqualTo("2");
      publish(3);
      awaitServed(sidecar, 3);
      assertThat(Files.readSymbolicLink(folder.resolve("current")))
          .isEqualTo(Path.of("versions/3"));
      awaitReport(3, FleetOutcome.SERVING);
    }
  }

  @Test
  void runtimeThatHangsIsGivenUpAndAskedForTheOldVersion() throws Exception {
    publish(1);
    try (SidecarService sidecar =
        start(Map.of("webhook-attempts", "1", "webhook-timeout", "PT1S"))) {
      awaitServed(sidecar, 1);
      runtime.next();
      runtime.answers(call -> call.version().equals("2") ? Runtime.HANG : 200);
      publish(2);
      FleetReport refused = awaitReport(2, FleetOutcome.REFUSED);
      assertThat(refused.getReason())
          .endsWith(
              ": no answer in 1000 ms (expected: 2xx); version 1 is current again, and asked for"
                  + " again");
      // On a busy machine the one that hangs may be noticed last.
      assertThat(List.of(runtime.next().version(), runtime.next().version()))
          .containsExactlyInAnyOrder("1", "2");
    }
    // Closed in the middle of whatever it did: it ends, and what is current is whole.
    assertThat(names(folder.resolve("current"))).contains("config.json");
  }

  @Test
  void nextStartFinishesWhatAKillBroke() throws Exception {
    publish(1);
    try (SidecarService sidecar = start(Map.of())) {
      awaitServed(sidecar, 1);
      runtime.next();
    }
    publish(2);
    // Killed between staging and flip.
    try (VersionFolder killed = VersionFolder.open(folder)) {
      killed.stage(2, flat(model(2)));
    }
    try (SidecarService sidecar = start(Map.of())) {
      awaitServed(sidecar, 2);
      assertThat(runtime.next().version()).isEqualTo("2");
      assertThat(names(folder.resolve("versions"))).containsExactlyInAnyOrder("1", "2");
    }
    publish(3);
    // Killed between flip and webhook.
    try (VersionFolder killed = VersionFolder.open(folder)) {
      killed.flip(killed.stage(3, flat(model(3))));
    }
    try (SidecarService sidecar = start(Map.of())) {
      awaitServed(sidecar, 3);
      assertThat(runtime.next().version()).isEqualTo("3");
    }
    // Not killed at all: what the runtime took it is not asked for again.
    try (SidecarService sidecar = start(Map.of())) {
      awaitReport(3, FleetOutcome.SERVING);
      assertThat(sidecar.servedVersion()).hasValue(3);
      assertThat(runtime.waiting()).isZero();
    }
    assertThat(FleetReports.read(clients)).isEmpty();
  }

  @Test
  void lowerVersionThanServedIsRefusedAfterARestart(DevStack stack) throws Exception {
    publish(1);
    publish(2);
    try (SidecarService sidecar = start(Map.of())) {
      awaitServed(sidecar, 2);
    }
    // The loop as it is after a bad restore: it begins with 1 again.
    close();
    open(stack);
    publish(1);
    try (SidecarService sidecar = start(Map.of())) {
      FleetReport refused = awaitReport(1, FleetOutcome.REFUSED);
      assertThat(refused.getReason()).contains("version 1 (expected: at least 2, served before");
      assertThat(refused.getServingVersion()).isEqualTo(2);
      assertThat(sidecar.servedVersion()).hasValue(2);
      assertThat(runtime.waiting()).isZero();
    }
  }

  @Test
  void runtimesAreAskedAsTheyWantToBe() throws Exception {
    publish(1);
    try (SidecarService sidecar = start(Map.of("webhook-style", "sglang"))) {
      Asked asked = runtime.next();
      assertThat(asked.path()).isEqualTo("/update_weights_from_disk");
      assertThat(asked.body())
          .isEqualTo(
              "{\"model_path\": \""
                  + folder.resolve("versions/1")
                  + "\", \"weight_version\": \"1\"}");
      awaitServed(sidecar, 1);
    }
    publish(2);
    try (SidecarService sidecar = start(Map.of("webhook-style", "vllm"))) {
      Asked reload = runtime.next();
      assertThat(reload.path()).isEqualTo("/collective_rpc");
      assertThat(reload.body()).isEqualTo("{\"method\": \"reload_weights\"}");
      assertThat(runtime.next().path()).isEqualTo("/reset_prefix_cache");
      awaitServed(sidecar, 2);
    }
    publish(3);
    try (SidecarService sidecar =
        start(Map.of("webhook-method", "PUT", "webhook-body", "{\"load\": \"{path}\"}"))) {
      Asked asked = runtime.next();
      assertThat(asked.method()).isEqualTo("PUT");
      assertThat(asked.body()).isEqualTo("{\"load\": \"" + folder.resolve("versions/3") + "\"}");
      awaitServed(sidecar, 3);
    }
  }

  @Test
  void valuesStandInsideQuotesInJson() {
    assertThat(Webhook.fill("{\"p\": \"{path}\", \"n\": {}}", Map.of("path", "a\"b\\c$1")))
        .isEqualTo("{\"p\": \"a\\\"b\\\\c$1\", \"n\": {}}");
  }

  @Test
  void settingsThatMakeNoSenseAreNamed() {
    assertSettings(Map.of("webhook", "runtime:8000"), "reflux.sidecar.webhook: runtime:8000 (");
    assertSettings(
        Map.of("webhook-body", "{\"a\": \"{pth}\"}"),
        "reflux.sidecar.webhook-body: {pth} (expected: one of [channel, version, path, current,"
            + " format, fingerprint])");
    assertSettings(
        Map.of("webhook-style", "vllm", "webhook-body", "x"), "reflux.sidecar.webhook-body: set (");
    assertSettings(Map.of("webhook-attempts", "0"), "reflux.sidecar.webhook-attempts: 0 (");
    assertSettings(Map.of("webhook-timeout", "PT0S"), "reflux.sidecar.webhook-timeout: PT0S (");
    assertSettings(Map.of("webhook-method", "post it"), "reflux.sidecar.webhook-method: post it (");
    assertSettings(Map.of("keep-versions", "1"), "reflux.sidecar.keep-versions: 1 (");
    assertSettings(Map.of("format", "mp3"), "format: mp3 (expected: ");
    assertSettings(Map.of("folder", ""), "reflux.sidecar.folder: missing (");
  }

  private void assertSettings(Map<String, String> settings, String message) {
    assertThatThrownBy(
            () ->
                new SidecarService(
                    config(settings), SnapshotAccess.unsigned(clients), new SimpleMeterRegistry()))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining(message);
  }

  private SidecarService start(Map<String, String> settings) {
    SidecarService sidecar =
        new SidecarService(
            config(settings), SnapshotAccess.unsigned(clients), new SimpleMeterRegistry());
    sidecar.start();
    return sidecar;
  }

  private SidecarConfig config(Map<String, String> settings) {
    Map<String, String> all = new HashMap<>();
    all.put("folder", folder.toString());
    all.put("format", "safetensors");
    all.put("webhook", runtime.url());
    all.put("webhook-backoff", "PT0.01S");
    all.put("http.port", "0");
    all.putAll(settings);
    SmallRyeConfigBuilder builder = new SmallRyeConfigBuilder().withMapping(SidecarConfig.class);
    all.forEach((key, value) -> builder.withDefaultValue("reflux.sidecar." + key, value));
    return builder.build().getConfigMapping(SidecarConfig.class);
  }

  private void publish(long number) throws IOException {
    publisher.publish(
        model(number),
        new SnapshotInfo(
            "student",
            "none",
            "student-" + number,
            "teacher",
            "tokenizer",
            "",
            number,
            1,
            1,
            Map.of(),
            Map.of(),
            0,
            "test",
            Optional.empty(),
            List.of("safetensors", "hf")),
        "stable");
  }

  /** The files of a snapshot that offers two formats; what is in them nobody here asks. */
  private Path model(long number) throws IOException {
    Path directory = temp.resolve("model-" + number);
    Files.createDirectories(directory.resolve("hf"));
    byte[] weights = new byte[50_000];
    new Random(number).nextBytes(weights);
    Files.write(directory.resolve("model.safetensors"), weights);
    new Random(-number).nextBytes(weights);
    Files.write(directory.resolve("hf/model.safetensors"), weights);
    Files.writeString(directory.resolve("config.json"), "quantised " + number);
    Files.writeString(directory.resolve("hf/config.json"), "plain " + number);
    Files.writeString(directory.resolve("tokenizer.json"), "tokenizer");
    return directory;
  }

  private static Map<String, Path> flat(Path model) {
    Map<String, Path> files = new HashMap<>();
    for (String name : List.of("model.safetensors", "config.json", "tokenizer.json")) {
      files.put(name, model.resolve(name));
    }
    return files;
  }

  private static int health(SidecarService sidecar) throws Exception {
    URI uri = URI.create("http://127.0.0.1:" + sidecar.port() + "/health/ready");
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(20)).build(),
            HttpResponse.BodyHandlers.discarding())
        .statusCode();
  }

  private static List<String> names(Path directory) throws IOException {
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.map(path -> path.getFileName().toString()).toList();
    }
  }

  private static void awaitServed(SidecarService sidecar, long version) {
    await("version " + version, () -> sidecar.servedVersion().orElse(0) == version);
  }

  private FleetReport awaitReport(long version, FleetOutcome outcome) {
    FleetReport[] found = new FleetReport[1];
    await(
        outcome + " of version " + version,
        () -> {
          FleetReports.read(clients).stream()
              .map(FleetReports.Heard::report)
              .filter(report -> report.getVersion() != null && report.getVersion() == version)
              .filter(report -> report.getOutcome() == outcome)
              .forEach(report -> found[0] = report);
          return found[0] != null;
        });
    return found[0];
  }

  private static void await(String what, BooleanSupplier condition) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as("%s within 30 s", what).isLessThan(deadline);
      java.util.concurrent.locks.LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
    }
  }
}
