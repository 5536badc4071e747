package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.operations.Health;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
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
import java.util.Random;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.Producer;
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
    publish(clients, 0, 400);
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
  void whateverADropLeavesBetweenTwoStepsIsGoneOnFrom() throws IOException {
    KafkaClients clients = clients("copies.");
    clients.createTopics();
    publish(clients, 0, 400);
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
      publish(clients, 100 * step, 60);
      run(clients, dropped, keepAll, weights.size(), step, weights);
    }
    publish(clients, 10_000, 60);
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
          } else {
            assertThat(now)
                .as("step %d again", loop.stepsDone())
                .isEqualTo(weights.get((int) loop.stepsDone() - 1));
          }
        }
      }
    }
  }

  private TrainingLoop open(KafkaClients clients, Path data, Map<String, String> changes) {
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
        clients,
        labelled.teacher(),
        new TrainerMeters(new SimpleMeterRegistry()),
        Health.waitingFor(),
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

  private static void publish(KafkaClients clients, int first, int count) {
    try (Producer<String, byte[]> producer = clients.producer("teacher")) {
      TopicWriter<SoftLabels> labels = clients.writer(Topics.SOFT_LABELS, producer);
      TopicWriter<SoftLabels> rollouts = clients.writer(Topics.ROLLOUT_LABELS, producer);
      Random random = new Random(first);
      for (int i = first; i < first + count; i++) {
        String id = "r" + i;
        var unused = labels.send(id, labelled.label(id, random));
        if (i % 3 == 0) {
          Rollout rollout = labelled.rollout(id, 0, 8, random);
          var unusedToo = rollouts.send(id, labelled.scored(rollout));
        }
      }
      producer.flush();
    }
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
