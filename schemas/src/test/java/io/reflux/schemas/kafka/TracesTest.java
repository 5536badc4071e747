package io.reflux.schemas.kafka;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.testing.junit5.OpenTelemetryExtension;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.reflux.schemas.Records;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.registry.RecordCodec;
import io.reflux.schemas.registry.RegistryClient;
import io.reflux.schemas.registry.TestRegistry;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Future;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.apache.kafka.clients.producer.Callback;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TracesTest {
  private static final String TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
  private static final String SPAN_ID = "b7ad6b7169203331";
  private static final String PARENT = "00-" + TRACE_ID + "-" + SPAN_ID + "-01";
  private static final Topic<MirroredRequest> TOPIC =
      new Topic<>(
          "requests",
          MirroredRequest.class,
          "request_id",
          1,
          Duration.ofDays(1),
          false,
          100,
          "For tests.");

  private static TestRegistry registry;
  private static RecordCodec codec;

  @BeforeAll
  static void startRegistry() {
    registry = TestRegistry.start();
    codec = new RecordCodec(new RegistryClient(registry.config()));
  }

  @AfterAll
  static void stopRegistry() {
    registry.close();
  }

  private static Headers headers(String... namesAndValues) {
    Headers headers = new RecordHeaders();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      headers.add(namesAndValues[i], namesAndValues[i + 1].getBytes(StandardCharsets.UTF_8));
    }
    return headers;
  }

  private static Map<String, String> text(Iterable<Header> headers) {
    Map<String, String> text = new TreeMap<>();
    headers.forEach(h -> text.put(h.key(), new String(h.value(), StandardCharsets.UTF_8)));
    return text;
  }

  private static Received<MirroredRequest> received(Headers headers) {
    return new Received<>("t.requests", 2, 40, 0, "k", Records.request("r", "p"), headers);
  }

  private static MirroredRequest small() {
    return MirroredRequest.newBuilder(Records.request("r", "")).setTags(Map.of()).build();
  }

  private static MockProducer<String, byte[]> producer() {
    return new MockProducer<>(true, null, new StringSerializer(), new ByteArraySerializer());
  }

  private static TopicWriter<MirroredRequest> writer(MockProducer<String, byte[]> producer) {
    return new TopicWriter<>(TOPIC, "t.labels", codec, producer);
  }

  @Nested
  class WithoutAnSdk {
    @Test
    void aTracePassesThroughUnchangedOnEveryPiece() {
      MockProducer<String, byte[]> producer = producer();
      Received<MirroredRequest> record =
          received(headers("traceparent", PARENT, "tracestate", "a=1,b=2", "other", "x"));

      Context processing = Traces.startProcessing(record, "group");
      writer(producer).send("k", Records.request("r", "p".repeat(300)), null, processing).join();
      Traces.end(processing);

      assertThat(producer.history()).hasSizeGreaterThan(2);
      for (ProducerRecord<String, byte[]> piece : producer.history()) {
        Headers sent = new RecordHeaders(piece.headers());
        sent.remove(Chunk.HEADER);
        assertThat(text(sent)).isEqualTo(Map.of("traceparent", PARENT, "tracestate", "a=1,b=2"));
      }
    }

    @Test
    void recordsWithoutATraceGetNoHeaders() {
      MockProducer<String, byte[]> producer = producer();

      Context processing = Traces.startProcessing(received(headers()), null);
      writer(producer).send("k", small(), null, processing).join();

      assertThat(Traces.isTraced(processing)).isFalse();
      assertThat(text(producer.history().get(0).headers())).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(
        strings = {
          "",
          "00",
          "00-" + TRACE_ID + "-" + SPAN_ID,
          "ff-" + TRACE_ID + "-" + SPAN_ID + "-01",
          "00-00000000000000000000000000000000-" + SPAN_ID + "-01",
          "00-" + TRACE_ID + "-0000000000000000-01",
          "00-0AF7651916CD43DD8448EB211C80319C-" + SPAN_ID + "-01",
          "00-" + TRACE_ID + "-" + SPAN_ID + "-01-more",
          "00-" + TRACE_ID + "-" + SPAN_ID + "-é1",
        })
    void malformedParentsAreIgnored(String parent) {
      assertThat(Traces.headers(Traces.from(headers("traceparent", parent, "tracestate", "a=1"))))
          .isEmpty();
      assertThat(Traces.headers(Traces.fromHttp(List.of(parent), List.of()))).isEmpty();
    }

    @Test
    void malformedStatesLoseTheStateAlone() {
      for (String state : List.of("no equals sign", "=", "a=1,,b", "A B=1")) {
        Context context = Traces.from(headers("traceparent", PARENT, "tracestate", state));
        assertThat(text(Traces.headers(context))).isEqualTo(Map.of("traceparent", PARENT));
      }
    }

    @Test
    void headersWithoutAValueAreIgnored() {
      assertThat(Traces.headers(Traces.from(new RecordHeaders().add("traceparent", null))))
          .isEmpty();
    }

    @Test
    void httpStatesAreJoinedAndSeveralParentsAreNone() {
      assertThat(text(Traces.headers(Traces.fromHttp(List.of(PARENT), List.of("a=1", "b=2, c=3")))))
          .isEqualTo(Map.of("traceparent", PARENT, "tracestate", "a=1,b=2,c=3"));
      assertThat(Traces.headers(Traces.fromHttp(List.of(PARENT, PARENT), List.of()))).isEmpty();
      assertThat(Traces.headers(Traces.fromHttp(List.of(), List.of("a=1")))).isEmpty();
    }
  }

  @Nested
  class WithAnSdk {
    @RegisterExtension static final OpenTelemetryExtension SDK = OpenTelemetryExtension.create();

    @Test
    void consumingAndProducingAreSpansOfTheRecordsTrace() {
      MockProducer<String, byte[]> producer = producer();

      Context processing =
          Traces.startProcessing(
              received(headers("traceparent", PARENT, "tracestate", "a=1")), "scorer");
      writer(producer).send("key", small(), null, processing).join();
      Traces.end(processing);

      SpanData process = span("process t.requests");
      SpanData send = span("send t.labels");
      assertThat(process.getTraceId()).isEqualTo(TRACE_ID);
      assertThat(process.getParentSpanId()).isEqualTo(SPAN_ID);
      assertThat(process.getKind()).isEqualTo(SpanKind.CONSUMER);
      assertThat(process.getAttributes().asMap())
          .containsEntry(MessagingAttributes.SYSTEM, "kafka")
          .containsEntry(MessagingAttributes.OPERATION_TYPE, "process")
          .containsEntry(MessagingAttributes.DESTINATION, "t.requests")
          .containsEntry(MessagingAttributes.PARTITION, "2")
          .containsEntry(MessagingAttributes.OFFSET, 40L)
          .containsEntry(MessagingAttributes.KEY, "k")
          .containsEntry(MessagingAttributes.CONSUMER_GROUP, "scorer");
      assertThat(send.getTraceId()).isEqualTo(TRACE_ID);
      assertThat(send.getParentSpanId()).isEqualTo(process.getSpanId());
      assertThat(send.getKind()).isEqualTo(SpanKind.PRODUCER);
      assertThat(send.getAttributes().asMap())
          .containsEntry(MessagingAttributes.OPERATION_TYPE, "send")
          .containsEntry(MessagingAttributes.DESTINATION, "t.labels")
          .containsEntry(MessagingAttributes.KEY, "key")
          .containsEntry(MessagingAttributes.OFFSET, 0L);
      assertThat(text(producer.history().get(0).headers()))
          .isEqualTo(
              Map.of(
                  "traceparent",
                  "00-" + TRACE_ID + "-" + send.getSpanId() + "-01",
                  "tracestate",
                  "a=1"));
    }

    @Test
    void aRecordWithoutATraceStartsOne() {
      Context processing = Traces.startProcessing(received(headers()), null);
      Traces.fail(processing, "too_long");

      assertThat(span("process t.requests").getParentSpanContext().isValid()).isFalse();
      assertThat(span("process t.requests").getStatus().getStatusCode())
          .isEqualTo(StatusCode.ERROR);
      assertThat(span("process t.requests").getAttributes().get(MessagingAttributes.ERROR_TYPE))
          .isEqualTo("too_long");
    }

    @Test
    void failedSendsEndTheirSpanAsFailed() {
      MockProducer<String, byte[]> refusing =
          new MockProducer<>(false, null, new StringSerializer(), new ByteArraySerializer());
      var sent = writer(refusing).send("k", small(), null, Context.root());
      refusing.errorNext(new KafkaException("disk full"));
      assertThat(sent).isCompletedExceptionally();
      refusing.sendException = new KafkaException("closed");
      assertThatThrownBy(() -> writer(refusing).send("k", small(), null, Context.root()))
          .isInstanceOf(KafkaException.class);

      assertThat(SDK.getSpans())
          .hasSize(2)
          .allMatch(span -> span.getStatus().getStatusCode() == StatusCode.ERROR);
    }

    @Test
    void theSendingSpanIsCurrentForInstrumentationOfTheProducer() {
      List<String> current = new ArrayList<>();
      MockProducer<String, byte[]> producer =
          new MockProducer<>(true, null, new StringSerializer(), new ByteArraySerializer()) {
            @Override
            public synchronized Future<RecordMetadata> send(
                ProducerRecord<String, byte[]> record, Callback callback) {
              current.add(Span.current().getSpanContext().getSpanId());
              return super.send(record, callback);
            }
          };

      writer(producer).send("k", small(), null, Context.root()).join();

      assertThat(current).containsExactly(span("send t.labels").getSpanId());
      assertThat(Span.current().getSpanContext().isValid()).isFalse();
    }

    private SpanData span(String name) {
      return SDK.getSpans().stream()
          .filter(span -> span.getName().equals(name))
          .findFirst()
          .orElseThrow();
    }
  }

  @Property(tries = 500)
  void anyBytesAreReadWithoutAnException(@ForAll byte[] parent, @ForAll byte[] state) {
    Context context =
        Traces.from(new RecordHeaders().add("traceparent", parent).add("tracestate", state));
    assertThat(Traces.headers(context)).isEmpty();
  }
}
