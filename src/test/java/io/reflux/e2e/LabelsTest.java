package io.reflux.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.config.Settings;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.producers.MirrorRequest;
import io.reflux.producers.TrafficMirror;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.avro.TrainingProgress;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.service.Service;
import io.reflux.scorer.ScorerConfig;
import io.reflux.scorer.ScorerService;
import io.reflux.trainer.TrainerConfig;
import io.reflux.trainer.TrainerService;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** From the mirror through teachers into a trainer, over a real broker: whose labels, and how. */
@Timeout(value = 180, unit = TimeUnit.SECONDS)
class LabelsTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  @TempDir private static Path folder;
  private static DevStack stack;
  private static Path ours;

  private final Deque<AutoCloseable> open = new ArrayDeque<>();
  private final Set<String> requests = new HashSet<>();
  private String name;
  private KafkaClients clients;
  private TrafficMirror mirror;

  @BeforeAll
  static void startStack() throws Exception {
    stack = DevStack.start(folder.resolve("stack"));
    ours = TinyTeacher.write(folder.resolve("ours"));
  }

  @AfterAll
  static void stopStack() {
    stack.close();
  }

  @BeforeEach
  void createTopics(TestInfo test) {
    name = test.getTestMethod().orElseThrow().getName();
    clients = stack.clients(name + ".");
    clients.createTopics();
    mirror = opened(TrafficMirror.builder(clients, "test").build());
  }

  @AfterEach
  void closeAll() throws Exception {
    while (!open.isEmpty()) {
      open.pop().close();
    }
  }

  @Test
  void labelsOfAnotherTokenizerAreRefusedAndTheTrainerGoesOnWithItsOwn() throws Exception {
    LanguageModel teacher = LanguageModel.load(ours);
    LanguageModel other = LanguageModel.load(TinyTeacher.write(folder.resolve("other"), 290));
    assertThat(other.tokenizerFingerprint()).isNotEqualTo(teacher.tokenizerFingerprint());
    train(Map.of("reflux.train.lambda", "0"));
    score("ours", ours, Map.of());
    score("other", other.directory(), Map.of());

    submit(0, 80);
    awaitTrue("80 refused", () -> refusals().size() >= 80);
    awaitTrue("the first steps", () -> trained() > 0);
    long before = trained();
    submit(80, 40);
    awaitTrue("120 refused", () -> refusals().size() >= 120);
    awaitTrue("further steps", () -> trained() > before);

    assertThat(refusals())
        .hasSize(120)
        .containsOnly(
            "trainer: tokenizer_mismatch: tokenizer: %s (expected: %s)"
                .formatted(other.tokenizerFingerprint(), teacher.tokenizerFingerprint()));
    assertOneWholeLabelEach(teacher, LabelEncoding.TOPK);
    assertOneWholeLabelEach(other, LabelEncoding.TOPK);
  }

  @Test
  void aStudentLearnsFromSampledLabels() throws Exception {
    LanguageModel teacher = LanguageModel.load(ours);
    train(
        Map.of(
            "reflux.train.on-policy-steps", "60",
            "reflux.train.rollout-max-tokens", "12",
            "reflux.train.snapshot-steps", "40"));
    score(
        "ours",
        ours,
        Map.of("reflux.score.encoding", "sampled", "reflux.score.rollout-encoding", "sampled"));

    submit(0, 250);
    // Once on policy, new prompts are answered by the student, and the answers come back labelled.
    awaitTrue("60 steps", () -> progress().stream().anyMatch(p -> p.getStep() > 60));
    submit(250, 60);
    awaitTrue(
        "a rollout's labels", () -> !LoopTopics.readAll(clients, Topics.ROLLOUT_LABELS).isEmpty());
    awaitTrue(
        "a student that has learnt",
        () ->
            // An untrained one agrees nowhere, and stands more than 3 nats away.
            last("validation_agreement") > 0.7 && last("validation_kl") < 0.3);

    assertThat(refusals()).isEmpty();
    assertThat(figure("validation_kl")).allMatch(Double::isFinite);
    assertLossOfAllThatWasTrained();
    assertOneWholeLabelEach(teacher, LabelEncoding.SAMPLED);
    for (Received<SoftLabels> label : LoopTopics.readAll(clients, Topics.ROLLOUT_LABELS)) {
      assertWhole(label.value(), teacher, LabelEncoding.SAMPLED);
      assertThat(label.value().getOrigin()).isEqualTo(Origin.ROLLOUT);
      assertThat(label.value().getRolloutId()).isEqualTo(label.key());
      assertThat(label.value().getStudentVersion()).isPositive();
    }
    awaitTrue("a second snapshot", () -> snapshots().size() > 1);
    SnapshotManifest newest = snapshots().get(snapshots().size() - 1);
    assertThat(newest.getQuality()).containsKeys("kl", "agreement").doesNotContainKey("acceptance");
    assertThat(newest.getQuality().values()).allMatch(Double::isFinite);
  }

  /**
   * A number in every record since whose predecessor anything was trained, unknown in all others.
   */
  private void assertLossOfAllThatWasTrained() {
    long tokens = 0;
    for (TrainingProgress record : progress()) {
      boolean trained = record.getTokens() > tokens;
      assertThat(Double.isFinite(record.getLoss())).as("%s", record).isEqualTo(trained);
      tokens = record.getTokens();
    }
    assertThat(tokens).isPositive();
  }

  @Test
  void aStudentLearnsFromItsOwnAnswersOnTheIdsThatItNamed() throws Exception {
    LanguageModel teacher = LanguageModel.load(ours);
    train(
        Map.of(
            "reflux.train.on-policy-steps", "40",
            "reflux.train.rollout-max-tokens", "12",
            "reflux.train.rollout-support", "12"));
    score("ours", ours, Map.of());

    submit(0, 150);
    awaitTrue("40 steps", () -> progress().stream().anyMatch(p -> p.getStep() > 40));
    submit(150, 60);
    awaitTrue("a step with rollouts", () -> progress().stream().anyMatch(p -> p.getLambda() > 0));

    assertThat(refusals()).isEmpty();
    for (Received<SoftLabels> label : LoopTopics.readAll(clients, Topics.ROLLOUT_LABELS)) {
      SoftLabels labels = label.value();
      assertWhole(labels, teacher, LabelEncoding.SUPPORT);
      int rows = labels.getTokenIds().size() - labels.getPromptLength();
      assertThat(labels.getStudentVersion()).isPositive();
      assertThat(labels.getSupportSize()).isEqualTo(12);
      assertThat(labels.getSupportIds()).hasSize(12 * rows);
      assertThat(labels.getSampledLogprobs()).hasSize(rows).allMatch(logprob -> logprob <= 0);
      assertThat(labels.getSamplingTemperature()).isEqualTo(0.9f);
    }
  }

  private void submit(int from, int count) throws InterruptedException {
    for (int i = from; i < from + count; i++) {
      requests.add("q-" + i);
      mirror.submit(
          MirrorRequest.prompt(TinyTeacher.prompt(i)).requestId("q-" + i).segment("tests").build());
    }
    assertThat(mirror.flush(PATIENCE)).isTrue();
  }

  private void score(String group, Path teacher, Map<String, String> more) {
    Map<String, String> settings = new HashMap<>(more);
    settings.put("reflux.score.teacher", teacher.toString());
    settings.put("reflux.score.group", group);
    settings.put("reflux.score.http.port", "-1");
    settings.put("reflux.score.max-response-tokens", "12");
    start(
        new ScorerService(
            settings(settings).get(ScorerConfig.class), clients, new SimpleMeterRegistry()));
  }

  private void train(Map<String, String> more) {
    Map<String, String> settings = new HashMap<>(more);
    settings.put("reflux.train.teacher", ours.toString());
    settings.put("reflux.train.student", "hidden=32,layers=1,heads=2,kv-heads=1,ffn=64");
    settings.put("reflux.train.data-dir", folder.resolve(name).toString());
    settings.put("reflux.train.http.port", "-1");
    settings.put("reflux.train.minimum-labels", "20");
    settings.put("reflux.train.batch-tokens", "512");
    settings.put("reflux.train.learning-rate", "0.01");
    settings.put("reflux.train.warm-up-steps", "10");
    settings.put("reflux.train.held-out-fraction", "0.2");
    settings.put("reflux.train.validation-steps", "10");
    settings.put("reflux.train.max-reuse", "60");
    start(
        new TrainerService(
            settings(settings).get(TrainerConfig.class), clients, new SimpleMeterRegistry()));
  }

  private static Settings settings(Map<String, String> values) {
    return Settings.load(null, Map.of(), Map.of(), values);
  }

  private void start(Service service) {
    opened(service).start();
  }

  private <C extends AutoCloseable> C opened(C resource) {
    open.push(resource);
    return resource;
  }

  /** Who refused a record, and why. */
  private List<String> refusals() {
    return LoopTopics.readAll(clients, Topics.DEAD_LETTERS).stream()
        .map(Received::value)
        .map(letter -> letter.getService() + ": " + letter.getReason() + ": " + letter.getMessage())
        .toList();
  }

  private List<SnapshotManifest> snapshots() {
    return values(LoopTopics.readAll(clients, Topics.SNAPSHOTS));
  }

  private List<TrainingProgress> progress() {
    return values(LoopTopics.readAll(clients, Topics.TRAINING_PROGRESS));
  }

  /** Labelled tokens trained so far. */
  private long trained() {
    return progress().stream().mapToLong(TrainingProgress::getTokens).max().orElse(0);
  }

  /** A figure over time, from the first record that has it. */
  private List<Double> figure(String metric) {
    return progress().stream()
        .map(record -> record.getMetrics().get(metric))
        .filter(value -> value != null)
        .toList();
  }

  private double last(String metric) {
    List<Double> values = figure(metric);
    return values.isEmpty() ? Double.NaN : values.get(values.size() - 1);
  }

  private static <T> List<T> values(List<Received<T>> records) {
    return records.stream().map(Received::value).toList();
  }

  private void assertOneWholeLabelEach(LanguageModel teacher, LabelEncoding encoding)
      throws Exception {
    Set<String> labelled = new HashSet<>();
    for (Received<SoftLabels> received : LoopTopics.readAll(clients, Topics.SOFT_LABELS)) {
      SoftLabels labels = received.value();
      if (labels.getTeacherFingerprint().equals(teacher.fingerprint())) {
        assertThat(labelled.add(labels.getRequestId())).as(labels.getRequestId()).isTrue();
        assertThat(received.key()).isEqualTo(labels.getRequestId());
        assertThat(labels.getOrigin()).isEqualTo(Origin.TEACHER);
        assertThat(labels.getRolloutId()).isNull();
        assertThat(labels.getStudentVersion()).isNull();
        assertWhole(labels, teacher, encoding);
      }
    }
    assertThat(labelled).isEqualTo(requests);
  }

  /** Every field that a reader relies on. */
  private static void assertWhole(SoftLabels labels, LanguageModel teacher, LabelEncoding encoding)
      throws Exception {
    assertThat(labels.getSegment()).isEqualTo("tests");
    assertThat(labels.getSamplingProbability()).isEqualTo(1);
    assertThat(labels.getRequestedAt()).isBetween(Instant.now().minusSeconds(300), Instant.now());
    assertThat(labels.getScoredAt()).isBetween(labels.getRequestedAt(), Instant.now());
    assertThat(labels.getTeacherFingerprint()).isEqualTo(teacher.fingerprint());
    assertThat(labels.getTokenizerFingerprint()).isEqualTo(teacher.tokenizerFingerprint());
    assertThat(labels.getChatTemplateFingerprint()).isEqualTo(teacher.chatTemplateFingerprint());
    assertThat(labels.getVocabularySize()).isEqualTo(teacher.config().vocabularySize());
    assertThat(labels.getTemperature()).isEqualTo(1);
    assertThat(labels.getTruncated()).isFalse();
    assertThat(labels.getPromptLength()).isPositive().isLessThan(labels.getTokenIds().size());
    byte[] bytes = new byte[labels.getLabels().remaining()];
    labels.getLabels().duplicate().get(bytes);
    LabelBlock block = SoftLabelCodec.decode(bytes, labels.getVocabularySize());
    assertThat(block.encoding()).isEqualTo(encoding);
    assertThat(block.rows()).isEqualTo(labels.getTokenIds().size() - labels.getPromptLength());
    for (int row = 0; row < block.rows(); row++) {
      assertThat(block.tokenLogprobs()[row]).isNotNaN().isLessThanOrEqualTo(0);
      assertThat(block.entropy()[row]).isNotNegative();
    }
    if (block instanceof SampledBlock sampled) {
      assertThat(sampled.draws()).isEqualTo(50);
    }
  }

  private void awaitTrue(String what, BooleanSupplier condition) {
    long end = System.nanoTime() + PATIENCE.toNanos();
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > end) {
        List<TrainingProgress> all = progress();
        throw new AssertionError(
            "%s; refused %s; progress %s"
                .formatted(what, refusals(), all.subList(Math.max(0, all.size() - 2), all.size())));
      }
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(200));
    }
  }
}
