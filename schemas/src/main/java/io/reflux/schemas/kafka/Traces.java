package io.reflux.schemas.kafka;

import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanBuilder;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.api.trace.propagation.W3CTraceContextPropagator;
import io.opentelemetry.context.Context;
import io.opentelemetry.context.propagation.TextMapGetter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeader;

/**
 * W3C trace context in Kafka headers ({@code traceparent}, {@code tracestate}), and spans by
 * OpenTelemetry's conventions for messaging.
 *
 * <p>Without OpenTelemetry in the process a context passes through unchanged, so that the records
 * of a request can be found by its trace. With an SDK or the Java agent, which registers itself as
 * {@link GlobalOpenTelemetry}, every step is a span of its own. Headers that are malformed are
 * ignored, as the specification asks: the record is then without a trace, or starts one.
 *
 * @see <a href="https://www.w3.org/TR/trace-context/">W3C Trace Context</a>
 */
public final class Traces {
  static final String TRACEPARENT = "traceparent";
  static final String TRACESTATE = "tracestate";

  private static final String SCOPE = "io.reflux";

  private static final TextMapGetter<Headers> OF_RECORD =
      new TextMapGetter<>() {
        @Override
        public Iterable<String> keys(Headers headers) {
          return List.of(TRACEPARENT, TRACESTATE);
        }

        @Override
        public String get(Headers headers, String name) {
          Header header = headers.lastHeader(name);
          return header == null || header.value() == null
              ? null
              : new String(header.value(), StandardCharsets.UTF_8);
        }
      };

  private static final TextMapGetter<Map<String, String>> OF_MAP =
      new TextMapGetter<>() {
        @Override
        public Iterable<String> keys(Map<String, String> headers) {
          return headers.keySet();
        }

        @Override
        public String get(Map<String, String> headers, String name) {
          return headers.get(name);
        }
      };

  private Traces() {}

  /** The trace that a record belongs to; the root context when there is none. */
  public static Context from(Received<?> record) {
    return from(record.headers());
  }

  /** The trace that a record of these headers belongs to; the root context when there is none. */
  public static Context from(Headers headers) {
    return headers.lastHeader(TRACEPARENT) == null
        ? Context.root()
        : W3CTraceContextPropagator.getInstance().extract(Context.root(), headers, OF_RECORD);
  }

  /**
   * The trace that a call over HTTP belongs to.
   *
   * @param traceparents every header of that name; more than one is as good as none
   * @param tracestates every header of that name, in order
   */
  public static Context fromHttp(List<String> traceparents, List<String> tracestates) {
    if (traceparents.size() != 1) {
      return Context.root();
    }
    return W3CTraceContextPropagator.getInstance()
        .extract(
            Context.root(),
            Map.of(TRACEPARENT, traceparents.get(0), TRACESTATE, String.join(",", tracestates)),
            OF_MAP);
  }

  /** Whether the context is part of a trace. */
  public static boolean isTraced(Context context) {
    return Span.fromContext(context).getSpanContext().isValid();
  }

  /** Headers for a record that follows from the context's span; none when it is in no trace. */
  public static Iterable<Header> headers(Context context) {
    if (!isTraced(context)) {
      return List.of();
    }
    List<Header> headers = new ArrayList<>(2);
    W3CTraceContextPropagator.getInstance()
        .inject(
            context,
            headers,
            (list, name, value) ->
                list.add(new RecordHeader(name, value.getBytes(StandardCharsets.UTF_8))));
    return headers;
  }

  /**
   * Starts the span of dealing with a record; the records that come of it are sent in the context
   * returned. {@link #end} or {@link #fail} ends it.
   *
   * @param group the consumer's group as Kafka knows it, or null
   */
  public static Context startProcessing(Received<?> record, String group) {
    Context parent = from(record);
    if (!isNeeded(parent)) {
      return parent;
    }
    SpanBuilder span =
        span(MessagingAttributes.PROCESS, record.topic(), SpanKind.CONSUMER, parent)
            .setAttribute(MessagingAttributes.PARTITION, Integer.toString(record.partition()))
            .setAttribute(MessagingAttributes.OFFSET, record.offset());
    if (record.key() != null) {
      span.setAttribute(MessagingAttributes.KEY, record.key());
    }
    if (group != null) {
      span.setAttribute(MessagingAttributes.CONSUMER_GROUP, group);
    }
    return parent.with(span.startSpan());
  }

  /** Ends the span that {@link #startProcessing} began. */
  public static void end(Context processing) {
    Span.fromContext(processing).end();
  }

  /**
   * Ends it as failed.
   *
   * @param reason short and countable, as a dead letter's
   */
  public static void fail(Context processing, String reason) {
    fail(Span.fromContext(processing), reason);
  }

  /** Starts the span of sending a record; {@link #endSend} or {@link #fail} ends it. */
  static Span startSend(String topic, String key, Context parent) {
    SpanBuilder span = span(MessagingAttributes.SEND, topic, SpanKind.PRODUCER, parent);
    if (key != null) {
      span.setAttribute(MessagingAttributes.KEY, key);
    }
    return span.startSpan();
  }

  static void endSend(Span span, RecordMetadata sent, Throwable error) {
    if (error != null) {
      fail(span, error.getClass().getName());
      return;
    }
    span.setAttribute(MessagingAttributes.PARTITION, Integer.toString(sent.partition()));
    span.setAttribute(MessagingAttributes.OFFSET, sent.offset());
    span.end();
  }

  static void fail(Span span, String reason) {
    span.setAttribute(MessagingAttributes.ERROR_TYPE, reason).setStatus(StatusCode.ERROR).end();
  }

  /** Whether there is anything to carry on or to record. */
  static boolean isNeeded(Context context) {
    return isTraced(context) || GlobalOpenTelemetry.isSet();
  }

  private static SpanBuilder span(String operation, String topic, SpanKind kind, Context parent) {
    // Asking for the registered one must not register none for good.
    return GlobalOpenTelemetry.getOrNoop()
        .getTracer(SCOPE)
        .spanBuilder(operation + " " + topic)
        .setSpanKind(kind)
        .setParent(parent)
        .setAttribute(MessagingAttributes.SYSTEM, MessagingAttributes.KAFKA)
        .setAttribute(MessagingAttributes.OPERATION_NAME, operation)
        .setAttribute(MessagingAttributes.OPERATION_TYPE, operation)
        .setAttribute(MessagingAttributes.DESTINATION, topic);
  }
}
