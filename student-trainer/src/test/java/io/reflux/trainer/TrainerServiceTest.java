package io.reflux.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.operations.PrometheusMeters;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.avro.Stage;
import io.reflux.schemas.avro.TrainingProgress;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.kafka.Traces;
import io.reflux.schemas.service.RefluxException;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotFetcher;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.header.Header;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class TrainerServiceTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final String PROMPTS = "bottleneck{part=prompts}";

  @TempDir private static Path shared;
  private static DevStack stack;
  private static Path teacherDir;
  private static LanguageModel teacher;
  private static LabelMaker labelled;

  @TempDir private Path directory;
  private KafkaClients clients;

  @BeforeAll
  static void startStack() {
    stack = DevStack.start(shared.resolve("stack"));
    teacherDir = shared.resolve("teacher");
    labelled = LabelMaker.make(teacherDir);
    teacher = labelled.teacher();
  }

  @AfterAll
  static void stopStack() {
    stack.close();
  }

  @BeforeEach
  void createTopics(TestInfo test) {
    String prefix = test.getTestMethod().orElseThrow().getName() + ".";
    clients = new KafkaClients(stack.kafkaConfig(prefix), stack.registryConfig());
    clients.createTopics();
    try (Consumer<String, byte[]> consumer = clients.consumer("test", null, Map.of())) {
      for (Topic<?> topic : Topics.all()) {
        String name = topic.fullName(clients.kafka());
        await(
            () ->
                consumer.partitionsFor(name).stream().filter(p -> p.leader() != null).count()
                    == topic.partitions());
      }
    }
  }

  @Test
  void aStudentThatStartsUntrainedLearnsAndIsPublished() {
    try (Producer<String, byte[]> producer = clients.producer("teacher");
        TopicReader<TrainingProgress> progress = tail(Topics.TRAINING_PROGRESS);
        TopicReader<Rollout> rollouts = tail(Topics.ROLLOUTS)) {
      TrainerService service = service(Map.of("on-policy-agreement", "0.5"));
      service.start();
      try {
        assertThat(manifests()).hasSize(1);
        TopicWriter<SoftLabels> labels = clients.writer(Topics.SOFT_LABELS, producer);
        publish(labels, 1, 600);
        producer.flush();

        TrainingProgress good =
            await(
                progress,
                record ->
                    record.getMetrics().getOrDefault("validation_agreement", 0.0) > 0.9
                        && record.getStage() == Stage.ON_POLICY);
        assertThat(good.getStudentName()).isEqualTo("student");
        assertThat(good.getTokens()).isPositive();

        // Only prompts that come while it is on policy are answered; some more traffic.
        publish(labels, 2, 100);
        producer.flush();
        Received<Rollout> received = awaitReceived(rollouts, record -> true);
        Rollout rollout = received.value();
        assertThat(received.headers()).containsExactlyElementsOf(trace());
        assertThat(rollout.getTokenIds().size()).isGreaterThan(rollout.getPromptLength());
        assertThat(rollout.getSampledLogprobs())
            .hasSize(rollout.getTokenIds().size() - rollout.getPromptLength())
            .allMatch(logprob -> logprob <= 0);
        assertThat(rollout.getTemperature()).isEqualTo(0.9f);
        assertSupportIsTheStudents(rollout);
        assertThat(rollout.getStudentVersion()).isPositive();
        TopicWriter<SoftLabels> scored = clients.writer(Topics.ROLLOUT_LABELS, producer);
        var unused = scored.send(rollout.getRolloutId(), labelled.scored(rollout));
        producer.flush();
        await(progress, record -> record.getMetrics().get("rollouts_held") >= 1);
        TrainingProgress onPolicy =
            await(
                progress,
                record -> record.getLambda() > 0 && record.getMetrics().containsKey(PROMPTS));
        assertThat(onPolicy.getMetrics())
            .containsKeys("rollouts_per_second", "rollouts_scoring", "prompts_waiting");
        // All that were not sent back are being scored, as far as the trainer knows.
        assertThat(onPolicy.getMetrics().get("rollouts_scoring")).isPositive();

        await(() -> best().getOrDefault("agreement", 0.0) > 0.9);
        await(progress, record -> record.getMetrics().containsKey("gate_kl_change_high"));
      } finally {
        service.close();
      }
      SnapshotManifest last = manifests().get(manifests().size() - 1);
      assertThat(last.getParent()).isEqualTo(last.getVersion() - 1);
      assertThat(last.getQuantisation()).isEqualTo("int8");
      assertThat(last.getTeacherFingerprint()).isEqualTo(teacher.fingerprint());
      assertThat(last.getInputOffsets()).isNotEmpty();
      Path fetched =
          new SnapshotFetcher(clients, directory.resolve("cache")).fetch(last.getVersion());
      LanguageModel student = LanguageModel.load(fetched);
      assertThat(student.fingerprint()).isEqualTo(last.getStudentFingerprint());
      assertThat(student.tokenizerFingerprint()).isEqualTo(teacher.tokenizerFingerprint());
    }
  }

  @Test
  void aRestartGoesOnWhereTheCheckpointWas() {
    try (Producer<String, byte[]> producer = clients.producer("teacher");
        TopicReader<TrainingProgress> progress = tail(Topics.TRAINING_PROGRESS)) {
      TopicWriter<SoftLabels> labels = clients.writer(Topics.SOFT_LABELS, producer);
      publish(labels, 1, 200);
      producer.flush();
      Map<String, String> settings = Map.of("max-reuse", "3", "lambda", "0");
      TrainerService first = service(settings);
      first.start();
      TrainingProgress before;
      try {
        before =
            await(progress, record -> record.getTokensPerSecond() == 0 && record.getStep() > 0);
      } finally {
        first.close();
      }
      int published = manifests().size();

      TrainerService second = service(settings);
      second.start();
      try {
        // The same labels do not count again: there is nothing to do until others come.
        TrainingProgress resumed =
            await(progress, record -> record.getAt().isAfter(before.getAt()));
        assertThat(resumed.getStep()).isEqualTo(before.getStep());
        assertThat(resumed.getTokens()).isEqualTo(before.getTokens());
        publish(labels, 2, 200);
        producer.flush();
        await(progress, record -> record.getStep() > before.getStep());
      } finally {
        second.close();
      }
      assertThat(manifests().size()).isGreaterThanOrEqualTo(published);
      List<Long> versions = manifests().stream().map(SnapshotManifest::getVersion).toList();
      assertThat(versions).isSorted().doesNotHaveDuplicates();
    }
  }

  @Test
  void metricsAndHealthAreOverHttp() throws Exception {
    TrainerService service = service(Map.of(), PrometheusMeters.of("trainer"));
    service.start();
    String url = "http://127.0.0.1:" + service.port();
    try {
      await(() -> get(url + "/health/ready").statusCode() == 200);
      assertThat(get(url + "/metrics").body())
          .contains("# HELP reflux_trainer_train_steps_total Training steps done.")
          .contains("\nreflux_trainer_labels_lag 0.0\n")
          .contains("\njvm_memory_used_bytes{");
      assertThat(get(url + "/health/live").statusCode()).isEqualTo(200);
      assertThat(get(url + "/").body()).contains("<title>Reflux trainer</title>");
      for (String file : List.of("train.js", "train.css", "curves.js", "figures.js", "style.css")) {
        assertThat(get(url + "/" + file).statusCode()).as(file).isEqualTo(200);
      }
      assertThat(get(url + "/api/run").body())
          .contains("\"student\":\"student\"", "\"text\":\"Began\"");
    } finally {
      service.close();
    }
    assertThatThrownBy(() -> get(url + "/health/live")).isInstanceOf(UncheckedIOException.class);
  }

  private static HttpResponse<String> get(String url) {
    try {
      return HttpClient.newHttpClient()
          .send(HttpRequest.newBuilder(URI.create(url)).build(), BodyHandlers.ofString());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void labelsOfAnotherTokenizerAreRefusedByName() {
    try (Producer<String, byte[]> producer = clients.producer("teacher");
        TopicReader<DeadLetter> letters = tail(Topics.DEAD_LETTERS)) {
      TrainerService service = service(Map.of());
      service.start();
      try {
        TopicWriter<SoftLabels> labels = clients.writer(Topics.SOFT_LABELS, producer);
        Random random = new Random(1);
        SoftLabels foreign = labelled.label("q", random);
        foreign.setTokenizerFingerprint("0123");
        var unused = labels.send("q", foreign);
        producer.flush();
        DeadLetter letter = await(letters, record -> true);
        assertThat(letter.getService()).isEqualTo("trainer");
        assertThat(letter.getReason()).isEqualTo("tokenizer_mismatch");
        assertThat(letter.getMessage()).contains("0123").contains(teacher.tokenizerFingerprint());
      } finally {
        service.close();
      }
    }
  }

  @Test
  void closesBeforeItWasStartedAndTwice() {
    TrainerService service = service(Map.of());
    service.close();
    service.close();
    assertThat(service.termination().toCompletableFuture()).isCompleted();
  }

  @Test
  void refusesToStartInOneLine() {
    assertRefused(Map.of("student", "hidden=9"), "layers=");
    assertRefused(Map.of("teacher", directory.resolve("none").toString()), "none");
    assertRefused(Map.of("lambda", "1.5"), "reflux.train.lambda: 1.5 (expected: ");
    assertRefused(Map.of("held-out-fraction", "0"), "reflux.train.gate: true (expected: ");
    assertRefused(Map.of("student", "vocab=7,hidden=16,layers=1,heads=2"), "vocab: 7 (expected: ");
  }

  private void assertRefused(Map<String, String> settings, String message) {
    TrainerService service = service(settings);
    assertThatThrownBy(service::start)
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining(message)
        .hasMessageNotContaining("\n");
    service.close();
  }

  private TrainerService service(Map<String, String> changes) {
    return service(changes, new SimpleMeterRegistry());
  }

  private TrainerService service(Map<String, String> changes, MeterRegistry meters) {
    Map<String, String> settings = new HashMap<>();
    settings.put("teacher", teacherDir.toString());
    settings.put("student", "hidden=32,layers=1,heads=4,kv-heads=2,ffn=64");
    settings.put("data-dir", directory.resolve("trainer").toString());
    settings.put("batch-tokens", "512");
    settings.put("learning-rate", "0.01");
    settings.put("warm-up-steps", "10");
    settings.put("max-reuse", "100");
    settings.put("rollout-max-tokens", "8");
    settings.put("snapshot-interval", "PT1S");
    settings.put("checkpoint-interval", "PT1S");
    settings.put("http.port", "0");
    settings.putAll(changes);
    return new TrainerService(Settings.of(settings), clients, meters);
  }

  private void publish(TopicWriter<SoftLabels> labels, long seed, int count) {
    Random random = new Random(seed);
    for (int i = 0; i < count; i++) {
      String id = seed + "-" + i;
      var unused = labels.send(id, labelled.label(id, random), null, trace());
    }
  }

  private static void assertSupportIsTheStudents(Rollout rollout) {
    int size = rollout.getSupportSize();
    int rows = rollout.getTokenIds().size() - rollout.getPromptLength();
    assertThat(size).isEqualTo(16);
    assertThat(rollout.getSupportIds()).hasSize(rows * size);
    int likely = 0;
    for (int row = 0; row < rows; row++) {
      List<Integer> ids = rollout.getSupportIds().subList(row * size, (row + 1) * size);
      assertThat(ids).doesNotHaveDuplicates();
      if (ids.contains(rollout.getTokenIds().get(rollout.getPromptLength() + row))) {
        likely++;
      }
    }
    // One drawn from far out is possible; none from within is not.
    assertThat(likely).isPositive();
  }

  private static Iterable<Header> trace() {
    return Traces.headers(
        Traces.fromHttp(
            List.of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), List.of("a=1")));
  }

  private List<SnapshotManifest> manifests() {
    return new SnapshotCatalog(clients).list();
  }

  private Map<String, Double> best() {
    List<SnapshotManifest> all = manifests();
    return all.get(all.size() - 1).getQuality();
  }

  private <T extends SpecificRecord> TopicReader<T> tail(Topic<T> topic) {
    return clients.reader(topic, clients.consumer("test", null, Map.of())).assignAll();
  }

  private static <T extends SpecificRecord> T await(TopicReader<T> reader, Predicate<T> wanted) {
    return awaitReceived(reader, wanted).value();
  }

  private static <T extends SpecificRecord> Received<T> awaitReceived(
      TopicReader<T> reader, Predicate<T> wanted) {
    List<T> seen = new ArrayList<>();
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (System.nanoTime() < end) {
      for (Received<T> record : reader.poll(Duration.ofMillis(200), problem -> {})) {
        seen.add(record.value());
        if (wanted.test(record.value())) {
          return record;
        }
      }
    }
    throw new AssertionError(
        "not within "
            + PATIENCE
            + "; last: "
            + (seen.isEmpty() ? null : seen.get(seen.size() - 1)));
  }

  private static void await(BooleanSupplier condition) {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > end) {
        throw new AssertionError("not within " + PATIENCE);
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(200));
    }
  }
}
