package io.reflux.monitor.web;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.Scores;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import io.reflux.monitor.view.LoopState;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Divergence;
import io.reflux.schemas.avro.DriftReport;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotPublisher;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Random;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.Producer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The whole monitor on a real broker, with tiny real models. */
class MonitorServiceTest {
  private static final int VOCABULARY = 280;
  private static final int LABEL_IDS = 12;
  private static final int DRAWS = 1000;
  private static final ModelConfig CONFIG =
      new ModelConfig(
          Architecture.LLAMA,
          VOCABULARY,
          32,
          64,
          2,
          4,
          2,
          8,
          64,
          1e-5,
          10_000,
          null,
          true,
          false,
          false,
          OptionalInt.empty(),
          OptionalInt.of(0),
          List.of(1));

  @TempDir Path dir;
  private LanguageModel student;
  private LanguageModel other;
  private KafkaClients clients;

  @Test
  void measuresTheServedStudentOncePerRequestAlsoOverARestart() throws Exception {
    makeModels();
    try (DevStack stack = DevStack.start(dir.resolve("stack"))) {
      clients = stack.clients();
      clients.createTopics();
      try (MonitorService monitor = monitor()) {
        monitor.start();
        publish(Map.of());
        send(labels("same-1", "easy", student, Origin.TEACHER).build());
        send(labels("same-2", "easy", student, Origin.REQUEST).build());
        send(labels("softer", "easy", student, Origin.TEACHER, 2).build());
        send(labels("other-1", "hard", other, Origin.TEACHER).build());
        send(labels("rollout", "easy", student, Origin.ROLLOUT).build());
        send(
            labels("foreign", "easy", student, Origin.TEACHER)
                .setTeacherFingerprint("someone else")
                .build());
        send(
            labels("wordy", "easy", student, Origin.TEACHER)
                .setTokenizerFingerprint("another")
                .build());
        send(draws("drawn-1", student, Float.NaN).build());
        send(draws("drawn-2", student, 0).build());
        send(untold("untold", student).build());
        send(
            labels("support", "easy", student, Origin.TEACHER)
                .setLabels(
                    encoded(
                        new SupportBlock(
                            8, 1, 0, new float[8], new float[8], new float[8], new float[8])))
                .build());
        send(labels("other-2", "hard", other, Origin.TEACHER).build());

        await("five segments", () -> monitor.view().state().drift().size() == 5);
        LoopState state = monitor.view().state();
        assertThat(state.drift().keySet()).containsExactly("*", "drawn", "easy", "hard", "untold");
        DriftReport drawn = state.drift().get("drawn").latest();
        assertThat(drawn.getAcceptance()).isNaN();
        assertThat(drawn.getTeacherEntropy()).isPositive();
        assertThat(state.drift().get("untold").latest().getTeacherEntropy()).isNaN();
        assertThat(state.drift().get("untold").latest().getAcceptance()).isPositive();
        assertThat(state.drift().get("*").latest().getKlMean()).isFinite();
        assertThat(state.servedVersion()).hasValue(1);
        assertThat(state.topic("soft-labels").orElseThrow().records()).isGreaterThanOrEqualTo(7);
        assertThat(page(monitor, "health")).contains("up");
        assertThat(page(monitor, "api/state")).contains("\"segment\":\"hard\"");
        await("its own status", () -> !monitor.view().state().live("monitor").isEmpty());
      }

      Map<String, Divergence> found =
          read(Topics.DIVERGENCES).stream()
              .collect(Collectors.toMap(Divergence::getRequestId, Function.identity()));
      assertThat(found)
          .containsOnlyKeys(
              "same-1", "same-2", "softer", "other-1", "other-2", "drawn-2", "untold");
      assertThat(found.get("same-1"))
          .satisfies(
              d -> {
                assertThat(d.getPositions()).isEqualTo(8);
                assertThat(d.getStudentVersion()).isEqualTo(1);
                assertThat(d.getAgreements()).isEqualTo(8);
                assertThat(d.getKlSum()).isEqualTo(0, within(1e-2));
                assertThat(d.getAcceptanceSum()).isEqualTo(8, within(1e-1));
                assertThat(d.getEntropySum()).isPositive();
              });
      // Held against the student at the same temperature, not at its own.
      assertThat(found.get("softer").getKlSum()).isEqualTo(0, within(1e-2));
      assertThat(found.get("softer").getAgreements()).isEqualTo(8);
      assertThat(found.get("other-1").getKlSum()).isGreaterThan(0.5);
      assertThat(found.get("drawn-2"))
          .satisfies(
              d -> {
                assertThat(d.getPositions()).isEqualTo(8);
                // Of a student that is the teacher, eight rows of 1000 draws: chance alone.
                assertThat(d.getKlSum()).isEqualTo(0, within(0.5));
                assertThat(d.getAcceptanceRows()).isZero();
                assertThat(d.getAcceptanceSum()).isZero();
                assertThat(d.getEntropyRows()).isEqualTo(8);
              });
      assertThat(found.get("untold"))
          .satisfies(
              d -> {
                assertThat(d.getKlSum()).isFinite();
                assertThat(d.getEntropySum()).isZero();
                assertThat(d.getEntropyRows()).isZero();
                assertThat(d.getAcceptanceRows()).isEqualTo(8);
              });
      assertThat(read(Topics.DEAD_LETTERS))
          .extracting(DeadLetter::getReason)
          .containsExactlyInAnyOrder(
              "teacher_mismatch", "tokenizer_mismatch", "entropy_unknown", "support_unmatched");

      try (MonitorService again = monitor()) {
        again.start();
        send(labels("late-1", "hard", other, Origin.TEACHER).build());
        await("the label after the restart", () -> read(Topics.DIVERGENCES).size() == 8);
        // The next student has seen everything there is: nothing of it is held against it.
        publish(seen());
        await("version 2", () -> again.view().state().servedVersion().orElse(0) == 2);
      }
      assertThat(read(Topics.DIVERGENCES)).extracting(Divergence::getRequestId).hasSize(8);
    }
  }

  private void makeModels() {
    BpeVocabulary vocabulary =
        BpeTrainer.train(
            List.of("where is my parcel", "my invoice is wrong").iterator(),
            VOCABULARY - 4,
            List.of("<s>", "</s>"));
    vocabulary.write(dir.resolve("tokenizer"), BpeVocabulary.Roles.endingWith("</s>"));
    student = save("student", 1);
    other = save("other", 2);
  }

  private LanguageModel save(String name, long seed) {
    LanguageModel.save(
        dir.resolve(name),
        CONFIG,
        Quantiser.of(WeightFormat.INT8).quantise(CONFIG, RandomModel.variedWeights(CONFIG, seed)),
        DType.I8,
        dir.resolve("tokenizer"));
    return LanguageModel.load(dir.resolve(name));
  }

  private MonitorService monitor() {
    Map<String, String> values = new HashMap<>();
    values.put("reflux.monitor.port", "0");
    values.put("reflux.monitor.data-dir", dir.resolve("monitor").toString());
    values.put("reflux.monitor.window.size", "1s");
    values.put("reflux.monitor.window.grace", "500ms");
    MonitorConfig config = Configs.of(values);
    return new MonitorService(config, clients, new SimpleMeterRegistry());
  }

  private void publish(Map<String, Long> inputOffsets) throws NoSuchAlgorithmException {
    SnapshotManifest manifest;
    try (SnapshotPublisher publisher = new SnapshotPublisher(clients)) {
      manifest =
          publisher.publish(
              student.directory(),
              new SnapshotInfo(
                  "student",
                  "int8",
                  student.fingerprint(),
                  "teacher",
                  student.tokenizerFingerprint(),
                  "",
                  1,
                  1,
                  1,
                  inputOffsets,
                  Map.of("agreement", 0.5),
                  1,
                  "test"));
    }
    byte[] wire = clients.codec().encode(Topics.SNAPSHOTS.fullName(clients.kafka()), manifest);
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    digest.update(wire, 5, wire.length - 5);
    send(
        Topics.SNAPSHOT_POINTERS,
        "stable",
        SnapshotPointer.newBuilder()
            .setChannel("stable")
            .setVersion(manifest.getVersion())
            .setManifestSha256(HexFormat.of().formatHex(digest.digest()))
            .setMovedAt(Instant.now())
            .setReason("test")
            .build());
  }

  private Map<String, Long> seen() {
    Map<String, Long> offsets = new HashMap<>();
    for (int i = 0; i < Topics.SOFT_LABELS.partitions(); i++) {
      offsets.put(Topics.SOFT_LABELS.fullName(clients.kafka()) + "-" + i, 1_000L);
    }
    return offsets;
  }

  private SoftLabels.Builder labels(
      String id, String segment, LanguageModel labeller, Origin origin) {
    return labels(id, segment, labeller, origin, 1);
  }

  /** Labels of a made-up sequence by the given model, as the teacher's. */
  private SoftLabels.Builder labels(
      String id, String segment, LanguageModel labeller, Origin origin, float temperature) {
    int[] tokens = IntStream.range(0, 13).map(i -> 2 + (id.hashCode() & 31) + 7 * i).toArray();
    try (Scorer scorer =
        new Scorer(CONFIG, labeller.weights(), LABEL_IDS, RuntimeOptions.DEFAULT)) {
      Scores scores =
          scorer.score(List.of(ScoreRequest.of(tokens, 5).atTemperature(temperature))).get(0);
      TopKBlock block =
          new TopKBlock(
              scores.rows(),
              scores.k(),
              scores.topIds(),
              scores.topLogprobs(),
              scores.tailLogMass(),
              scores.tokenLogprobs(),
              scores.entropy());
      return SoftLabels.newBuilder()
          .setRequestId(id)
          .setOrigin(origin)
          .setSegment(segment)
          .setRequestedAt(Instant.now())
          .setScoredAt(Instant.now())
          .setTeacherFingerprint("teacher")
          .setTokenizerFingerprint(student.tokenizerFingerprint())
          .setChatTemplateFingerprint("")
          .setVocabularySize(VOCABULARY)
          .setTemperature(temperature)
          .setTokenIds(IntStream.of(tokens).boxed().toList())
          .setPromptLength(5)
          .setLabels(ByteBuffer.wrap(SoftLabelCodec.encode(block, VOCABULARY)));
    }
  }

  /**
   * Draws instead of likeliest ids.
   *
   * @param entropy of the first row; 0 for the teacher's own
   */
  private SoftLabels.Builder draws(String id, LanguageModel labeller, float entropy) {
    SoftLabels.Builder labels = labels(id, "drawn", labeller, Origin.TEACHER);
    int[] tokens = labels.getTokenIds().stream().mapToInt(Integer::intValue).toArray();
    Random random = new Random(1);
    try (Scorer scorer =
        new Scorer(CONFIG, labeller.weights(), VOCABULARY, RuntimeOptions.DEFAULT)) {
      Scores scores = scorer.score(List.of(ScoreRequest.of(tokens, 5))).get(0);
      int[] drawn = new int[scores.rows() * DRAWS];
      for (int i = 0; i < drawn.length; i++) {
        int first = i / DRAWS * VOCABULARY;
        double left = random.nextDouble();
        int rank = 0;
        while (rank < VOCABULARY - 1
            && (left -= Math.exp(scores.topLogprobs()[first + rank])) > 0) {
          rank++;
        }
        drawn[i] = scores.topIds()[first + rank];
      }
      if (Float.isNaN(entropy)) {
        scores.entropy()[0] = entropy;
      }
      return labels.setLabels(
          encoded(
              SampledBlock.of(
                  scores.rows(), DRAWS, drawn, scores.tokenLogprobs(), scores.entropy())));
    }
  }

  /** Top-k of a teacher that tells neither tail nor entropy. */
  private SoftLabels.Builder untold(String id, LanguageModel labeller)
      throws SoftLabelFormatException {
    SoftLabels.Builder labels = labels(id, "untold", labeller, Origin.TEACHER);
    byte[] bytes = new byte[labels.getLabels().remaining()];
    labels.getLabels().duplicate().get(bytes);
    TopKBlock told = SoftLabelCodec.decodeTopK(bytes, VOCABULARY);
    float[] unknown = new float[told.rows()];
    Arrays.fill(unknown, Float.NaN);
    return labels.setLabels(
        encoded(
            new TopKBlock(
                told.rows(),
                told.k(),
                told.ids(),
                told.logprobs(),
                unknown,
                told.tokenLogprobs(),
                unknown)));
  }

  private static ByteBuffer encoded(LabelBlock block) {
    return ByteBuffer.wrap(SoftLabelCodec.encode(block, VOCABULARY));
  }

  private void send(SoftLabels labels) {
    send(Topics.SOFT_LABELS, labels.getRequestId(), labels);
  }

  private <T extends SpecificRecord> void send(Topic<T> topic, String key, T value) {
    try (Producer<String, byte[]> producer = clients.producer("test")) {
      clients.writer(topic, producer).send(key, value).join();
    }
  }

  private <T extends SpecificRecord> List<T> read(Topic<T> topic) {
    List<T> values = new ArrayList<>();
    try (TopicReader<T> reader =
        clients.reader(topic, clients.consumer("test", null, Map.of())).assignAll()) {
      var ends = reader.consumer().endOffsets(reader.consumer().assignment());
      while (ends.entrySet().stream()
          .anyMatch(end -> reader.consumer().position(end.getKey()) < end.getValue())) {
        reader.poll(Duration.ofMillis(200), bad -> {}).stream()
            .map(Received::value)
            .forEach(values::add);
      }
    }
    return values;
  }

  private static String page(MonitorService monitor, String path) throws Exception {
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(URI.create(monitor.url() + path)).build(),
            BodyHandlers.ofString())
        .body();
  }

  private static void await(String what, BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + Duration.ofSeconds(60).toNanos();
    Object never = new Object();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).as(what).isLessThan(deadline);
      synchronized (never) {
        never.wait(50);
      }
    }
  }
}
