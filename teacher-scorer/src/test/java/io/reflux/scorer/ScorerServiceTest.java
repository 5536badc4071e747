package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.chat.ChatMessage;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Message;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(value = 120, unit = TimeUnit.SECONDS)
class ScorerServiceTest {
  private static final Instant RECEIVED = Instant.parse("2026-01-02T03:04:05Z");

  @TempDir static Path directory;
  private static DevStack stack;
  private static LanguageModel model;

  private String prefix;
  private KafkaClients clients;
  private Producer<String, byte[]> producer;
  private TopicWriter<MirroredRequest> requests;
  private TopicWriter<Rollout> rollouts;

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
    prefix = test.getTestMethod().orElseThrow().getName() + ".";
    clients = stack.clients(prefix);
    clients.createTopics();
    producer = clients.producer("test");
    requests = clients.writer(Topics.REQUESTS, producer);
    rollouts = clients.writer(Topics.ROLLOUTS, producer);
  }

  @AfterEach
  void closeProducer() {
    producer.close();
  }

  private ScorerService scorer(MeterRegistry meters, String... settings) {
    Map<String, String> values = new HashMap<>();
    values.put("teacher", directory.resolve("teacher").toString());
    values.put("max-response-tokens", "12");
    values.put("http.port", "-1");
    for (int i = 0; i < settings.length; i += 2) {
      values.put(settings[i], settings[i + 1]);
    }
    return new ScorerService(Configs.of(values), clients, meters);
  }

  private static MirroredRequest.Builder request(String id) {
    return MirroredRequest.newBuilder()
        .setRequestId(id)
        .setReceivedAt(RECEIVED)
        .setSource("test")
        .setSegment("orders");
  }

  private Rollout.Builder rollout(String id) {
    int[] prompt = model.promptIds("where is my kettle");
    List<Integer> ids = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
    ids.addAll(List.of(10, 11, 12));
    return Rollout.newBuilder()
        .setRolloutId(id)
        .setRequestId("of-" + id)
        .setSegment("billing")
        .setRequestedAt(RECEIVED)
        .setCreatedAt(RECEIVED)
        .setStudentVersion(7)
        .setTokenizerFingerprint(model.tokenizerFingerprint())
        .setChatTemplateFingerprint(model.chatTemplateFingerprint())
        .setTokenIds(ids)
        .setPromptLength(prompt.length)
        .setSampledLogprobs(List.of(-1f, -1f, -1f))
        .setTemperature(1);
  }

  private void mirror(String key, MirroredRequest request) {
    var unused = requests.send(key, request);
  }

  private void roll(String key, Rollout rollout) {
    var unused = rollouts.send(key, rollout);
  }

  private void poison(String topic, byte[] value) {
    var unused = producer.send(new ProducerRecord<>(topic, 0, "p", value));
  }

  private void sendRequests(int from, int to) {
    for (int i = from; i < to; i++) {
      // Some repeat, some bring their answer.
      MirroredRequest.Builder request = request("r" + i).setPrompt("where is my order " + (i % 50));
      if (i % 3 == 0) {
        request.setResponse("on its way " + i);
      }
      mirror("r" + i, request.build());
    }
    producer.flush();
  }

  private void assertOneLabelEach(int count) {
    List<Received<SoftLabels>> labels = Kafkas.await(clients, Topics.SOFT_LABELS, count);
    Map<String, Long> byId =
        labels.stream()
            .collect(Collectors.groupingBy(r -> r.value().getRequestId(), Collectors.counting()));
    assertThat(byId.keySet())
        .containsExactlyInAnyOrderElementsOf(
            IntStream.range(0, count).mapToObj(i -> "r" + i).toList());
    assertThat(byId.values()).allMatch(n -> n == 1);
  }

  @Test
  void labelsAgreeWithTheReferenceForward() throws Exception {
    mirror("a", request("a").setPrompt("where is my kettle").build());
    mirror("b", request("b").setPrompt("can i return it").setResponse("yes, on Monday").build());
    mirror(
        "c",
        request("c")
            .setMessages(
                List.of(
                    new Message("system", "be brief"),
                    new Message("user", "is my order on its way")))
            .setMaxTokens(4)
            .build());
    roll("o", rollout("o").build());
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    try (ScorerService scorer = scorer(meters)) {
      scorer.start();
      Map<String, SoftLabels> labels =
          Kafkas.await(clients, Topics.SOFT_LABELS, 3).stream()
              .map(Received::value)
              .collect(Collectors.toMap(SoftLabels::getRequestId, Function.identity()));
      SoftLabels ofRollout = Kafkas.await(clients, Topics.ROLLOUT_LABELS, 1).get(0).value();

      assertThat(labels).containsOnlyKeys("a", "b", "c");
      assertThat(labels.get("a").getOrigin()).isEqualTo(Origin.TEACHER);
      assertThat(labels.get("b").getOrigin()).isEqualTo(Origin.REQUEST);
      assertThat(labels.get("a").getSegment()).isEqualTo("orders");
      assertThat(labels.get("a").getRequestedAt()).isEqualTo(RECEIVED);
      assertThat(labels.get("a").getTeacherFingerprint()).isEqualTo(model.fingerprint());
      assertThat(prompt(labels.get("a"))).containsExactly(model.promptIds("where is my kettle"));
      assertThat(prompt(labels.get("c")))
          .containsExactly(
              model.promptIds(
                  List.of(
                      new ChatMessage("system", "be brief"),
                      ChatMessage.user("is my order on its way"))));
      assertThat(labels.get("c").getTokenIds().size() - labels.get("c").getPromptLength())
          .isLessThanOrEqualTo(4);
      assertThat(ofRollout.getRolloutId()).isEqualTo("o");
      assertThat(ofRollout.getRequestId()).isEqualTo("of-o");
      assertThat(ofRollout.getStudentVersion()).isEqualTo(7);
      assertThat(ofRollout.getOrigin()).isEqualTo(Origin.ROLLOUT);
      assertThat(ofRollout.getTokenIds()).isEqualTo(rollout("o").build().getTokenIds());
      for (SoftLabels label : labels.values()) {
        assertLabelsAgree(label);
      }
      assertLabelsAgree(ofRollout);
      assertGreedy(labels.get("a"));
    }
    assertThat(meters.counter("labels_total").count()).isEqualTo(3);
    assertThat(meters.counter("rollouts_scored_total").count()).isEqualTo(1);
  }

  @Test
  void labelsAreOfTheSofterDistributionWhereOneIsAskedFor() throws Exception {
    MirroredRequest.Builder request = request("a").setPrompt("where is my kettle");
    // The second time from memory.
    mirror("a", request.setResponse("on its way").build());
    mirror("a", request.build());
    roll("o", rollout("o").build());
    try (ScorerService scorer = scorer(new SimpleMeterRegistry(), "label-temperature", "2.5")) {
      scorer.start();
      List<Received<SoftLabels>> labels = Kafkas.await(clients, Topics.SOFT_LABELS, 2);
      labels.addAll(Kafkas.await(clients, Topics.ROLLOUT_LABELS, 1));
      for (Received<SoftLabels> label : labels) {
        assertThat(label.value().getTemperature()).isEqualTo(2.5f);
        assertLabelsAgree(label.value());
      }
    }
  }

  private static int[] ids(SoftLabels labels) {
    return labels.getTokenIds().stream().mapToInt(Integer::intValue).toArray();
  }

  private static int[] prompt(SoftLabels labels) {
    return Arrays.copyOf(ids(labels), labels.getPromptLength());
  }

  private static byte[] bytes(ByteBuffer buffer) {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return bytes;
  }

  private static void assertLabelsAgree(SoftLabels labels) throws Exception {
    int[] ids = ids(labels);
    double[][] logits = ReferenceForward.logits(model.config(), model.weights(), ids);
    TopKBlock block =
        SoftLabelCodec.decodeTopK(bytes(labels.getLabels()), model.config().vocabularySize());
    assertThat(block.rows()).isEqualTo(ids.length - labels.getPromptLength());
    for (int row = 0; row < block.rows(); row++) {
      int position = labels.getPromptLength() + row;
      double temperature = labels.getTemperature();
      double[] expected =
          ReferenceForward.logSoftmax(
              Arrays.stream(logits[position - 1]).map(logit -> logit / temperature).toArray());
      double named = 0;
      for (int j = row * block.k(); j < (row + 1) * block.k(); j++) {
        assertRoots(block.logprobs()[j], expected[block.ids()[j]]);
        named += Math.exp(expected[block.ids()[j]]);
      }
      assertRoots(block.tailLogMass()[row], Math.log(1 - named));
      assertThat((double) block.tokenLogprobs()[row])
          .isCloseTo(expected[ids[position]], within(0.06));
    }
  }

  /** Within what the codec keeps of a probability. */
  private static void assertRoots(float logprob, double expected) {
    assertThat(Math.exp(logprob / 2)).isCloseTo(Math.exp(expected / 2), within(0.02));
  }

  private static void assertGreedy(SoftLabels labels) {
    int[] ids = ids(labels);
    double[][] logits = ReferenceForward.logits(model.config(), model.weights(), ids);
    for (int position = labels.getPromptLength(); position < ids.length; position++) {
      double[] row = logits[position - 1];
      assertThat(row[ids[position]]).isCloseTo(row[ReferenceForward.argmax(row)], within(1e-3));
    }
  }

  @Test
  void poisonBecomesDeadLettersAndNeighboursAreLabelled() {
    String requestTopic = Topics.REQUESTS.fullName(clients.kafka());
    String rolloutTopic = Topics.ROLLOUTS.fullName(clients.kafka());
    poison(requestTopic, new byte[] {9, 9, 9});
    poison(rolloutTopic, new byte[] {0, 0, 0, 0, 1, 77});
    mirror("empty", request("empty").build());
    List<Integer> badIds = new ArrayList<>(rollout("x").build().getTokenIds());
    badIds.set(2, 5000);
    roll("ids", rollout("ids").setTokenIds(badIds).build());
    roll("tok", rollout("tok").setTokenizerFingerprint("feed").build());
    roll("chat", rollout("chat").setChatTemplateFingerprint("").build());
    roll("len", rollout("len").setPromptLength(99).build());
    roll("good", rollout("good").build());
    sendRequests(0, 20);
    SimpleMeterRegistry meters = new SimpleMeterRegistry();
    try (ScorerService scorer = scorer(meters)) {
      scorer.start();
      assertOneLabelEach(20);
      assertThat(Kafkas.await(clients, Topics.ROLLOUT_LABELS, 1))
          .extracting(r -> r.value().getRolloutId())
          .containsExactly("good");
      Map<String, DeadLetter> letters =
          Kafkas.await(clients, Topics.DEAD_LETTERS, 7).stream()
              .map(Received::value)
              .collect(
                  Collectors.toMap(
                      letter -> letter.getTopic() + "/" + letter.getKey(), Function.identity()));

      assertThat(letters)
          .containsOnlyKeys(
              requestTopic + "/p",
              rolloutTopic + "/p",
              requestTopic + "/empty",
              rolloutTopic + "/ids",
              rolloutTopic + "/tok",
              rolloutTopic + "/chat",
              rolloutTopic + "/len");
      assertThat(letters.get(requestTopic + "/p").getOffset()).isZero();
      assertThat(bytes(letters.get(requestTopic + "/p").getValue())).containsExactly(9, 9, 9);
      assertThat(letters.get(requestTopic + "/empty").getReason()).isEqualTo("empty_prompt");
      assertThat(letters.get(rolloutTopic + "/ids").getMessage())
          .startsWith("token_ids[2]: 5000 (expected: 0 to ");
      assertThat(letters.get(rolloutTopic + "/tok").getReason()).isEqualTo("tokenizer_mismatch");
      assertThat(letters.get(rolloutTopic + "/tok").getMessage())
          .isEqualTo(
              "tokenizer: feed (expected: " + model.tokenizerFingerprint() + ", the teacher's)");
      assertThat(letters.get(rolloutTopic + "/chat").getReason())
          .isEqualTo("chat_template_mismatch");
      assertThat(letters.get(rolloutTopic + "/len").getReason()).isEqualTo("bad_prompt_length");
    }
  }

  @Test
  void instancesShareTheWorkAndHandItOverWithoutLossOrDoubles() throws Exception {
    SimpleMeterRegistry first = new SimpleMeterRegistry();
    SimpleMeterRegistry second = new SimpleMeterRegistry();
    ScorerService a = scorer(first, "max-in-flight", "8");
    ScorerService b = scorer(second, "max-in-flight", "8");
    try (a;
        b) {
      a.start();
      sendRequests(0, 150);
      Kafkas.await(clients, Topics.SOFT_LABELS, 5);
      b.start();
      sendRequests(150, 300);
      // Both have some before the first one leaves.
      Kafkas.await(clients, Topics.SOFT_LABELS, 150);
      long n = 300;
      while (second.counter("labels_total").count() == 0) {
        sendRequests((int) n, (int) n + 20);
        n += 20;
        Kafkas.await(clients, Topics.SOFT_LABELS, (int) n - 20);
      }
      sendRequests((int) n, (int) n + 100);
      a.close();
      assertOneLabelEach((int) n + 100);
    }
    assertThat(first.counter("labels_total").count()).isPositive();
    assertThat(second.counter("labels_total").count()).isPositive();
  }

  @Test
  void aSuccessorOfTheSameNameTakesOverInMidWork() throws Exception {
    sendRequests(0, 200);
    ScorerService a = scorer(new SimpleMeterRegistry(), "instance", "x", "max-in-flight", "16");
    ScorerService b = scorer(new SimpleMeterRegistry(), "instance", "x", "max-in-flight", "16");
    try (a;
        b) {
      a.start();
      Kafkas.await(clients, Topics.SOFT_LABELS, 10);
      b.start();
      assertOneLabelEach(200);
      sendRequests(200, 220);
      assertOneLabelEach(220);
      assertThatThrownBy(() -> a.termination().toCompletableFuture().get(30, TimeUnit.SECONDS))
          .cause()
          .isInstanceOf(RefluxException.class)
          .hasMessage(
              "reflux.score.instance: x was taken over by another scorer"
                  + " (expected: a name that no other has)");
    }
  }

  @Test
  void killedProcessesLeaveOneLabelEach() throws Exception {
    sendRequests(0, 300);
    Path log = directory.resolve("process.log");
    for (int kill = 1; kill <= 2; kill++) {
      Process process = startProcess(log);
      try {
        int labels = 40 * kill;
        Kafkas.await(
            clients,
            Topics.SOFT_LABELS,
            records -> {
              assertThat(process.isAlive())
                  .as(() -> process.exitValue() + ": " + text(log))
                  .isTrue();
              return records.size() >= labels;
            },
            "labels of a process");
      } finally {
        process.destroyForcibly().waitFor();
      }
    }
    sendRequests(300, 320);
    try (ScorerService last = scorer(new SimpleMeterRegistry(), "instance", "killed")) {
      last.start();
      assertOneLabelEach(320);
    }
  }

  private Process startProcess(Path log) throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                ScorerProcess.class.getName(),
                directory.resolve("teacher").toString(),
                stack.kafkaConfig().bootstrapServers(),
                prefix,
                stack.registryConfig().url())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile());
    // Not on the command line: ONNX Runtime 1.29 overflows its stack on one of some 10,000
    // characters.
    builder
        .environment()
        .put(
            "CLASSPATH",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")));
    return builder.start();
  }

  private static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void aMissingTeacherIsOneLine() {
    ScorerService scorer =
        scorer(new SimpleMeterRegistry(), "teacher", directory.resolve("none").toString());
    assertThatThrownBy(scorer::start)
        .isInstanceOf(RefluxException.class)
        .isNotInstanceOf(CompletionException.class)
        .hasMessageContaining("none")
        .hasMessageNotContaining("\n");
    scorer.close();
  }
}
