package io.reflux.producers;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.Message;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.kafka.Traces;
import io.reflux.schemas.service.RefluxException;
import io.reflux.traffic.HeldOutPrompts;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
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

@Timeout(value = 120, unit = TimeUnit.SECONDS)
class MirrorServiceTest {
  @TempDir static Path directory;
  private static DevStack stack;
  private static final HttpClient HTTP = HttpClient.newHttpClient();
  private static int tests;

  private KafkaClients clients;
  private MirrorService service;

  @BeforeAll
  static void startStack() {
    stack = DevStack.start(directory.resolve("stack"));
  }

  @AfterAll
  static void stopStack() {
    stack.close();
  }

  @BeforeEach
  void startService(TestInfo test) {
    clients = stack.clients("mirror" + ++tests + ".");
    clients.createTopics();
    service = new MirrorService(config(0), clients, new SimpleMeterRegistry());
    service.start();
  }

  @AfterEach
  void stopService() {
    service.close();
  }

  private static MirrorConfig config(int port) {
    return MirrorConfigs.of(
        Map.of(
            "off-file", directory.resolve("off").toString(),
            "sample.quarter.tags.tenant", "acme*",
            "sample.quarter.probability", "0.25",
            "port", Integer.toString(port),
            "max-request-bytes", "2000",
            "max-body-bytes", "20000"));
  }

  private HttpResponse<String> post(String path, String body, String... headers) throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + service.port() + path))
            .POST(HttpRequest.BodyPublishers.ofString(body));
    if (headers.length > 0) {
      request.headers(headers);
    }
    return HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
  }

  private static JsonNode json(HttpResponse<String> response) throws Exception {
    return new JsonMapper().readTree(response.body());
  }

  private List<MirroredRequest> mirrored(int count) {
    return records(count).stream().map(Received::value).toList();
  }

  private List<Received<MirroredRequest>> records(int count) {
    List<Received<MirroredRequest>> requests = new ArrayList<>();
    long deadline = System.nanoTime() + Duration.ofSeconds(30).toNanos();
    try (TopicReader<MirroredRequest> reader =
        clients.reader(Topics.REQUESTS, clients.consumer("test", null, Map.of())).assignAll()) {
      while (requests.size() < count) {
        assertThat(System.nanoTime()).as("%s of %s", requests.size(), count).isLessThan(deadline);
        requests.addAll(reader.poll(Duration.ofMillis(100), bad -> {}));
      }
    }
    return requests;
  }

  @Test
  void nothingOfAnAddressOrACardReachesKafka() throws Exception {
    String body =
        """
        {"messages": [{"role": "ada@example.org", "content": "mail ada@example.org"}],
         "response": "charged to 4111 1111 1111 1111", "segment": "of ada@example.org",
         "conversation_id": "ada@example.org", "request_id": "%s", "tags": {"from": "203.0.113.9", "ada@example.org": "x"}}
        """;
    post("/v1/mirror", body.formatted("ada@example.org-1"));
    HttpResponse<String> last = post("/v1/mirror?wait=true", body.formatted("r2"));

    assertThat(last.statusCode()).isEqualTo(200);
    List<Received<MirroredRequest>> both = records(2);
    assertThat(both).noneMatch(record -> record.value().toString().contains("ada@"));
    MirroredRequest request = both.get(1).value();
    assertThat(request.getMessages().get(0).getContent()).isEqualTo("mail [EMAIL]");
    assertThat(request.getResponse()).isEqualTo("charged to [CARD]");
    assertThat(request.getSegment()).isEqualTo("of [EMAIL]");
    assertThat(request.getTags()).containsEntry("from", "[IP]");
    assertThat(request.getRequestId()).isEqualTo("r2");
    assertThat(request.getConversationId())
        .startsWith("redacted-")
        .isEqualTo(both.get(0).value().getConversationId());
    assertThat(both).allMatch(record -> record.key().equals(record.value().getConversationId()));
  }

  @Test
  void aTenantsShareIsItsOwnAndRecorded() throws Exception {
    for (int i = 0; i < 40; i++) {
      post(
          "/v1/mirror",
          "{\"prompt\": \"p\", \"conversation_id\": \"c"
              + i
              + "\", \"tags\": {\"tenant\": \"acme-eu\"}}");
    }
    post("/v1/mirror?wait=true", "{\"prompt\": \"of nobody\", \"conversation_id\": \"c41\"}");
    int kept = 40 - (int) service.mirror().dropped(DropReason.NOT_SAMPLED);
    assertThat(kept).isBetween(3, 20);
    List<MirroredRequest> requests = mirrored(kept + 1);
    assertThat(requests.stream().filter(request -> request.getSamplingProbability() == 0.25))
        .hasSize(kept);
    assertThat(requests.stream().filter(request -> request.getSamplingProbability() == 1))
        .hasSize(1);
  }

  @Test
  void aFileSwitchesItOffAndOn() throws Exception {
    Path off = directory.resolve("off");
    Files.createFile(off);
    await(() -> service.mirror().isOff());
    assertThat(post("/v1/mirror", "{\"prompt\": \"p\"}").body())
        .contains("\"sampled\":false,\"reason\":\"switched_off\"");
    assertThat(service.mirror().dropped(DropReason.SWITCHED_OFF)).isEqualTo(1);
    Files.delete(off);
    await(() -> !service.mirror().isOff());
    assertThat(json(post("/v1/mirror?wait=true", "{\"prompt\": \"p\"}")).has("offset")).isTrue();
  }

  private static void await(BooleanSupplier condition) {
    long end = System.nanoTime() + Duration.ofSeconds(20).toNanos();
    while (!condition.getAsBoolean()) {
      assertThat(System.nanoTime()).isLessThan(end);
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
    }
  }

  @Test
  void aWaitedForRequestIsInKafkaWhenItIsAnswered() throws Exception {
    Instant before = Instant.now().minusMillis(1);
    HttpResponse<String> response =
        post(
            "/v1/mirror?wait=true",
            """
            {"prompt": "where is it", "response": "on its way", "segment": "orders",
             "conversation_id": "c1", "request_id": "r1", "tags": {"route": "/help"},
             "max_tokens": 30}
            """);

    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(json(response).get("request_id").asText()).isEqualTo("r1");
    assertThat(json(response).get("topic").asText())
        .isEqualTo(Topics.REQUESTS.fullName(clients.kafka()));
    assertThat(json(response).get("offset").asLong()).isZero();
    assertThat(json(response).has("partition")).isTrue();
    MirroredRequest request = mirrored(1).get(0);
    assertThat(request.getPrompt()).isEqualTo("where is it");
    assertThat(request.getResponse()).isEqualTo("on its way");
    assertThat(request.getSegment()).isEqualTo("orders");
    assertThat(request.getConversationId()).isEqualTo("c1");
    assertThat(request.getTags()).containsExactly(Map.entry("route", "/help"));
    assertThat(request.getMaxTokens()).isEqualTo(30);
    assertThat(request.getSamplingProbability()).isEqualTo(1);
    assertThat(request.getSource()).isEqualTo("mirror");
    assertThat(request.getReceivedAt()).isBetween(before, Instant.now());
  }

  @Test
  void mirroredOpenAiCallsAreUnderstood() throws Exception {
    HttpResponse<String> completion =
        post(
            "/v1/completions",
            "{\"model\":\"m\",\"prompt\":\"plain\",\"max_tokens\":9,\"stream\":true}",
            "x-request-id",
            "id-1",
            "x-reflux-segment",
            "search");
    HttpResponse<String> chat =
        post(
            "/v1/chat/completions",
            """
            {"model":"m","messages":[{"role":"system","content":"be brief"},
             {"role":"user","content":[{"type":"text","text":"two "},{"type":"text","text":"parts"}]}],
             "max_completion_tokens":7,"temperature":0.5}
            """,
            "x-conversation-id",
            "thread");
    assertThat(completion.statusCode()).isEqualTo(202);
    assertThat(json(completion).get("request_id").asText()).isEqualTo("id-1");
    assertThat(chat.statusCode()).isEqualTo(202);

    List<MirroredRequest> requests = mirrored(2);
    MirroredRequest first =
        requests.stream().filter(r -> r.getPrompt() != null).findFirst().orElseThrow();
    MirroredRequest second =
        requests.stream().filter(r -> r.getPrompt() == null).findFirst().orElseThrow();
    assertThat(first.getRequestId()).isEqualTo("id-1");
    assertThat(first.getSegment()).isEqualTo("search");
    assertThat(first.getMaxTokens()).isEqualTo(9);
    assertThat(second.getMessages())
        .containsExactly(new Message("system", "be brief"), new Message("user", "two parts"));
    assertThat(second.getConversationId()).isEqualTo("thread");
    assertThat(second.getSegment()).isEqualTo("default");
    assertThat(second.getMaxTokens()).isEqualTo(7);
  }

  @Test
  void recordsCarryTheTraceOfTheCall() throws Exception {
    String trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    post("/v1/mirror", "{\"prompt\":\"one\"}", "traceparent", trace, "tracestate", "a=1");
    post(
        "/v1/mirror",
        "{\"prompt\":\"line 1\"}\n{\"prompt\":\"line 2\"}\n",
        "content-type",
        "application/x-ndjson",
        "traceparent",
        trace);
    post("/v1/completions", "{\"prompt\":\"malformed\"}", "traceparent", trace + "-no");
    post("/v1/completions", "{\"prompt\":\"none\"}");
    service
        .mirror()
        .submit(
            MirrorRequest.prompt("library").build(),
            Traces.fromHttp(List.of(trace), List.of("b=2")));

    Map<String, Map<String, String>> headers = new TreeMap<>();
    for (Received<MirroredRequest> record : records(6)) {
      Map<String, String> text = new TreeMap<>();
      record.headers().forEach(h -> text.put(h.key(), new String(h.value(), US_ASCII)));
      headers.put(record.value().getPrompt(), text);
    }
    assertThat(headers)
        .containsEntry("one", Map.of("traceparent", trace, "tracestate", "a=1"))
        .containsEntry("line 1", Map.of("traceparent", trace))
        .containsEntry("line 2", Map.of("traceparent", trace))
        .containsEntry("malformed", Map.of())
        .containsEntry("none", Map.of())
        .containsEntry("library", Map.of("traceparent", trace, "tracestate", "b=2"));
  }

  @Test
  void badInputIsOneClearLine() throws Exception {
    HttpResponse<String> response = post("/v1/mirror", "{\"prompt\":7}");

    assertThat(response.statusCode()).isEqualTo(400);
    assertThat(json(response).get("error").asText()).isEqualTo("prompt: 7 (expected: a string)");
    assertThat(post("/v1/completions", "{").statusCode()).isEqualTo(400);
    assertThat(post("/v1/chat/completions", "{}").statusCode()).isEqualTo(400);
  }

  @Test
  void limitsAndOtherPathsAnswerInJson() throws Exception {
    HttpResponse<String> large = post("/v1/mirror", "{\"prompt\":\"" + "x".repeat(3000) + "\"}");
    assertThat(large.statusCode()).isEqualTo(413);
    assertThat(json(large).get("error").asText()).contains("(expected: at most 2000)");
    HttpResponse<String> huge = post("/v1/mirror", "{\"prompt\":\"" + "x".repeat(30_000) + "\"}");
    assertThat(huge.statusCode()).isEqualTo(413);
    assertThat(json(huge).has("error")).isTrue();
    assertThat(post("/nothing", "{}").statusCode()).isEqualTo(404);
    HttpResponse<String> health =
        HTTP.send(
            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + service.port() + "/health"))
                .build(),
            HttpResponse.BodyHandlers.ofString());
    assertThat(health.statusCode()).isEqualTo(200);
  }

  @Test
  void bulkNamesBadLinesAndTakesTheOthers() throws Exception {
    HttpResponse<String> response =
        post(
            "/v1/mirror?wait=true",
            "{\"prompt\":\"one\"}\n\n{\"prompt\":3}\n{\"prompt\":\"two\"}\n",
            "content-type",
            "application/x-ndjson");

    assertThat(response.statusCode()).isEqualTo(200);
    assertThat(json(response).get("accepted").asInt()).isEqualTo(2);
    assertThat(json(response).get("rejected").toString())
        .isEqualTo("[{\"line\":3,\"error\":\"prompt: 3 (expected: a string)\"}]");
    assertThat(mirrored(2)).extracting(MirroredRequest::getPrompt).contains("one", "two");
  }

  @Test
  void aTakenPortIsNamed() {
    MirrorService other =
        new MirrorService(config(service.port()), clients, new SimpleMeterRegistry());
    assertThatThrownBy(other::start)
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith("mirror: 127.0.0.1:" + service.port() + ": ");
  }

  @Test
  void replaySendsPromptsOnlySkipsBadLinesAndHoldsBack() throws Exception {
    Path file = directory.resolve("traffic.jsonl");
    List<String> lines = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      lines.add("{\"prompt\": \"question " + i + "\", \"response\": \"secret\", \"x\": 1}");
    }
    lines.add(50, "not json");
    Files.write(file, lines);
    try (TrafficReplay replay =
        new TrafficReplay(
            service.mirror(),
            new TrafficReplay.Options(file, Double.POSITIVE_INFINITY, false, false, 0.2))) {
      replay.start();
      replay.done().toCompletableFuture().get(30, TimeUnit.SECONDS);

      assertThat(replay.badLines()).isEqualTo(1);
      assertThat(replay.heldOut()).isBetween(20L, 60L);
      assertThat(replay.sent() + replay.heldOut()).isEqualTo(200);
      List<MirroredRequest> requests = mirrored((int) replay.sent());
      assertThat(requests)
          .allMatch(r -> r.getResponse() == null)
          .noneMatch(r -> HeldOutPrompts.isHeldOut(r.getPrompt(), 0.2));
      assertThat(requests).extracting(MirroredRequest::getRequestId).doesNotHaveDuplicates();
    }
    assertThatThrownBy(
            () ->
                new TrafficReplay(
                    service.mirror(), TrafficReplay.Options.of(directory.resolve("none"), 1)))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("none: cannot be read");
  }

  @Test
  void generatedTrafficShiftsWhileItRuns() throws Exception {
    SupportDeskLanguage language = SupportDeskLanguage.standard();
    try (GeneratedTraffic traffic =
        new GeneratedTraffic(
            service.mirror(), language, TrafficMix.withShiftedShare(language, 0), 500, 3)) {
      traffic.start();
      mirrored(100);
      traffic.shift();
      long sent = traffic.sent();
      List<MirroredRequest> requests = mirrored((int) sent + 200);

      assertThat(requests)
          .filteredOn(r -> Integer.parseInt(r.getRequestId().replaceAll(".*-", "")) <= 100)
          .hasSize(100)
          .extracting(MirroredRequest::getSegment)
          .doesNotContain("warranty", "recalls", "cancellations");
      assertThat(requests).extracting(MirroredRequest::getSegment).contains("warranty", "recalls");
      assertThat(requests).noneMatch(r -> language.isHeldOut(r.getPrompt()));
      assertThat(requests).extracting(MirroredRequest::getRequestId).doesNotHaveDuplicates();
    }
  }
}
