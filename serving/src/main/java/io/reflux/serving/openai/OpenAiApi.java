package io.reflux.serving.openai;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.linecorp.armeria.common.AggregatedHttpRequest;
import com.linecorp.armeria.common.AggregatedHttpResponse;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpMethod;
import com.linecorp.armeria.common.HttpRequest;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpResponseWriter;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.ResponseHeaders;
import com.linecorp.armeria.common.ResponseHeadersBuilder;
import com.linecorp.armeria.server.ServerBuilder;
import com.linecorp.armeria.server.ServiceRequestContext;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.serving.ServedModel;
import io.reflux.serving.SnapshotSubscriber;
import io.reflux.serving.SnapshotSubscriber.Lease;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The routes of the server. */
public final class OpenAiApi {
  /** Names the version that answered, on every response from the first snapshot on. */
  public static final String VERSION_HEADER = "reflux-snapshot-version";

  private static final Logger log = LoggerFactory.getLogger(OpenAiApi.class);

  private final SnapshotSubscriber subscriber;
  private final Options options;
  private final Admission admission;
  private final ApiMeters meters;
  private final Instant started = Instant.now();

  /**
   * How requests are met.
   *
   * @param modelName that requests ask for
   * @param slots continuations at the same time
   * @param queueLimit continuations that may wait
   * @param defaultMaxTokens when a request does not say
   * @param maxTokensLimit most that a request may ask for
   */
  public record Options(
      String modelName, int slots, int queueLimit, int defaultMaxTokens, int maxTokensLimit) {}

  public OpenAiApi(SnapshotSubscriber subscriber, Options options, MeterRegistry registry) {
    this.subscriber = subscriber;
    this.options = options;
    this.admission = new Admission(options.slots(), options.queueLimit());
    this.meters = new ApiMeters(registry);
    meters.gauge(
        "queue_depth",
        "Continuations waiting for a slot",
        subscriber,
        s -> s.current().map(ServedModel::queued).orElse(0));
    meters.gauge(
        "continuations_in_flight",
        "Continuations running or waiting",
        admission,
        Admission::inFlight);
  }

  /** Adds the routes. */
  public void bind(ServerBuilder server) {
    server.service("/v1/completions", (ctx, req) -> complete(ctx, req, false));
    server.service("/v1/chat/completions", (ctx, req) -> complete(ctx, req, true));
    server.service("/v1/models", (ctx, req) -> models(req));
    server.service("/v1/models/{id}", (ctx, req) -> model(ctx, req));
    server.service("/health", (ctx, req) -> health(req));
    server.errorHandler(new ErrorBodies(this::withVersion));
  }

  /**
   * Turns new requests away with 503 and waits for those that run.
   *
   * @return false when some still ran after that long
   */
  public boolean drain(Duration patience) throws InterruptedException {
    return admission.drain(patience);
  }

  private HttpResponse health(HttpRequest request) {
    requireMethod(request, HttpMethod.GET);
    Optional<ServedModel> served = subscriber.current();
    ObjectNode body = Json.object();
    if (admission.draining() || served.isEmpty()) {
      body.put("status", admission.draining() ? "draining" : "starting");
      return respond(HttpStatus.SERVICE_UNAVAILABLE, body);
    }
    body.put("status", "ok").put("version", served.get().version());
    return respond(HttpStatus.OK, body);
  }

  private HttpResponse models(HttpRequest request) {
    requireMethod(request, HttpMethod.GET);
    ObjectNode body = Json.object().put("object", "list");
    body.putArray("data").add(modelCard());
    return respond(HttpStatus.OK, body);
  }

  private HttpResponse model(ServiceRequestContext ctx, HttpRequest request) {
    requireMethod(request, HttpMethod.GET);
    String id = ctx.pathParam("id");
    if (!options.modelName().equals(id)) {
      throw ApiException.unknownModel(id, options.modelName());
    }
    return respond(HttpStatus.OK, modelCard());
  }

  private ObjectNode modelCard() {
    Optional<ServedModel> served = subscriber.current();
    Instant created =
        served.map(model -> model.snapshot().manifest().getCreatedAt()).orElse(started);
    ObjectNode card = Json.object();
    card.put("id", options.modelName());
    card.put("object", "model");
    card.put("created", created.getEpochSecond());
    card.put("owned_by", "reflux");
    served.ifPresent(
        model -> {
          card.put("snapshot_version", model.version());
          card.put("max_model_len", model.maxPositions());
        });
    return card;
  }

  private HttpResponse complete(ServiceRequestContext ctx, HttpRequest request, boolean chat) {
    requireMethod(request, HttpMethod.POST);
    long arrived = System.nanoTime();
    meters.arrived();
    return HttpResponse.of(
        request
            .aggregate()
            .thenApplyAsync(
                aggregated -> {
                  // Reading the body is over; generating has its own limits.
                  ctx.clearRequestTimeout();
                  return answer(aggregated, chat, arrived);
                },
                ctx.blockingTaskExecutor()));
  }

  private HttpResponse answer(AggregatedHttpRequest request, boolean chat, long arrived) {
    try {
      ObjectNode body = Json.parse(request.content().array());
      CompletionCall call =
          chat
              ? RequestReader.chat(body, options.modelName(), options.maxTokensLimit())
              : RequestReader.completion(body, options.modelName(), options.maxTokensLimit());
      admission.enter(call.totalChoices());
      boolean handedOn = false;
      try {
        HttpResponse response = admitted(call, arrived);
        handedOn = true;
        return response;
      } finally {
        if (!handedOn) {
          admission.leave(call.totalChoices(), since(arrived));
        }
      }
    } catch (ApiException e) {
      meters.rejected(e);
      return respond(e);
    }
  }

  private HttpResponse admitted(CompletionCall call, long arrived) {
    Lease lease =
        subscriber
            .acquire()
            .orElseThrow(
                () -> ApiException.unavailable("no_snapshot", "no snapshot is served yet"));
    boolean handedOn = false;
    try {
      ServedModel served = lease.served();
      List<int[]> prompts =
          call.prompts().stream().map(prompt -> promptIds(served, call, prompt)).toList();
      HttpResponse response =
          call.stream()
              ? stream(lease, call, prompts, arrived)
              : whole(lease, call, prompts, arrived);
      handedOn = true;
      return response;
    } finally {
      if (!handedOn) {
        lease.close();
      }
    }
  }

  private HttpResponse whole(Lease lease, CompletionCall call, List<int[]> prompts, long arrived) {
    ServedModel served = lease.served();
    WholeAnswer answer = new WholeAnswer(bodies(call, served), call.totalChoices());
    CompletionRun run = run(served, call, prompts, answer, arrived);
    // A writer, although it is written to but once: it tells when the client goes away.
    HttpResponseWriter writer = HttpResponse.streaming();
    var unused =
        finish(run, lease, call, arrived)
            .thenApply(usage -> respond(HttpStatus.OK, answer.body(usage), served))
            .exceptionally(
                failure -> ErrorBodies.aggregated(apiException(failure), this::withVersion))
            .thenAccept(writer::close);
    cancelWith(writer, run);
    run.start(options.defaultMaxTokens());
    return writer;
  }

  private HttpResponse stream(Lease lease, CompletionCall call, List<int[]> prompts, long arrived) {
    ServedModel served = lease.served();
    HttpResponseWriter writer = HttpResponse.streaming();
    writer.write(
        headers(HttpStatus.OK, served.version())
            .contentType(MediaType.EVENT_STREAM)
            .set(HttpHeaderNames.CACHE_CONTROL, "no-cache")
            .build());
    StreamedAnswer answer = new StreamedAnswer(bodies(call, served), call, writer);
    CompletionRun run = run(served, call, prompts, answer, arrived);
    answer.begin();
    var unused =
        finish(run, lease, call, arrived)
            .thenAccept(answer::end)
            .exceptionally(
                failure -> {
                  answer.fail(apiException(failure));
                  return null;
                });
    cancelWith(writer, run);
    run.start(options.defaultMaxTokens());
    return writer;
  }

  private CompletionRun run(
      ServedModel served,
      CompletionCall call,
      List<int[]> prompts,
      CompletionRun.Sink sink,
      long arrived) {
    return new CompletionRun(
        served, call, prompts, sink, () -> meters.firstToken(System.nanoTime() - arrived));
  }

  /** Counts and lets go before the answer goes out, so that who has it finds both done. */
  private CompletableFuture<CompletionRun.Usage> finish(
      CompletionRun run, Lease lease, CompletionCall call, long arrived) {
    return run.done()
        .whenComplete(
            (usage, failure) -> {
              Duration took = since(arrived);
              if (failure == null) {
                meters.finished(usage, took);
              } else if (failure instanceof CancellationException) {
                meters.cancelled();
              } else {
                meters.failed();
                log.error("version {}: request failed", lease.served().version(), failure);
              }
              lease.close();
              admission.leave(call.totalChoices(), took);
            });
  }

  /** A response that ends in failure is one that nobody waits for any more. */
  private static void cancelWith(HttpResponse response, CompletionRun run) {
    var unused =
        response
            .whenComplete()
            .exceptionally(
                broken -> {
                  run.cancel();
                  return null;
                });
  }

  private int[] promptIds(ServedModel served, CompletionCall call, CompletionCall.Prompt prompt) {
    LanguageModel model = served.model();
    String param = call.chat() ? "messages" : "prompt";
    int[] ids;
    try {
      if (prompt instanceof CompletionCall.Prompt.Text text) {
        ids = model.tokenizer().encode(text.text(), true);
      } else if (prompt instanceof CompletionCall.Prompt.Tokens tokens) {
        ids = tokens.ids();
      } else {
        ids = model.promptIds(((CompletionCall.Prompt.Chat) prompt).messages());
      }
    } catch (ModelException e) {
      throw ApiException.invalid(param, e.getMessage());
    }
    int vocabulary = model.config().vocabularySize();
    for (int id : ids) {
      if (id < 0 || id >= vocabulary) {
        throw ApiException.invalid(
            param, "token " + id + " (expected: 0 to " + (vocabulary - 1) + ")");
      }
    }
    if (ids.length == 0) {
      throw ApiException.invalid(param, "no tokens (expected: at least one)");
    }
    int wanted = call.maxTokens().orElse(1);
    if (ids.length > served.maxPositions() - wanted) {
      throw ApiException.badRequest(
          param,
          "context_length_exceeded",
          param
              + ": "
              + ids.length
              + " tokens and "
              + wanted
              + " to come (expected: at most "
              + served.maxPositions()
              + " together)");
    }
    return ids;
  }

  private Bodies bodies(CompletionCall call, ServedModel served) {
    String prefix = call.chat() ? "chatcmpl-" : "cmpl-";
    return new Bodies(
        call,
        served.model().tokenizer(),
        prefix + UUID.randomUUID().toString().replace("-", ""),
        Instant.now().getEpochSecond(),
        options.modelName(),
        served.fingerprint());
  }

  private static ApiException apiException(Throwable failure) {
    Throwable cause = failure instanceof CompletionException ? failure.getCause() : failure;
    if (cause instanceof ApiException known) {
      return known;
    }
    if (cause instanceof CancellationException) {
      return ApiException.unavailable("cancelled", "the request was broken off");
    }
    return ApiException.internal("generation failed: " + cause.getMessage());
  }

  private static void requireMethod(HttpRequest request, HttpMethod method) {
    if (request.method() != method) {
      throw ApiException.of(
          HttpStatus.METHOD_NOT_ALLOWED, request.method() + " (expected: " + method + ")");
    }
  }

  private static Duration since(long nanos) {
    return Duration.ofNanos(System.nanoTime() - nanos);
  }

  private HttpResponse respond(ApiException e) {
    return ErrorBodies.response(e, this::withVersion);
  }

  private HttpResponse respond(HttpStatus status, ObjectNode body) {
    ResponseHeadersBuilder headers = ResponseHeaders.builder(status);
    withVersion(headers);
    return HttpResponse.of(
        headers.contentType(MediaType.JSON).build(), HttpData.wrap(Json.bytes(body)));
  }

  private static AggregatedHttpResponse respond(
      HttpStatus status, ObjectNode body, ServedModel served) {
    return AggregatedHttpResponse.of(
        headers(status, served.version()).contentType(MediaType.JSON).build(),
        HttpData.wrap(Json.bytes(body)));
  }

  private static ResponseHeadersBuilder headers(HttpStatus status, long version) {
    return ResponseHeaders.builder(status).setLong(VERSION_HEADER, version);
  }

  private void withVersion(ResponseHeadersBuilder headers) {
    subscriber.current().ifPresent(served -> headers.setLong(VERSION_HEADER, served.version()));
  }
}
