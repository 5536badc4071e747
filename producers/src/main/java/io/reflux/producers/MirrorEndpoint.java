package io.reflux.producers;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.linecorp.armeria.common.AggregatedHttpRequest;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpMethod;
import com.linecorp.armeria.common.HttpRequest;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.RequestHeaders;
import com.linecorp.armeria.common.ResponseHeaders;
import com.linecorp.armeria.server.Route;
import com.linecorp.armeria.server.ServerBuilder;
import com.linecorp.armeria.server.ServerErrorHandler;
import com.linecorp.armeria.server.ServiceRequestContext;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.opentelemetry.context.Context;
import io.reflux.schemas.kafka.Traces;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.producer.RecordMetadata;

/**
 * The mirror over HTTP. Answers 202 as soon as a request is held, or with {@code ?wait=true} 200
 * once Kafka has it; 400 with one line for what is no request; 503 when there is no room. Records
 * carry the W3C trace context of the call.
 */
final class MirrorEndpoint {
  private static final ObjectMapper JSON = new JsonMapper();
  private static final String RETRY_AFTER_SECONDS = "1";

  private final TrafficMirror mirror;
  private final Duration waitTimeout;
  private final Counter requests;
  private final Counter refused;

  MirrorEndpoint(TrafficMirror mirror, MeterRegistry meters, Duration waitTimeout) {
    this.mirror = mirror;
    this.waitTimeout = waitTimeout;
    this.requests = meters.counter("http_requests_total");
    this.refused = meters.counter("http_bad_requests_total");
  }

  void routes(ServerBuilder server) {
    post(server, "/v1/mirror", this::mirrorBody);
    post(
        server,
        "/v1/completions",
        request -> RequestJson.completion(request.contentUtf8(), origin(request.headers())));
    post(
        server,
        "/v1/chat/completions",
        request -> List.of(RequestJson.chat(request.contentUtf8(), origin(request.headers()))));
    server.service(
        "/health",
        (context, request) ->
            HttpResponse.of(HttpStatus.OK, MediaType.JSON_UTF_8, "{\"status\":\"up\"}"));
  }

  /** Failures outside our handlers, such as a body that is too long, as JSON too. */
  ServerErrorHandler errors() {
    return new ServerErrorHandler() {
      @Override
      public HttpResponse onServiceException(ServiceRequestContext context, Throwable cause) {
        return null;
      }

      @Override
      public com.linecorp.armeria.common.AggregatedHttpResponse renderStatus(
          ServiceRequestContext context,
          com.linecorp.armeria.server.ServiceConfig service,
          RequestHeaders headers,
          HttpStatus status,
          String description,
          Throwable cause) {
        String message = status.code() + " " + status.reasonPhrase();
        return com.linecorp.armeria.common.AggregatedHttpResponse.of(
            status, MediaType.JSON_UTF_8, errorJson(message).toString());
      }
    };
  }

  private interface Reading {
    List<MirrorRequest> read(AggregatedHttpRequest request) throws BadRequestException;
  }

  private void post(ServerBuilder server, String path, Reading reading) {
    Route route = Route.builder().path(path).methods(HttpMethod.POST).build();
    server.service(route, (context, request) -> HttpResponse.of(handle(context, request, reading)));
  }

  private CompletableFuture<HttpResponse> handle(
      ServiceRequestContext context, HttpRequest request, Reading reading) {
    requests.increment();
    boolean wait = "true".equals(context.queryParam("wait"));
    Context trace = trace(request.headers());
    return request
        .aggregate()
        .thenCompose(
            body -> {
              MediaType type = body.contentType();
              if (type != null && type.subtype().contains("ndjson")) {
                return bulk(body, trace, wait);
              }
              try {
                return submit(reading.read(body), trace, wait);
              } catch (BadRequestException e) {
                refused.increment();
                return done(HttpStatus.BAD_REQUEST, errorJson(e.getMessage()));
              }
            });
  }

  private List<MirrorRequest> mirrorBody(AggregatedHttpRequest request) throws BadRequestException {
    return List.of(RequestJson.mirror(request.contentUtf8()));
  }

  private CompletableFuture<HttpResponse> submit(
      List<MirrorRequest> batch, Context trace, boolean wait) {
    List<Receipt> receipts = batch.stream().map(one -> mirror.submit(one, trace)).toList();
    for (Receipt receipt : receipts) {
      DropReason reason = receipt.dropped().orElse(null);
      if (reason == DropReason.TOO_LARGE) {
        refused.increment();
        return done(HttpStatus.REQUEST_ENTITY_TOO_LARGE, errorJson(reasonText(receipt)));
      }
      if (reason == DropReason.BUFFER_FULL || reason == DropReason.CLOSED) {
        return done(HttpStatus.SERVICE_UNAVAILABLE, errorJson(reasonText(receipt)));
      }
    }
    if (!wait) {
      return done(HttpStatus.ACCEPTED, accepted(receipts));
    }
    return delivered(receipts)
        .handle(
            (nothing, error) ->
                error == null
                    ? answer(HttpStatus.OK, places(receipts))
                    : answer(
                        HttpStatus.SERVICE_UNAVAILABLE,
                        errorJson("Kafka has not acknowledged it: " + text(error))));
  }

  /** One JSON object a line, all of one trace; bad lines are named, the others go on. */
  private CompletableFuture<HttpResponse> bulk(
      AggregatedHttpRequest request, Context trace, boolean wait) {
    ObjectNode answer = JSON.createObjectNode();
    ArrayNode ids = answer.putArray("request_ids");
    ArrayNode rejected = answer.putArray("rejected");
    List<Receipt> accepted = new ArrayList<>();
    int dropped = 0;
    int number = 0;
    for (String line : (Iterable<String>) request.contentUtf8().lines()::iterator) {
      number++;
      if (line.isBlank()) {
        continue;
      }
      String problem;
      try {
        Receipt receipt = mirror.submit(RequestJson.mirror(line), trace);
        boolean taken = receipt.dropped().isEmpty() || receipt.dropped().get().isByChoice();
        if (taken) {
          ids.add(receipt.requestId());
          if (receipt.dropped().isEmpty()) {
            accepted.add(receipt);
          }
          continue;
        }
        dropped++;
        problem = reasonText(receipt);
      } catch (BadRequestException e) {
        refused.increment();
        problem = e.getMessage();
      }
      rejected.addObject().put("line", number).put("error", problem);
    }
    answer.put("accepted", ids.size());
    if (ids.isEmpty() && !rejected.isEmpty()) {
      return done(dropped > 0 ? HttpStatus.SERVICE_UNAVAILABLE : HttpStatus.BAD_REQUEST, answer);
    }
    if (!wait) {
      return done(HttpStatus.ACCEPTED, answer);
    }
    return delivered(accepted)
        .handle(
            (nothing, error) ->
                error == null
                    ? answer(HttpStatus.OK, answer)
                    : answer(
                        HttpStatus.SERVICE_UNAVAILABLE,
                        errorJson("Kafka has not acknowledged all: " + text(error))));
  }

  private CompletableFuture<Void> delivered(List<Receipt> receipts) {
    CompletableFuture<?>[] deliveries =
        receipts.stream()
            .filter(receipt -> receipt.dropped().isEmpty())
            .map(Receipt::delivery)
            .toArray(CompletableFuture<?>[]::new);
    return CompletableFuture.allOf(deliveries)
        .orTimeout(waitTimeout.toMillis(), TimeUnit.MILLISECONDS);
  }

  private static ObjectNode accepted(List<Receipt> receipts) {
    ObjectNode json = JSON.createObjectNode();
    if (receipts.size() == 1) {
      json.put("request_id", receipts.get(0).requestId());
    } else {
      ArrayNode ids = json.putArray("request_ids");
      receipts.forEach(receipt -> ids.add(receipt.requestId()));
    }
    receipts.stream()
        .flatMap(receipt -> receipt.dropped().stream())
        .findFirst()
        .ifPresent(reason -> json.put("sampled", false).put("reason", reason.code()));
    return json;
  }

  private static ObjectNode places(List<Receipt> receipts) {
    if (receipts.size() == 1) {
      return place(receipts.get(0));
    }
    ObjectNode json = JSON.createObjectNode();
    ArrayNode places = json.putArray("requests");
    receipts.forEach(receipt -> places.add(place(receipt)));
    return json;
  }

  private static ObjectNode place(Receipt receipt) {
    ObjectNode json = JSON.createObjectNode().put("request_id", receipt.requestId());
    if (receipt.dropped().isPresent()) {
      return json.put("sampled", false).put("reason", receipt.dropped().get().code());
    }
    RecordMetadata at = receipt.delivery().join();
    return json.put("topic", at.topic())
        .put("partition", at.partition())
        .put("offset", at.offset());
  }

  /** The call's own span where the server is instrumented, else the caller's. */
  private static Context trace(RequestHeaders headers) {
    Context current = Context.current();
    return Traces.isTraced(current)
        ? current
        : Traces.fromHttp(headers.getAll("traceparent"), headers.getAll("tracestate"));
  }

  private static RequestJson.Origin origin(RequestHeaders headers) {
    return new RequestJson.Origin(
        header(headers, "x-request-id"),
        header(headers, "x-conversation-id"),
        header(headers, "x-reflux-segment"));
  }

  private static String header(RequestHeaders headers, String name) {
    String value = headers.get(name);
    return value == null || value.isBlank() ? null : value;
  }

  private static String reasonText(Receipt receipt) {
    return text(receipt.delivery().handle((place, error) -> error).join());
  }

  private static String text(Throwable error) {
    Throwable cause =
        error instanceof java.util.concurrent.CompletionException && error.getCause() != null
            ? error.getCause()
            : error;
    return cause.getMessage() == null ? "no answer in time" : cause.getMessage();
  }

  private static ObjectNode errorJson(String message) {
    return JSON.createObjectNode().put("error", message);
  }

  private static CompletableFuture<HttpResponse> done(HttpStatus status, ObjectNode body) {
    return CompletableFuture.completedFuture(answer(status, body));
  }

  private static HttpResponse answer(HttpStatus status, ObjectNode body) {
    var headers = ResponseHeaders.builder(status).contentType(MediaType.JSON_UTF_8);
    if (status.equals(HttpStatus.SERVICE_UNAVAILABLE)) {
      headers.set(HttpHeaderNames.RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    try {
      return HttpResponse.of(headers.build(), HttpData.wrap(JSON.writeValueAsBytes(body)));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a tree of strings and numbers is always JSON", e);
    }
  }
}
