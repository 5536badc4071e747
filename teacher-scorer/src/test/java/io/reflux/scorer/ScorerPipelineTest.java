package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.operations.PrometheusMeters;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.labels.SampledBlock;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(value = 120, unit = TimeUnit.SECONDS)
class ScorerPipelineTest {
  private static final Instant RECEIVED = Instant.parse("2026-01-02T03:04:05Z");
  private static final int SUPPORT = 5;

  @TempDir static Path directory;
  private static DevStack stack;
  private static LanguageModel model;

  private KafkaClients clients;
  private Producer<String, byte[]> producer;
  private TopicWriter<MirroredRequest> requests;
  private TopicWriter<Rollout> rollouts;
  private final SimpleMeterRegistry meters = new SimpleMeterRegistry();

  @BeforeAll
  static void startStack() {
    stack = DevStack.start(directory.resolve("stack"));
    model = TinyTeacher.make(directory.resolve("teacher"), 1);
  }

  @AfterAll
  static void stopStack() {
    stack.close();
  }

  @BeforeEach
  void openTopics(TestInfo test) {
    clients = stack.clients(test.getTestMethod().orElseThrow().getName() + ".");
    clients.createTopics();
    producer = clients.producer("test");
    requests = clients.writer(Topics.REQUESTS, producer);
    rollouts = clients.writer(Topics.ROLLOUTS, producer);
  }

  @AfterEach
  void closeProducer() {
    producer.close();
  }

  private static ScorerConfig config(String... settings) {
    Map<String, String> values = new HashMap<>();
    values.put("teacher", directory.resolve("teacher").toString());
    values.put("max-response-tokens", "12");
    values.put("http.port", "-1");
    for (int i = 0; i < settings.length; i += 2) {
      values.put(settings[i], settings[i + 1]);
    }
    return Configs.of(values);
  }

  private ScorerService scorer(MeterRegistry registry, String... settings) {
    return new ScorerService(config(settings), clients, registry);
  }

  /** On two devices, which are both the processor. */
  private static FaultyBackend twoLanes(ExecutorService codec) {
    List<Lane> lanes =
        List.of("first", "second").stream()
            .map(
                name ->
                    Lane.open(
                        name,
                        model,
                        ScorerOptions.topK(16),
                        new EngineOptions(4, TinyTeacher.MAX_POSITIONS),
                        RuntimeOptions.DEFAULT))
            .toList();
    return new FaultyBackend(new LocalBackend(model.fingerprint(), lanes, 4, codec));
  }

  private ScorerService scorer(
      FaultyBackend backend, ExecutorService codec, MeterRegistry registry, String... settings) {
    ScorerConfig config = config(settings);
    return new ScorerService(
        config,
        clients,
        registry,
        () ->
            new Teacher(
                model.text(),
                backend,
                new Tasks(config, model.text().vocabularySize()),
                codec,
                config));
  }

  private CompletableFuture<RecordMetadata> mirror(String id, String prompt, String response) {
    return requests.send(
        id,
        MirroredRequest.newBuilder()
            .setRequestId(id)
            .setReceivedAt(RECEIVED)
            .setSource("test")
            .setSegment("orders")
            .setPrompt(prompt)
            .setResponse(response)
            .build());
  }

  private Map<String, RecordMetadata> mirror(int from, int to) {
    Map<String, CompletableFuture<RecordMetadata>> sent = new HashMap<>();
    for (int i = from; i < to; i++) {
      // Of many lengths.
      sent.put("r" + i, mirror("r" + i, "where is my " + "order ".repeat(i % 9) + i, "soon " + i));
    }
    producer.flush();
    return sent.entrySet().stream()
        .collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().join()));
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }

  private void assertOneLabelEach(int count) {
    assertThat(Kafkas.await(clients, Topics.SOFT_LABELS, count))
        .extracting(record -> record.value().getRequestId())
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, count).mapToObj(i -> "r" + i).toList());
  }

  @Test
  void twoDevicesShareTheWorkAndLabelsComeInTheOrderOfTheirRequests() {
    ExecutorService codec = Executors.newFixedThreadPool(2);
    FaultyBackend backend = twoLanes(codec);
    Map<String, RecordMetadata> sent = mirror(0, 300);
    try (ScorerService scorer = scorer(backend, codec, meters, "batch-tokens", "128")) {
      scorer.start();
      List<Received<SoftLabels>> labels = Kafkas.await(clients, Topics.SOFT_LABELS, 300);
      Map<List<Integer>, Long> last = new HashMap<>();
      for (Received<SoftLabels> label : labels) {
        RecordMetadata of = sent.get(label.value().getRequestId());
        Long before = last.put(List.of(label.partition(), of.partition()), of.offset());
        assertThat(before == null ? -1 : before).isLessThan(of.offset());
      }
      assertOneLabelEach(300);
      assertThat(scorer.ready()).isTrue();
      assertThat(scorer.live()).isTrue();
    }
    assertThat(backend.tokensScored().get("first")).isPositive();
    assertThat(backend.tokensScored().get("second")).isPositive();
    assertThat(meters.get("device_tokens_total").functionCounters()).hasSize(2);
    assertThat(meters.get("batch_fill").gauge().value()).isBetween(0.3, 1.0);
    assertThat(meters.get("batch_padding").gauge().value()).isBetween(0.0, 0.5);
    assertThat(meters.get("label_latency").timer().count()).isEqualTo(300);
    assertThat(meters.get("transactions_total").counter().count()).isLessThan(150);
  }

  @Test
  void longTextsAreTakenInFewAtATime() {
    String text = "where is my order ".repeat(400);
    for (int i = 0; i < 200; i++) {
      var unused = mirror("r" + i, text, "soon " + i);
    }
    producer.flush();
    ExecutorService codec = Executors.newSingleThreadExecutor();
    FaultyBackend held = twoLanes(codec);
    CompletableFuture<Void> gate = new CompletableFuture<>();
    held.gate = gate;
    // One poll of 64 records has more than that.
    try (ScorerService scorer = scorer(held, codec, meters, "max-in-flight-tokens", "10000")) {
      scorer.start();
      Kafkas.await(
          clients,
          Topics.STATUS,
          records -> held.asked.get() > 0 && meters.get("in_flight").gauge().value() > 0,
          "the teacher to be asked");
      assertThat(meters.get("in_flight").gauge().value()).isLessThan(200);
      gate.complete(null);
      assertOneLabelEach(200);
    }
    assertThat(meters.counter("truncated_total").count()).isEqualTo(200);
  }

  @Test
  void oneBadSequenceDoesNotHarmItsNeighbours() {
    ExecutorService codec = Executors.newSingleThreadExecutor();
    FaultyBackend backend = twoLanes(codec);
    backend.poison = model.tokenizer().encode("Z", false)[0];
    mirror(0, 30);
    mirror("bad", "where is my order", "ZZ").join();
    mirror(30, 60);
    try (ScorerService scorer = scorer(backend, codec, meters)) {
      scorer.start();
      assertOneLabelEach(60);
      DeadLetter letter = Kafkas.await(clients, Topics.DEAD_LETTERS, 1).get(0).value();
      assertThat(letter.getReason()).isEqualTo("labelling_failed");
      assertThat(letter.getMessage()).isEqualTo("token " + backend.poison + " hurts");
      assertThat(letter.getKey()).isEqualTo("bad");
      assertThat(letter.getTopic()).isEqualTo(Topics.REQUESTS.fullName(clients.kafka()));
      assertThat(letter.getAttempts()).isEqualTo(2);
    }
    assertThat(meters.get("dead_letters_total").tag("reason", "labelling_failed").counter().count())
        .isEqualTo(1);
  }

  @Test
  void aTeacherThatIsAwayIsWaitedForAndNothingIsLost() {
    ExecutorService codec = Executors.newSingleThreadExecutor();
    FaultyBackend backend = twoLanes(codec);
    backend.away = true;
    mirror(0, 40);
    mirror("r40", "where is my kettle", null).join();
    try (ScorerService scorer = scorer(backend, codec, meters)) {
      scorer.start();
      Kafkas.await(
          clients,
          Topics.STATUS,
          records ->
              records.stream()
                  .anyMatch(
                      record ->
                          record
                              .value()
                              .getDetail()
                              .equals("waiting for the teacher: gone fishing")),
          "status that says so");
      assertThat(scorer.ready()).isFalse();
      assertThat(scorer.live()).isTrue();
      backend.away = false;
      assertOneLabelEach(41);
      assertThat(scorer.ready()).isTrue();
    }
    assertThat(meters.find("dead_letters_total").counters()).isEmpty();
  }

  @Test
  void closingDoesNotWaitForATeacherThatIsAway() {
    ExecutorService codec = Executors.newSingleThreadExecutor();
    FaultyBackend backend = twoLanes(codec);
    backend.away = true;
    mirror(0, 10);
    ScorerService scorer = scorer(backend, codec, meters, "drain-timeout", "100s");
    scorer.start();
    Kafkas.await(
        clients,
        Topics.STATUS,
        records -> records.stream().anyMatch(r -> r.value().getDetail().startsWith("waiting for")),
        "status that says so");
    scorer.close();
    try (ScorerService next = scorer(new SimpleMeterRegistry())) {
      next.start();
      assertOneLabelEach(10);
    }
  }

  @Test
  void partitionsThatMoveWhileBatchesAreUnderWayAreLabelledOnce() {
    ExecutorService codec = Executors.newSingleThreadExecutor();
    FaultyBackend held = twoLanes(codec);
    CompletableFuture<Void> gate = new CompletableFuture<>();
    held.gate = gate;
    mirror(0, 120);
    SimpleMeterRegistry others = new SimpleMeterRegistry();
    try (ScorerService a = scorer(held, codec, meters, "batch-tokens", "256");
        ScorerService b = scorer(others)) {
      a.start();
      mirror(120, 240);
      Kafkas.await(
          clients, Topics.STATUS, records -> held.asked.get() == held.lanes(), "lanes in work");
      b.start();
      // Some of what the first one took in has moved, and is labelled by the second.
      Kafkas.await(clients, Topics.SOFT_LABELS, 20);
      gate.complete(null);
      assertOneLabelEach(240);
    }
    assertThat(meters.counter("labels_total").count()).isPositive();
    assertThat(others.counter("labels_total").count()).isGreaterThanOrEqualTo(20);
  }

  private Rollout.Builder rollout(String id, int[] supportIds, int supportSize) {
    int[] prompt = model.promptIds("where is my kettle");
    List<Integer> ids = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
    ids.addAll(List.of(10, 11, 12));
    return Rollout.newBuilder()
        .setRolloutId(id)
        .setRequestId("of-" + id)
        .setRequestedAt(RECEIVED)
        .setCreatedAt(RECEIVED)
        .setStudentVersion(7)
        .setTokenizerFingerprint(model.tokenizerFingerprint())
        .setChatTemplateFingerprint(model.chatTemplateFingerprint())
        .setTokenIds(ids)
        .setPromptLength(prompt.length)
        .setSampledLogprobs(List.of(-1f, -1f, -1f))
        .setTemperature(1)
        .setSupportSize(supportSize)
        .setSupportIds(boxed(supportIds));
  }

  private static List<Integer> boxed(int[] ids) {
    return Arrays.stream(ids).boxed().toList();
  }

  private void roll(String id, int[] supportIds, int supportSize) {
    var unused = rollouts.send(id, rollout(id, supportIds, supportSize).build());
  }

  @Test
  void rolloutsAreLabelledOnTheIdsThatTheyCarry() throws Exception {
    int[] support = IntStream.range(0, 3 * SUPPORT).map(i -> 7 + 11 * i).toArray();
    roll("support", support, SUPPORT);
    roll("none", new int[0], 0);
    roll("short", new int[4], SUPPORT);
    int[] outside = support.clone();
    outside[6] = 5000;
    roll("outside", outside, SUPPORT);
    int[] twice = support.clone();
    twice[6] = twice[7];
    roll("twice", twice, SUPPORT);
    roll("size", support, -1);
    producer.flush();
    int vocabulary = model.text().vocabularySize();
    try (ScorerService scorer = scorer(meters)) {
      scorer.start();
      Map<String, SoftLabels> labels =
          Kafkas.await(clients, Topics.ROLLOUT_LABELS, 2).stream()
              .map(Received::value)
              .collect(Collectors.toMap(SoftLabels::getRolloutId, label -> label));
      assertThat(labels).containsOnlyKeys("support", "none");
      assertThat(SoftLabelCodec.decode(bytes(labels.get("none").getLabels()), vocabulary))
          .isInstanceOf(TopKBlock.class);
      SupportBlock block =
          (SupportBlock)
              SoftLabelCodec.decode(bytes(labels.get("support").getLabels()), vocabulary);
      block.requireSupport(support);
      SoftLabels echo = labels.get("support");
      assertThat(echo.getSupportSize()).isEqualTo(SUPPORT);
      assertThat(echo.getSupportIds()).containsExactlyElementsOf(boxed(support));
      for (SoftLabels label : labels.values()) {
        assertThat(label.getSampledLogprobs()).containsExactly(-1f, -1f, -1f);
        assertThat(label.getSamplingTemperature()).isEqualTo(1);
      }
      assertThat(labels.get("none").getSupportSize()).isZero();
      assertThat(labels.get("none").getSupportIds()).isEmpty();
      int[] ids =
          labels.get("support").getTokenIds().stream().mapToInt(Integer::intValue).toArray();
      double[][] logits = ReferenceForward.logits(model.config(), model.weights(), ids);
      for (int row = 0; row < 3; row++) {
        double[] expected = ReferenceForward.logSoftmax(logits[ids.length - 3 + row - 1]);
        double named = 0;
        for (int i = 0; i < SUPPORT; i++) {
          double logprob = expected[support[row * SUPPORT + i]];
          named += Math.exp(logprob);
          assertThat((double) block.logprobs()[row * SUPPORT + i]).isCloseTo(logprob, within(0.04));
        }
        assertThat((double) block.tailLogMass()[row]).isCloseTo(Math.log(1 - named), within(0.02));
      }
      Map<String, String> letters =
          Kafkas.await(clients, Topics.DEAD_LETTERS, 4).stream()
              .map(Received::value)
              .peek(letter -> assertThat(letter.getReason()).isEqualTo("bad_support"))
              .collect(Collectors.toMap(DeadLetter::getKey, DeadLetter::getMessage));
      assertThat(letters.get("short"))
          .isEqualTo("support_ids: 4 (expected: 15, 5 for each of 3 response tokens)");
      assertThat(letters.get("outside"))
          .isEqualTo("support_ids, row 1: 5000 (expected: 0 to " + (vocabulary - 1) + ")");
      assertThat(letters.get("twice"))
          .isEqualTo("support_ids, row 1: " + twice[7] + " twice (expected: each id once)");
      assertThat(letters.get("size"))
          .isEqualTo("support_size: -1 (expected: 1 to " + vocabulary + ")");
    }
  }

  @Test
  void drawsAreThoseOfTheRecordAndAreNeverTakenFromMemory() throws Exception {
    String text = "on its way and will be there soon";
    mirror("r1", "where", text).join();
    mirror("r2", "where", text).join();
    mirror("r1", "where", text).join();
    List<SampledBlock> blocks = new ArrayList<>();
    try (ScorerService scorer =
        scorer(meters, "encoding", "sampled", "draws", "6", "instance", "one")) {
      scorer.start();
      Kafkas.await(clients, Topics.SOFT_LABELS, 3);
      mirror("r1", "where", text).join();
      Map<String, List<SampledBlock>> byId = new HashMap<>();
      for (var record : Kafkas.await(clients, Topics.SOFT_LABELS, 4)) {
        SampledBlock block =
            (SampledBlock)
                SoftLabelCodec.decode(
                    bytes(record.value().getLabels()), model.text().vocabularySize());
        blocks.add(block);
        byId.computeIfAbsent(record.value().getRequestId(), id -> new ArrayList<>()).add(block);
      }
      SampledBlock first = byId.get("r1").get(0);
      assertThat(byId.get("r1")).hasSize(3).allMatch(block -> drawsAreEqual(block, first));
      assertThat(drawsAreEqual(byId.get("r2").get(0), first)).isFalse();
    }
    for (SampledBlock block : blocks) {
      assertThat(block.draws()).isEqualTo(6);
      assertThat(Arrays.stream(block.counts()).sum()).isEqualTo(6L * block.rows());
    }
    assertThat(meters.counter("label_cache_hits_total").count()).isZero();
  }

  /** The log-probs beside the draws may differ in their last bits with what else is in a batch. */
  private static boolean drawsAreEqual(SampledBlock one, SampledBlock other) {
    return Arrays.equals(one.ids(), other.ids()) && Arrays.equals(one.counts(), other.counts());
  }

  @Test
  void labelsOfAnEqualSequenceComeFromMemory() {
    mirror("r0", "where is it", "on its way").join();
    try (ScorerService scorer = scorer(meters)) {
      scorer.start();
      Kafkas.await(clients, Topics.SOFT_LABELS, 1);
      mirror("r1", "where is it", "on its way").join();
      List<Received<SoftLabels>> labels = Kafkas.await(clients, Topics.SOFT_LABELS, 2);
      assertThat(labels.get(0).value().getLabels()).isEqualTo(labels.get(1).value().getLabels());
      assertOneLabelEach(2);
    }
    assertThat(meters.counter("label_cache_hits_total").count()).isEqualTo(1);
    assertThat(meters.counter("batches_total").count()).isEqualTo(1);
  }

  @Test
  void labelsCarryTheTraceAndFiguresAreServed() throws Exception {
    String parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    Header header = new RecordHeader("traceparent", parent.getBytes(StandardCharsets.UTF_8));
    MirroredRequest request =
        MirroredRequest.newBuilder()
            .setRequestId("r0")
            .setReceivedAt(RECEIVED)
            .setSource("test")
            .setPrompt("where")
            .setResponse("here")
            .build();
    requests.send("r0", request, null, List.of(header)).join();
    try (ScorerService scorer = scorer(PrometheusMeters.of("scorer"), "http.port", "0")) {
      scorer.start();
      Received<SoftLabels> label = Kafkas.await(clients, Topics.SOFT_LABELS, 1).get(0);
      assertThat(
              new String(label.headers().lastHeader("traceparent").value(), StandardCharsets.UTF_8))
          .startsWith("00-0af7651916cd43dd8448eb211c80319c-");
      HttpClient http = HttpClient.newHttpClient();
      assertThat(get(http, scorer.port(), "/metrics").body())
          .contains("reflux_scorer_labels_total 1.0", "reflux_scorer_device_busy_seconds_total");
      assertThat(get(http, scorer.port(), "/health/live").statusCode()).isEqualTo(200);
      assertThat(get(http, scorer.port(), "/health/ready").statusCode()).isEqualTo(200);
    }
  }

  private static HttpResponse<String> get(HttpClient http, int port, String path) throws Exception {
    return http.send(
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
            .timeout(Duration.ofSeconds(20))
            .build(),
        HttpResponse.BodyHandlers.ofString());
  }
}
