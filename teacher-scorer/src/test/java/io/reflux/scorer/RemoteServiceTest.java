package io.reflux.scorer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.labels.LabelBlock;
import io.reflux.schemas.labels.LabelEncoding;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SupportBlock;
import io.reflux.schemas.labels.TopKBlock;
import io.reflux.schemas.service.RefluxException;
import io.reflux.scorer.remote.Fault;
import io.reflux.scorer.remote.RemoteApi;
import io.reflux.scorer.remote.TeacherServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.Producer;
import org.assertj.core.api.AbstractStringAssert;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The whole scorer, with its teacher on a server. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class RemoteServiceTest {
  private static final Instant RECEIVED = Instant.parse("2026-01-02T03:04:05Z");

  @TempDir static Path directory;
  private static DevStack stack;
  private static LanguageModel model;

  private KafkaClients clients;
  private Producer<String, byte[]> producer;
  private TopicWriter<MirroredRequest> requests;
  private TopicWriter<Rollout> rollouts;

  @BeforeAll
  static void startStack() throws IOException {
    stack = DevStack.start(directory.resolve("stack"));
    model = TinyTeacher.make(directory.resolve("whole"), 1);
    // What the scorer gets: no weights.
    Path text = Files.createDirectory(directory.resolve("text"));
    for (String name : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
      Files.copy(model.directory().resolve(name), text.resolve(name));
    }
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

  private ScorerService scorer(String... settings) {
    Map<String, String> values = new HashMap<>();
    values.put("teacher", directory.resolve("text").toString());
    values.put("max-sequence-tokens", "95");
    values.put("max-response-tokens", "8");
    values.put("top-k", "8");
    values.put("http.port", "-1");
    for (int i = 0; i < settings.length; i += 2) {
      values.put(settings[i], settings[i + 1]);
    }
    return new ScorerService(Configs.of(values), clients, new SimpleMeterRegistry());
  }

  private void mirror(int i) {
    MirroredRequest.Builder request =
        MirroredRequest.newBuilder()
            .setRequestId("r" + i)
            .setReceivedAt(RECEIVED)
            .setSource("test")
            .setSegment("orders")
            .setPrompt("where is my order " + i % 20);
    if (i % 3 == 0) {
      request.setResponse("on its way " + i);
    }
    var unused = requests.send("r" + i, request.build());
  }

  private void mirror(int from, int to) {
    IntStream.range(from, to).forEach(this::mirror);
    producer.flush();
  }

  private void roll(String id, int... supportIds) {
    int[] prompt = model.promptIds("where is my kettle");
    List<Integer> ids = new ArrayList<>(Arrays.stream(prompt).boxed().toList());
    ids.addAll(List.of(10, 11, 12));
    Rollout.Builder rollout =
        Rollout.newBuilder()
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
            .setTemperature(1)
            .setSupportSize(supportIds.length / 3)
            .setSupportIds(Arrays.stream(supportIds).boxed().toList());
    var unused = rollouts.send(id, rollout.build());
    producer.flush();
  }

  private static LabelBlock block(ByteBuffer buffer) throws Exception {
    byte[] bytes = new byte[buffer.remaining()];
    buffer.duplicate().get(bytes);
    return SoftLabelCodec.decode(bytes, model.config().vocabularySize());
  }

  /** What the local scorer says of the same sequence, within what the codec keeps. */
  private static void assertSame(LabelBlock remote, LabelBlock local) {
    assertThat(remote.encoding()).isEqualTo(local.encoding());
    float[][] values = {logprobs(remote), logprobs(local)};
    assertThat(values[0]).hasSameSizeAs(values[1]);
    for (int i = 0; i < values[0].length; i++) {
      assertThat((double) values[0][i]).isCloseTo(values[1][i], within(0.07));
    }
    for (int row = 0; row < remote.rows(); row++) {
      assertThat((double) remote.tokenLogprobs()[row])
          .isCloseTo(local.tokenLogprobs()[row], within(0.07));
      assertThat(remote.entropy()[row]).isNaN();
    }
  }

  private static float[] logprobs(LabelBlock block) {
    return block instanceof TopKBlock top ? top.logprobs() : ((SupportBlock) block).logprobs();
  }

  private Map<String, SoftLabels> labels(int count) {
    return Kafkas.await(clients, Topics.SOFT_LABELS, count).stream()
        .map(Received::value)
        .collect(Collectors.toMap(SoftLabels::getRequestId, Function.identity()));
  }

  private static int freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return socket.getLocalPort();
    }
  }

  @Test
  void aServersLabelsAreThoseOfTheModelHere() throws Exception {
    int[] support = {3, 4, 5, 6, 7, 8};
    mirror(0, 12);
    roll("o", support);
    roll("plain");
    Map<String, SoftLabels> local;
    Map<String, SoftLabels> localRollouts;
    try (ScorerService scorer = scorer("teacher", model.directory().toString(), "group", "local")) {
      scorer.start();
      local = labels(12);
      localRollouts = labelsOfRollouts(2);
    }
    try (TeacherServer server = TeacherServer.start(RemoteApi.SGLANG, model);
        ScorerService scorer =
            scorer("remote.url", server.url(), "remote.api", "sglang", "group", "remote")) {
      scorer.start();
      List<Received<SoftLabels>> all = Kafkas.await(clients, Topics.SOFT_LABELS, 24);
      for (Received<SoftLabels> received : all.subList(12, 24)) {
        SoftLabels remote = received.value();
        SoftLabels ours = local.get(remote.getRequestId());
        assertThat(remote.getTokenIds()).isEqualTo(ours.getTokenIds());
        assertThat(remote.getPromptLength()).isEqualTo(ours.getPromptLength());
        assertThat(remote.getOrigin()).isEqualTo(ours.getOrigin());
        assertThat(remote.getTokenizerFingerprint()).isEqualTo(ours.getTokenizerFingerprint());
        assertThat(remote.getTeacherFingerprint())
            .hasSize(64)
            .isNotEqualTo(ours.getTeacherFingerprint());
        assertSame(block(remote.getLabels()), block(ours.getLabels()));
      }
      List<Received<SoftLabels>> ofRollouts = Kafkas.await(clients, Topics.ROLLOUT_LABELS, 4);
      for (Received<SoftLabels> received : ofRollouts.subList(2, 4)) {
        SoftLabels ours = localRollouts.get(received.value().getRolloutId());
        LabelBlock remote = block(received.value().getLabels());
        assertSame(remote, block(ours.getLabels()));
        if (remote instanceof SupportBlock ofSupport) {
          ofSupport.requireSupport(support);
        }
      }
    }
  }

  private Map<String, SoftLabels> labelsOfRollouts(int count) {
    return Kafkas.await(clients, Topics.ROLLOUT_LABELS, count).stream()
        .map(Received::value)
        .collect(Collectors.toMap(SoftLabels::getRolloutId, Function.identity()));
  }

  @Test
  void aServerThatGoesAwayAndComesBackCostsNothing() throws Exception {
    int port = freePort();
    TeacherServer server = TeacherServer.start(RemoteApi.VLLM, model, "", port);
    try (ScorerService scorer =
        scorer(
            "remote.url", server.url(),
            "remote.timeout", "1S",
            "remote.attempts", "2",
            "remote.concurrency", "4")) {
      scorer.start();
      mirror(0, 40);
      Kafkas.await(clients, Topics.SOFT_LABELS, 5);
      server.fail(
          Fault.STATUS_500,
          Fault.STATUS_503,
          Fault.RESET_MID_BODY,
          Fault.TRUNCATED,
          Fault.HANG,
          Fault.TOO_MANY);
      mirror(40, 60);
      server.close();
      mirror(60, 90);
      awaitCallsInVain(port, 6);
      server = TeacherServer.start(RemoteApi.VLLM, model, "", port);
      server.failAlways(ids -> true, Fault.STATUS_503);
      mirror(90, 100);
      server.awaitScoringCalls(4);
      server.recover();
      mirror(100, 120);
      roll("o", 3, 4, 5);
      List<Received<SoftLabels>> all = Kafkas.await(clients, Topics.SOFT_LABELS, 120);
      assertThat(all.stream().map(label -> label.value().getRequestId()))
          .containsExactlyInAnyOrderElementsOf(
              IntStream.range(0, 120).mapToObj(i -> "r" + i).toList());
      SoftLabels rollout = labelsOfRollouts(1).get("o");
      assertThat(block(rollout.getLabels()).encoding()).isEqualTo(LabelEncoding.TOPK);
      assertThat(Kafkas.await(clients, Topics.DEAD_LETTERS, 0)).isEmpty();
    } finally {
      server.close();
    }
  }

  /** Hangs up on so many callers. */
  private static void awaitCallsInVain(int port, int count) throws IOException {
    try (ServerSocket socket = new ServerSocket()) {
      socket.setReuseAddress(true);
      socket.bind(new InetSocketAddress("127.0.0.1", port));
      for (int i = 0; i < count; i++) {
        socket.accept().close();
      }
    }
  }

  @Test
  void settingsThatContradictAreOneLine() {
    refused("remote.url", "http://localhost:1", "device", "cuda:0")
        .startsWith("reflux.score.device: cuda:0 (expected: none with reflux.score.remote.url");
    refused("remote.url", "http://localhost:1", "precision", "bf16")
        .startsWith("reflux.score.precision: bf16 (expected: none with");
    refused("remote.url", "http://localhost:1", "encoding", "sampled")
        .startsWith("reflux.score.encoding: sampled (expected: topk with reflux.score.remote.url");
    refused("remote.url", "http://localhost:1", "rollout-encoding", "sampled")
        .startsWith("reflux.score.rollout-encoding: sampled (expected: topk or support with");
    refused("remote.url", "http://localhost:1", "label-temperature", "2")
        .isEqualTo(
            "reflux.score.label-temperature: 2.0 (expected: 1 with reflux.score.remote.url: a"
                + " server tells its own distribution)");
    refused("remote.url", "http://localhost:1", "remote.api", "openai")
        .isEqualTo("reflux.score.remote.api: openai (expected: vllm or sglang)");
    refused("remote.model", "big", "teacher", model.directory().toString())
        .isEqualTo("reflux.score.remote.model: big (expected: reflux.score.remote.url with it)");
    refused("remote.api-key", "s3cret", "teacher", model.directory().toString())
        .isEqualTo("reflux.score.remote.api-key: set (expected: reflux.score.remote.url with it)");
  }

  private AbstractStringAssert<?> refused(String... settings) {
    ScorerService scorer = scorer(settings);
    try {
      scorer.start();
    } catch (RefluxException e) {
      return assertThat(e.getMessage()).doesNotContain("\n");
    } finally {
      scorer.close();
    }
    throw new AssertionError("started");
  }
}
