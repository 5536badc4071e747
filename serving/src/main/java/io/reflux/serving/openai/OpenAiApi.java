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
import io.reflux.serving.ServedExchange;
import io.reflux.serving.ServedModel;
import io.reflux.serving.SnapshotSubscriber;
import io.reflux.serving.SnapshotSubscriber.Lease;
import io.reflux.serving.openai.Channels.Channel;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The routes of the server. */
public final class OpenAiApi {
  /** Names the version that answered, on every response from the first snapshot on. */
  public static final String VERSION_HEADER = "reflux-snapshot-version";

  /** The official clients show it with every error. */
  private static final String REQUEST_ID_HEADER = "x-request-id";

  /**
   * Names the slice of traffic that a request belongs to, for those who are told what is served.
   */
  private static final String SEGMENT_HEADER = "reflux-segment";

  private static final Logger log = LoggerFactory.getLogger(OpenAiApi.class);

  private final Channels channels;
  private final Options options;
  private final ApiMeters meters;
  private final Instant started = Instant.now();
  private volatile Consumer<ServedExchange> tap;

  /**
   * How requests are met.
   *
   * @param modelName that requests ask for
   * @param slots continuations at the same time, on each channel
   * @param queueLimit continuations that may wait, on each channel
   * @param defaultMaxTokens when a request does not say
   * @param maxTokensLimit most that a request may ask for
   * @param deadline longest time to answer a request
   * @param canaryPercent share of users that the canary gets
   */
  public record Options(
      String modelName,
      int slots,
      int queueLimit,
      int defaultMaxTokens,
      int maxTokensLimit,
      Duration deadline,
      double canaryPercent) {}

  /** Serves one channel, and another to a share of requests if there is one. */
  public OpenAiApi(
      SnapshotSubscriber stable,
      Optional<SnapshotSubscriber> canary,
      Options options,
      MeterRegistry registry) {
    this.options = options;
    this.channels =
        new Channels(channel(stable), canary.map(this::channel), options.canaryPercent());
    this.meters = new ApiMeters(registry);
    meters.gauge("queue_depth", "Continuations waiting for a slot", channels, Channels::queued);
    meters.gauge(
        "continuations_in_flight",
        "Continuations running or waiting",
        channels,
        Channels::inFlight);
    meters.gauge(
        "prefix_cache_bytes",
        "Memory that the beginnings of prompts take",
        channels,
        Channels::prefixCacheBytes);
  }

  private Channel channel(SnapshotSubscriber subscriber) {
    return new Channel(
        subscriber.channel(), subscriber, new Admission(options.slots(), options.queueLimit()));
  }

  /** Adds the routes. */
  public void bind(ServerBuilder server) {
    server.service("/v1/completions", (ctx, req) -> complete(ctx, req, false));
    server.service("/v1/chat/completions", (ctx, req) -> complete(ctx, req, true));
    server.service("/v1/models", (ctx, req) -> models(req));
    server.service("/v1/models/{id}", (ctx, req) -> model(ctx, req));
    server.service("/health", (ctx, req) -> health(req));
    server.errorHandler(new ErrorBodies(this::withVersion));
    server.decorator(
        (delegate, ctx, req) -> {
          ctx.setAdditionalResponseHeader(REQUEST_ID_HEADER, "req_" + ctx.id().text());
          return delegate.serve(ctx, req);
        });
  }

  /** Who wants a copy of each finished answer; best before the first request. */
  public void onServed(Consumer<ServedExchange> listener) {
    tap = listener;
  }

  /**
   * Turns new requests away with 503 and waits for those that run.
   *
   * @return false when some still ran after that long
   */
  public boolean drain(Duration patience) throws InterruptedException {
    return channels.drain(patience);
  }

  private HttpResponse health(HttpRequest request) {
    requireMethod(request, HttpMethod.GET);
    Optional<ServedModel> served = channels.stable().current();
    ObjectNode body = Json.object();
    if (channels.draining() || served.isEmpty()) {
      body.put("status", channels.draining() ? "draining" : "starting");
      return respond(HttpStatus.SERVICE_UNAVAILABLE, body);
    }
    body.put("status", "ok").put("version", served.get().version());
    canaryVersion().ifPresent(version -> body.put("canary_version", version));
    return respond(HttpStatus.OK, body);
  }

  private Optional<Long> canaryVersion() {
    return channels.canary().flatMap(Channel::current).map(ServedModel::version);
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
    Optional<ServedModel> served = channels.stable().current();
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
    canaryVersion().ifPresent(version -> card.put("canary_snapshot_version", version));
    return card;
  }

  private HttpResponse complete(ServiceRequestContext ctx, HttpRequest request, boolean chat) {
    requireMethod(request, HttpMethod.POST);
    long arrived = System.nanoTime();
    Instant receivedAt = Instant.now();
    meters.arrived();
    return HttpResponse.of(
        request
            .aggregate()
            .thenApplyAsync(
                aggregated -> {
                  // Reading the body is over; generating has its own limits.
                  ctx.clearRequestTimeout();
                  return answer(ctx, aggregated, chat, arrived, receivedAt);
                },
                ctx.blockingTaskExecutor()));
  }

  /**
   * A request that was understood.
   *
   * @param deadline from its arrival
   * @param loop the connection's, of one thread
   */
  private record Ask(
      CompletionCall call,
      Channel channel,
      String id,
      Optional<String> segment,
      long arrived,
      Instant receivedAt,
      Duration deadline,
      ScheduledExecutorService loop) {
    Duration age() {
      return Duration.ofNanos(System.nanoTime() - arrived);
    }
  }

  private HttpResponse answer(
      ServiceRequestContext ctx,
      AggregatedHttpRequest request,
      boolean chat,
      long arrived,
      Instant receivedAt) {
    try {
      ObjectNode body = Json.parse(request.content().array());
      CompletionCall call =
          chat
              ? RequestReader.chat(body, options.modelName(), options.maxTokensLimit())
              : RequestReader.completion(body, options.modelName(), options.maxTokensLimit());
      Ask ask =
          new Ask(
              call,
              channels.of(request.headers(), call.user()),
              (chat ? "chatcmpl-" : "cmpl-") + UUID.randomUUID().toString().replace("-", ""),
              Optional.ofNullable(request.headers().get(SEGMENT_HEADER)),
              arrived,
              receivedAt,
              Deadlines.of(request.headers(), call, options.deadline()),
              ctx.eventLoop());
      Admission admission = ask.channel().admission();
      admission.enter(call.totalChoices());
      boolean handedOn = false;
      try {
        HttpResponse response = admitted(ask);
        handedOn = true;
        return response;
      } finally {
        if (!handedOn) {
          admission.leave(call.totalChoices(), ask.age());
        }
      }
    } catch (ApiException e) {
      meters.rejected(e);
      return respond(e);
    }
  }

  private HttpResponse admitted(Ask ask) {
    Lease lease =
        ask.channel()
            .subscriber()
            .acquire()
            .orElseThrow(
                () -> ApiException.unavailable("no_snapshot", "no snapshot is served yet"));
    boolean handedOn = false;
    try {
      List<int[]> prompts = Prompts.ids(lease.served(), ask.call());
      HttpResponse response =
          ask.call().stream() ? stream(lease, ask, prompts) : whole(lease, ask, prompts);
      handedOn = true;
      return response;
    } finally {
      if (!handedOn) {
        lease.close();
      }
    }
  }

  private HttpResponse whole(Lease lease, Ask ask, List<int[]> prompts) {
    ServedModel served = lease.served();
    WholeAnswer answer = new WholeAnswer(bodies(ask, served), ask.call().totalChoices());
    CompletionRun run = run(served, ask, prompts, answer);
    // A writer, although it is written to but once: it tells when the client goes away.
    HttpResponseWriter writer = HttpResponse.streaming();
    var unused =
        finish(run, lease, ask)
            .thenApply(
                usage ->
                    AggregatedHttpResponse.of(
                        headers(ask, served).contentType(MediaType.JSON).build(),
                        HttpData.wrap(Json.bytes(answer.body(usage)))))
            .exceptionally(
                failure ->
                    ErrorBodies.aggregated(
                        apiException(failure), headers -> name(headers, ask, served)))
            .thenAccept(writer::close);
    cancelWith(writer, run);
    run.start(options.defaultMaxTokens());
    return writer;
  }

  private HttpResponse stream(Lease lease, Ask ask, List<int[]> prompts) {
    ServedModel served = lease.served();
    HttpResponseWriter writer = HttpResponse.streaming();
    writer.write(
        headers(ask, served)
            .contentType(MediaType.EVENT_STREAM)
            .set(HttpHeaderNames.CACHE_CONTROL, "no-cache")
            .build());
    StreamedAnswer answer = new StreamedAnswer(bodies(ask, served), ask.call(), writer);
    CompletionRun run = run(served, ask, prompts, answer);
    answer.begin();
    var unused =
        finish(run, lease, ask)
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
      ServedModel served, Ask ask, List<int[]> prompts, CompletionRun.Sink sink) {
    VersionMeters ofVersion = meters.of(ask.channel().name(), served.version());
    ofVersion.took();
    Consumer<ServedExchange> listener = tap;
    return new CompletionRun(
        served,
        ask.call(),
        prompts,
        sink,
        () -> {
          long nanos = System.nanoTime() - ask.arrived();
          meters.firstToken(nanos);
          ofVersion.firstToken(nanos);
        },
        listener == null
            ? Optional.empty()
            : Optional.of((choice, text) -> listener.accept(exchange(ask, served, choice, text))),
        ask.loop());
  }

  private ServedExchange exchange(Ask ask, ServedModel served, int choice, String text) {
    CompletionCall call = ask.call();
    CompletionCall.Prompt prompt = call.prompts().get(choice / call.choices());
    Optional<String> asText =
        prompt instanceof CompletionCall.Prompt.Text raw
            ? Optional.of(raw.text())
            : prompt instanceof CompletionCall.Prompt.Tokens tokens
                ? Optional.of(served.model().tokenizer().decode(tokens.ids(), false))
                : Optional.empty();
    return new ServedExchange(
        call.totalChoices() == 1 ? ask.id() : ask.id() + "-" + choice,
        ask.receivedAt(),
        asText,
        prompt instanceof CompletionCall.Prompt.Chat chat ? chat.messages() : List.of(),
        text,
        call.maxTokens().orElse(options.defaultMaxTokens()),
        ask.segment(),
        ask.channel().name(),
        served.version());
  }

  /** Counts and lets go before the answer goes out, so that who has it finds both done. */
  private CompletableFuture<CompletionRun.Usage> finish(CompletionRun run, Lease lease, Ask ask) {
    VersionMeters ofVersion = meters.of(ask.channel().name(), lease.served().version());
    Duration left = ask.deadline().minus(ask.age());
    ScheduledFuture<?> expiry =
        ask.loop()
            .schedule(
                () -> run.fail(ApiException.expired(ask.deadline())),
                Math.max(0, left.toMillis()),
                TimeUnit.MILLISECONDS);
    return run.done()
        .whenComplete(
            (usage, failure) -> {
              expiry.cancel(false);
              Duration took = ask.age();
              if (failure == null) {
                meters.finished(usage, took);
                ofVersion.finished(usage, took);
              } else if (failure instanceof CancellationException) {
                meters.cancelled();
              } else if (failure instanceof ApiException) {
                meters.expired();
                ofVersion.failed();
              } else {
                meters.failed();
                ofVersion.failed();
                log.error("version {}: request failed", lease.served().version(), failure);
              }
              lease.close();
              ask.channel().admission().leave(ask.call().totalChoices(), took);
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

  private Bodies bodies(Ask ask, ServedModel served) {
    return new Bodies(
        ask.call(),
        served.model().tokenizer(),
        ask.id(),
        ask.receivedAt().getEpochSecond(),
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

  private HttpResponse respond(ApiException e) {
    return ErrorBodies.response(e, this::withVersion);
  }

  private HttpResponse respond(HttpStatus status, ObjectNode body) {
    ResponseHeadersBuilder headers = ResponseHeaders.builder(status);
    withVersion(headers);
    return HttpResponse.of(
        headers.contentType(MediaType.JSON).build(), HttpData.wrap(Json.bytes(body)));
  }

  private static ResponseHeadersBuilder headers(Ask ask, ServedModel served) {
    ResponseHeadersBuilder headers = ResponseHeaders.builder(HttpStatus.OK);
    name(headers, ask, served);
    return headers;
  }

  /** Says what answers, on every response of a request that reached a model. */
  private static void name(ResponseHeadersBuilder headers, Ask ask, ServedModel served) {
    headers.setLong(VERSION_HEADER, served.version());
    headers.set(Channels.CHANNEL_HEADER, ask.channel().name());
  }

  private void withVersion(ResponseHeadersBuilder headers) {
    channels
        .stable()
        .current()
        .ifPresent(served -> headers.setLong(VERSION_HEADER, served.version()));
  }
}
