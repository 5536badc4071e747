package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.operations.Health;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * A trainer that is dropped at any step, with nothing left but its data directory, ends with the
 * weights of one that never was, bit for bit.
 */
@Timeout(180)
class ResumeTest {
  private static final int STEPS = 14;

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
  void aDropAtEveryStepChangesNotABit() throws IOException {
    KafkaClients clients = clients("preloaded.");
    clients.createTopics();
    labelled.publish(clients, 0, 400);
    List<String> uninterrupted = new ArrayList<>();
    Path undisturbed = directory.resolve("undisturbed");
    run(clients, undisturbed, Map.of(), 0, STEPS, uninterrupted);
    assertThat(uninterrupted).hasSize(STEPS).doesNotHaveDuplicates();

    // Other fetches must not matter either.
    KafkaClients little = littleByLittle("preloaded.");
    Path dropped = directory.resolve("dropped");
    List<String> weights = new ArrayList<>();
    for (int step = 1; step <= STEPS; step++) {
      run(little, dropped, Map.of(), weights.size(), step, weights);
      if (step == 7) {
        tearLastLine(dropped);
      }
      if (step == 12) {
        damage(newestCheckpoint(dropped));
      }
    }
    assertThat(weights).isEqualTo(uninterrupted);
  }

  @Test
  void noMoreDoesAStop() {
    KafkaClients clients = clients("stopped.");
    clients.createTopics();
    labelled.publish(clients, 0, 400);
    List<String> uninterrupted = new ArrayList<>();
    run(clients, directory.resolve("undisturbed"), Map.of(), 0, STEPS, uninterrupted);
    Path stopped = directory.resolve("stopped");
    List<String> weights = new ArrayList<>();
    for (int step = 3; step <= STEPS; step += 4) {
      run(clients, stopped, Map.of(), weights.size(), step, weights);
      try (TrainingLoop loop = open(clients, stopped, Map.of())) {
        while (loop.stepsDone() < step) {
          loop.turn();
        }
        loop.stop();
        // What it takes in while it stops belongs to the next step, which is not done any more.
        loop.turn();
        assertThat(loop.stepsDone()).isEqualTo(step);
        loop.run();
      }
    }
    run(clients, stopped, Map.of(), weights.size(), STEPS, weights);
    assertThat(weights).isEqualTo(uninterrupted);
  }

  @Test
  void whateverADropLeavesBetweenTwoStepsIsGoneOnFrom() throws IOException {
    KafkaClients clients = clients("copies.");
    clients.createTopics();
    labelled.publish(clients, 0, 400);
    Path original = directory.resolve("original");
    List<Path> copies = new ArrayList<>();
    List<String> weights = new ArrayList<>();
    try (TrainingLoop loop = open(clients, original, Map.of())) {
      while (loop.stepsDone() < STEPS) {
        loop.turn();
        if (loop.stepsDone() % 3 == 0) {
          copies.add(copy(original, directory.resolve("copy-" + loop.stepsDone())));
        }
        weights.add(loop.weights().fingerprint());
      }
    }
    String last = weights.get(weights.size() - 1);
    for (Path copy : copies) {
      List<String> redone = new ArrayList<>();
      run(clients, copy, Map.of(), 0, STEPS, redone);
      assertThat(redone.get(redone.size() - 1)).as(copy.toString()).isEqualTo(last);
    }
  }

  @Test
  void onLiveTrafficWhatWasTakenInIsTakenInAgain() throws IOException {
    KafkaClients clients = clients("live.");
    clients.createTopics();
    Path dropped = directory.resolve("dropped");
    Map<String, String> keepAll = Map.of("checkpoint-retention", "1000");
    List<String> weights = new ArrayList<>();
    // Each time some more has come when it resumes, which must not get into steps already done.
    for (int step = 2; step <= STEPS; step += 3) {
      labelled.publish(clients, 100 * step, 60);
      run(clients, dropped, keepAll, weights.size(), step, weights);
    }
    labelled.publish(clients, 10_000, 60);
    // The journals alone tell all steps: one that never was dropped would have done the same.
    try (Stream<Path> files = Files.list(dropped)) {
      for (Path file : files.filter(path -> path.toString().endsWith(".reflux")).toList()) {
        Files.delete(file);
      }
    }
    List<String> uninterrupted = new ArrayList<>();
    run(clients, dropped, keepAll, 0, weights.size(), uninterrupted);
    assertThat(uninterrupted).isEqualTo(weights);
  }

  @Test
  void whatIsPublishedAfterADropIsWhatItWouldHaveBeenWithoutOne() {
    KafkaClients clients = clients("published.");
    clients.createTopics();
    labelled.publish(clients, 0, 400);
    Map<String, String> live =
        Map.of(
            "snapshot-format", "int4",
            "quantisation-method", "quantease",
            "calibration-half-life", "500",
            "gate", "false");
    publish(clients, live, "undisturbed", 11, 11);
    publish(clients, live, "dropped", 100, 8);
    // It goes on from the checkpoint at step 5.
    publish(clients, live, "dropped", 6, 11);

    SnapshotManifest one = served(clients, "undisturbed");
    SnapshotManifest other = served(clients, "dropped");
    assertThat(one.getTrainingStep()).isEqualTo(other.getTrainingStep()).isEqualTo(11);
    assertThat(other.getStudentFingerprint()).isEqualTo(one.getStudentFingerprint());
    assertThat(other.getLineage().getConfiguration())
        .isEqualTo(one.getLineage().getConfiguration())
        .containsEntry("reflux.train.quantisation-method", "quantease");
  }

  private void publish(
      KafkaClients clients, Map<String, String> live, String name, int every, int until) {
    Map<String, String> settings = new HashMap<>(live);
    settings.put("channel", name);
    settings.put("snapshot-steps", Integer.toString(every));
    run(clients, directory.resolve(name), settings, 0, until, new ArrayList<>());
  }

  private static SnapshotManifest served(KafkaClients clients, String channel) {
    SnapshotCatalog catalog = new SnapshotCatalog(clients);
    return catalog.find(catalog.pointer(channel).orElseThrow().getVersion()).orElseThrow();
  }

  @Test
  void aTornCheckpointIsToldUntilTheNextIsWritten() throws IOException {
    KafkaClients clients = clients("torn.");
    clients.createTopics();
    labelled.publish(clients, 0, 200);
    Path data = directory.resolve("torn");
    run(clients, data, Map.of(), 0, 11, new ArrayList<>());
    damage(newestCheckpoint(data));
    Health health = Health.waitingFor();
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    try (TrainingLoop loop = open(clients, data, Map.of(), meters, health)) {
      assertThat(loop.stepsDone()).isEqualTo(5);
      assertThat(meters.get("checkpoints_torn").counter().count()).isEqualTo(1);
      assertThat(health.waiting().get(Checkpoints.PART)).contains("SHA-256");
      while (loop.stepsDone() < 12) {
        loop.turn();
      }
      assertThat(meters.get("train_steps_redone").counter().count()).isEqualTo(6);
      assertThat(health.waiting()).doesNotContainKey(Checkpoints.PART);
    }
  }

  @Test
  void recordsThatAreGoneAreNotWaitedFor() throws Exception {
    KafkaClients clients = clients("gone.");
    clients.createTopics();
    labelled.publish(clients, 0, 200);
    Path data = directory.resolve("gone");
    run(clients, data, Map.of(), 0, 8, new ArrayList<>());
    try (Admin admin = clients.admin()) {
      Map<TopicPartition, RecordsToDelete> all = new HashMap<>();
      for (var topic : List.of(Topics.SOFT_LABELS, Topics.ROLLOUT_LABELS)) {
        for (int partition = 0; partition < topic.partitions(); partition++) {
          all.put(
              new TopicPartition(topic.fullName(clients.kafka()), partition),
              RecordsToDelete.beforeOffset(-1));
        }
      }
      admin.deleteRecords(all).all().get();
    }
    // From the checkpoint at step 5, and on with what it holds and what comes.
    labelled.publish(clients, 1000, 60);
    run(clients, data, Map.of(), 100, 12, new ArrayList<>());
  }

  /** Opens it, goes on to a step, and drops it; adds the weights after each step not seen yet. */
  private void run(
      KafkaClients clients,
      Path data,
      Map<String, String> changes,
      int seen,
      int until,
      List<String> weights) {
    try (TrainingLoop loop = open(clients, data, changes)) {
      while (loop.stepsDone() < until) {
        long before = loop.stepsDone();
        loop.turn();
        if (loop.stepsDone() > before) {
          String now = loop.weights().fingerprint();
          if (loop.stepsDone() > seen) {
            weights.add(now);
          } else if (loop.stepsDone() <= weights.size()) {
            assertThat(now)
                .as("step %d again", loop.stepsDone())
                .isEqualTo(weights.get((int) loop.stepsDone() - 1));
          }
        }
      }
    }
  }

  private TrainingLoop open(KafkaClients clients, Path data, Map<String, String> changes) {
    return open(clients, data, changes, new SimpleMeterRegistry(), Health.waitingFor());
  }

  private TrainingLoop open(
      KafkaClients clients,
      Path data,
      Map<String, String> changes,
      SimpleMeterRegistry meters,
      Health health) {
    Map<String, String> settings = new HashMap<>();
    settings.put("teacher", shared.resolve("teacher").toString());
    settings.put("student", "hidden=32,layers=1,heads=4,kv-heads=2,ffn=64");
    settings.put("data-dir", data.toString());
    settings.put("batch-tokens", "256");
    settings.put("intake-sequences", "20");
    settings.put("warm-up-steps", "3");
    settings.put("validation-steps", "2");
    settings.put("held-out-fraction", "0.2");
    settings.put("on-policy-steps", "4");
    settings.put("replay-size", "40");
    settings.put("recent-size", "30");
    settings.put("snapshot-interval", "PT1H");
    settings.put("checkpoint-interval", "PT1H");
    settings.put("checkpoint-steps", "5");
    settings.putAll(changes);
    return TrainingLoop.open(
        Settings.of(settings),
        SnapshotAccess.unsigned(clients),
        labelled.teacher(),
        new TrainerMeters(meters),
        health,
        line -> {});
  }

  private static KafkaClients clients(String prefix) {
    return stack.clients(prefix);
  }

  private record Kafka(
      String bootstrapServers,
      String prefix,
      short replicationFactor,
      Map<String, String> properties)
      implements KafkaConfig {}

  /** Clients whose fetches bring little at a time. */
  private static KafkaClients littleByLittle(String prefix) {
    KafkaConfig config = stack.kafkaConfig(prefix);
    return new KafkaClients(
        new Kafka(
            config.bootstrapServers(),
            prefix,
            config.replicationFactor(),
            Map.of("consumer.max.poll.records", "7")),
        stack.registryConfig());
  }

  private static void tearLastLine(Path data) throws IOException {
    try (Stream<Path> files = Files.list(data)) {
      Path journal =
          files
              .filter(path -> path.toString().endsWith(".journal"))
              .max(Path::compareTo)
              .orElseThrow();
      try (FileChannel file = FileChannel.open(journal, StandardOpenOption.WRITE)) {
        file.truncate(file.size() - 5);
      }
    }
  }

  private static Path newestCheckpoint(Path data) throws IOException {
    try (Stream<Path> files = Files.list(data)) {
      return files
          .filter(path -> path.toString().endsWith(".reflux"))
          .max(Path::compareTo)
          .orElseThrow();
    }
  }

  private static void damage(Path checkpoint) throws IOException {
    try (FileChannel file =
        FileChannel.open(checkpoint, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      ByteBuffer one = ByteBuffer.allocate(1);
      file.read(one, 3000);
      one.put(0, (byte) (one.get(0) ^ 1)).rewind();
      file.write(one, 3000);
    }
  }

  private static Path copy(Path from, Path to) {
    try (Stream<Path> files = Files.list(from)) {
      Files.createDirectories(to);
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, to.resolve(file.getFileName()));
      }
      return to;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
