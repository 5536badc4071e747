package io.reflux.e2e;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.sdk.testing.junit5.OpenTelemetryExtension;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.reflux.config.Settings;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.producers.MirrorConfig;
import io.reflux.producers.MirrorService;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.kafka.Traces;
import io.reflux.scorer.ScorerConfig;
import io.reflux.scorer.ScorerService;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Supplier;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.api.io.TempDir;

/** A request's trace, from the mirror to the labels, over a real broker. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class TraceTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final String TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
  private static final String SPAN_ID = "b7ad6b7169203331";
  private static final String PARENT = "00-" + TRACE_ID + "-" + SPAN_ID + "-01";

  @TempDir private static Path folder;
  private static DevStack stack;
  private static Path teacher;

  @BeforeAll
  static void startStack() throws Exception {
    stack = DevStack.start(folder.resolve("stack"));
    teacher = TinyTeacher.write(folder.resolve("teacher"));
  }

  @AfterAll
  static void stopStack() {
    stack.close();
  }

  /** Mirror and scorer on topics of their own. */
  private static final class Loop implements AutoCloseable {
    final KafkaClients clients;
    private final MirrorService mirror;
    private final ScorerService scorer;

    Loop(TestInfo test) {
      clients = stack.clients(test.getTestMethod().orElseThrow().getName() + ".");
      clients.createTopics();
      Settings settings =
          Settings.load(
              null,
              Map.of(),
              Map.of(),
              Map.of(
                  "reflux.mirror.port", "0",
                  "reflux.score.http.port", "-1",
                  "reflux.score.teacher", teacher.toString()));
      mirror =
          new MirrorService(settings.get(MirrorConfig.class), clients, new SimpleMeterRegistry());
      scorer =
          new ScorerService(settings.get(ScorerConfig.class), clients, new SimpleMeterRegistry());
      mirror.start();
      scorer.start();
    }

    void post(String body) throws Exception {
      HttpResponse<String> answer =
          HttpClient.newHttpClient()
              .send(
                  HttpRequest.newBuilder(
                          URI.create("http://127.0.0.1:" + mirror.port() + "/v1/mirror?wait=true"))
                      .header("traceparent", PARENT)
                      .header("tracestate", "a=1")
                      .POST(BodyPublishers.ofString(body))
                      .build(),
                  BodyHandlers.ofString());
      assertThat(answer.statusCode()).as(answer.body()).isEqualTo(200);
    }

    /** The headers of the one record that comes, and the record. */
    <T extends SpecificRecord> Received<T> one(Topic<T> topic) {
      try (TopicReader<T> reader =
          clients.reader(topic, clients.consumer("test", null, Map.of())).assignAll()) {
        return await(
            topic.name(),
            () -> reader.poll(Duration.ofMillis(100), bad -> {}).stream().findFirst());
      }
    }

    @Override
    public void close() {
      scorer.close();
      mirror.close();
    }
  }

  private static <R> R await(String what, Supplier<Optional<R>> found) {
    long end = System.nanoTime() + PATIENCE.toNanos();
    Optional<R> result = found.get();
    while (result.isEmpty()) {
      assertThat(System.nanoTime()).as(what).isLessThan(end);
      LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
      result = found.get();
    }
    return result.get();
  }

  private static Map<String, String> headers(Received<?> record) {
    Map<String, String> text = new TreeMap<>();
    for (Header header : record.headers()) {
      text.put(header.key(), new String(header.value(), US_ASCII));
    }
    return text;
  }

  @Nested
  class WithoutAnSdk {
    @Test
    void labelsOfRequestsRolloutsAndDeadLettersHaveTheTraceTheyCameWith(TestInfo test)
        throws Exception {
      Map<String, String> expected = Map.of("traceparent", PARENT, "tracestate", "a=1");
      try (Loop loop = new Loop(test);
          Producer<String, byte[]> producer = loop.clients.producer("test")) {
        loop.post("{\"prompt\": \"" + TinyTeacher.prompt(1) + "\"}");
        Received<SoftLabels> label = loop.one(Topics.SOFT_LABELS);
        assertThat(headers(label)).isEqualTo(expected);

        Rollout rollout = rollout(label.value());
        var unused =
            loop.clients
                .writer(Topics.ROLLOUTS, producer)
                .send("r", rollout, null, Traces.from(label));
        assertThat(headers(loop.one(Topics.ROLLOUT_LABELS))).isEqualTo(expected);

        ProducerRecord<String, byte[]> poison =
            new ProducerRecord<>(
                Topics.REQUESTS.fullName(loop.clients.kafka()), "p", new byte[] {1});
        Traces.headers(Traces.from(label)).forEach(poison.headers()::add);
        var sent = producer.send(poison);
        Received<DeadLetter> letter = loop.one(Topics.DEAD_LETTERS);
        assertThat(letter.value().getOffset()).isEqualTo(sent.get().offset());
        assertThat(headers(letter)).isEqualTo(expected);
      }
    }

    private Rollout rollout(SoftLabels label) {
      LanguageModel model = LanguageModel.load(teacher);
      return Rollout.newBuilder()
          .setRolloutId("r")
          .setRequestId(label.getRequestId())
          .setRequestedAt(Instant.now())
          .setCreatedAt(Instant.now())
          .setStudentVersion(1)
          .setTokenizerFingerprint(model.tokenizerFingerprint())
          .setChatTemplateFingerprint(model.chatTemplateFingerprint())
          .setTokenIds(label.getTokenIds())
          .setPromptLength(label.getPromptLength())
          .setSampledLogprobs(List.of())
          .setTemperature(1f)
          .build();
    }
  }

  @Nested
  class WithAnSdk {
    @RegisterExtension static final OpenTelemetryExtension SDK = OpenTelemetryExtension.create();

    @Test
    void everyStepIsASpanOfTheCallersTrace(TestInfo test) throws Exception {
      try (Loop loop = new Loop(test)) {
        loop.post("{\"prompt\": \"" + TinyTeacher.prompt(2) + "\"}");
        Received<SoftLabels> label = loop.one(Topics.SOFT_LABELS);
        String requests = Topics.REQUESTS.fullName(loop.clients.kafka());
        String labels = Topics.SOFT_LABELS.fullName(loop.clients.kafka());

        SpanData mirrored = span("send " + requests);
        SpanData scored = span("process " + requests);
        SpanData labelled = span("send " + labels);
        assertThat(mirrored.getParentSpanId()).isEqualTo(SPAN_ID);
        assertThat(mirrored.getKind()).isEqualTo(SpanKind.PRODUCER);
        assertThat(scored.getParentSpanId()).isEqualTo(mirrored.getSpanId());
        assertThat(scored.getKind()).isEqualTo(SpanKind.CONSUMER);
        assertThat(labelled.getParentSpanId()).isEqualTo(scored.getSpanId());
        assertThat(labelled.getKind()).isEqualTo(SpanKind.PRODUCER);
        assertThat(SDK.getSpans()).allMatch(span -> span.getTraceId().equals(TRACE_ID));
        assertThat(headers(label))
            .isEqualTo(
                Map.of(
                    "traceparent",
                    "00-" + TRACE_ID + "-" + labelled.getSpanId() + "-01",
                    "tracestate",
                    "a=1"));
      }
    }

    /** Spans end a moment after their record can be read. */
    private SpanData span(String name) {
      return await(
          name,
          () -> SDK.getSpans().stream().filter(span -> span.getName().equals(name)).findFirst());
    }
  }
}
