package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.kafka.KafkaClients;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The process itself, killed with SIGKILL, and on a disk that is full. */
@Timeout(180)
class KillTest {
  private static final int STEPS = 60;
  private static final Duration PATIENCE = Duration.ofSeconds(90);

  @TempDir private static Path shared;
  private static DevStack stack;
  private static LabelMaker labelled;

  @TempDir private Path directory;

  @BeforeAll
  static void startStack() {
    stack = DevStack.start(shared.resolve("stack"));
    labelled = LabelMaker.make(shared.resolve("teacher"));
  }

  @AfterAll
  static void stopStack() {
    stack.close();
  }

  @Test
  void killsLeaveTheStateOfAnUninterruptedRunBitForBit() throws Exception {
    KafkaClients clients = stack.clients("killed.");
    clients.createTopics();
    labelled.publish(clients, 0, 500);
    Path straight = directory.resolve("straight");
    TrainerService uninterrupted =
        new TrainerService(
            Settings.of(settings(straight, Map.of("stop-at-step", Integer.toString(STEPS)))),
            clients,
            new SimpleMeterRegistry());
    uninterrupted.start();
    uninterrupted.termination().toCompletableFuture().get(90, TimeUnit.SECONDS);
    uninterrupted.close();

    Path killed = directory.resolve("killed");
    Path log = directory.resolve("killed.log");
    Map<String, String> settings =
        settings(killed, Map.of("stop-at-step", Integer.toString(STEPS), "channel", "killed"));
    Random random = new Random(5);
    for (int kill = 1; kill <= 3; kill++) {
      Process trainer =
          TrainerProcess.start(stack.kafkaConfig("killed."), stack.registryConfig(), settings, log);
      try {
        int step = kill * 15;
        await(() -> TrainerProcess.notedStep(killed) >= step, trainer, log);
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(random.nextInt(40)));
      } finally {
        trainer.destroyForcibly().waitFor();
      }
    }
    assertThat(TrainerProcess.notedStep(killed)).isLessThan(STEPS);
    Process last =
        TrainerProcess.start(stack.kafkaConfig("killed."), stack.registryConfig(), settings, log);
    try {
      assertThat(last.waitFor(90, TimeUnit.SECONDS)).as(Files.readString(log)).isTrue();
      assertThat(last.exitValue()).as(Files.readString(log)).isZero();
    } finally {
      last.destroyForcibly();
    }
    assertThat(Files.readString(log))
        .contains("Redone up to step")
        .contains("Stopped at step 60: weights ");
    assertThat(checkpoint(killed).training())
        .usingRecursiveComparison()
        .isEqualTo(checkpoint(straight).training());
    assertThat(checkpoint(killed).intake().offsets())
        .isEqualTo(checkpoint(straight).intake().offsets());
  }

  @Test
  void onAFullDiskTheCheckpointBeforeIsKeptAndTrainingGoesOn() throws Exception {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/prlimit")), "needs util-linux");
    KafkaClients clients = stack.clients("full.");
    clients.createTopics();
    labelled.publish(clients, 0, 300);
    Path data = directory.resolve("full");
    Path log = directory.resolve("full.log");
    Process trainer =
        TrainerProcess.start(
            stack.kafkaConfig("full."),
            stack.registryConfig(),
            settings(data, Map.of("http.port", "0")),
            log);
    try {
      await(() -> Files.readString(log).contains(TrainerProcess.PORT), trainer, log);
      String port = Files.readString(log).split(TrainerProcess.PORT, 2)[1].split("\n", 2)[0];
      URI health = URI.create("http://127.0.0.1:" + port.strip() + "/health/ready");
      await(() -> newest(data) >= 2 && health(health).isEmpty(), trainer, log);

      // As on a disk that has no more than this: writes fail in the kernel.
      limitFiles(trainer, "1000");
      await(() -> health(health).contains("the one before is kept"), trainer, log);
      long kept = newest(data);
      long step = TrainerProcess.notedStep(data);
      assertThat(data.resolve("checkpoint.tmp")).doesNotExist();
      assertThat(trainer.isAlive()).isTrue();

      limitFiles(trainer, "unlimited");
      await(() -> newest(data) > kept && health(health).isEmpty(), trainer, log);
      // It went on meanwhile, and what it did is in the next one.
      await(() -> TrainerProcess.notedStep(data) > step, trainer, log);
    } finally {
      trainer.destroyForcibly().waitFor();
    }
    assertThat(checkpoint(data).training().step()).isPositive();
  }

  private static void limitFiles(Process process, String bytes) throws Exception {
    Process prlimit =
        new ProcessBuilder(
                "/usr/bin/prlimit", "--pid", Long.toString(process.pid()), "--fsize=" + bytes + ":")
            .inheritIO()
            .start();
    assertThat(prlimit.waitFor()).isZero();
  }

  /** What health says of checkpoints; empty if all is well. */
  private static String health(URI uri) throws IOException, InterruptedException {
    String body =
        HttpClient.newHttpClient()
            .send(HttpRequest.newBuilder(uri).build(), BodyHandlers.ofString())
            .body();
    JsonNode note = new JsonMapper().readTree(body).get(Checkpoints.PART);
    return note == null ? "" : note.asText();
  }

  private static long newest(Path data) throws IOException {
    try (var files = Files.list(data)) {
      return files
          .map(path -> path.getFileName().toString())
          .filter(name -> name.matches("checkpoint-\\d{12}\\.reflux"))
          .mapToLong(name -> Long.parseLong(name.substring(11, 23)))
          .max()
          .orElse(0);
    }
  }

  private static Checkpoint checkpoint(Path data) {
    try (CheckpointStore store = CheckpointStore.open(data, 2)) {
      return store.load().orElseThrow().checkpoint();
    }
  }

  private Map<String, String> settings(Path data, Map<String, String> changes) {
    Map<String, String> settings = new HashMap<>();
    settings.put("teacher", shared.resolve("teacher").toString());
    settings.put("student", "hidden=32,layers=1,heads=4,kv-heads=2,ffn=64");
    settings.put("data-dir", data.toString());
    settings.put("batch-tokens", "1024");
    settings.put("intake-sequences", "16");
    settings.put("max-reuse", "1000000");
    settings.put("validation-steps", "7");
    settings.put("on-policy-steps", "10");
    settings.put("snapshot-interval", "PT1S");
    settings.put("checkpoint-interval", "PT0.3S");
    settings.put("http.port", "-1");
    settings.putAll(changes);
    return settings;
  }

  private static void await(Callable<Boolean> condition, Process process, Path log)
      throws Exception {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.call()) {
      if (System.nanoTime() > end || !process.isAlive()) {
        throw new AssertionError("not within " + PATIENCE + ": " + Files.readString(log));
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
    }
  }
}
