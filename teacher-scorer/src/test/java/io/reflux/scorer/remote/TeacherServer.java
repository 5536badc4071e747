package io.reflux.scorer.remote;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.linecorp.armeria.common.AggregatedHttpRequest;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpRequest;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpResponseWriter;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.ResponseHeaders;
import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.ServiceRequestContext;
import io.reflux.model.LanguageModel;
import io.reflux.model.ModelText;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.Scorer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Predicate;

/**
 * A real HTTP server that answers as vLLM or SGLang do, from a real model, and misbehaves on
 * demand. Shapes and error texts are those of vLLM 0.11 and SGLang 0.5.
 */
public final class TeacherServer implements AutoCloseable {
  static final ObjectMapper JSON = new ObjectMapper();

  private static final int LONGEST = 4096;
  private static final int MOST_LOGPROBS = 20;

  private final RemoteApi api;
  private final ModelText text;
  private final ServedScores scores;
  private final Scorer scorer;
  private final GenerationEngine engine;
  private final Server server;
  private final String prefix;
  private final ConcurrentLinkedQueue<Fault> faults = new ConcurrentLinkedQueue<>();
  private final Object callsLock = new Object();
  private final List<Long> scoringCalls = new ArrayList<>();
  private final AtomicInteger underWay = new AtomicInteger();
  private final AtomicInteger mostUnderWay = new AtomicInteger();
  private final BlockingQueue<int[]> cancelled = new LinkedBlockingQueue<>();

  private volatile Optional<Fault> always = Optional.empty();
  private volatile Predicate<int[]> alwaysFor = ids -> true;
  private volatile ModelText tokenizer;
  private volatile String modelId = "teacher";
  private volatile String root = "org/teacher";
  private volatile String weights = "default";
  private volatile String owner;
  private volatile String parent;
  private volatile int longest = LONGEST;
  private volatile int mostLogprobs = MOST_LOGPROBS;
  private volatile Optional<String> apiKey = Optional.empty();

  private TeacherServer(RemoteApi api, LanguageModel model, String prefix, int port) {
    this.api = api;
    this.prefix = prefix;
    this.owner = api.key();
    this.text = model.text();
    this.tokenizer = text;
    int vocabulary = model.config().vocabularySize();
    RuntimeOptions runtime = RuntimeOptions.of(1, "cpu");
    this.scorer = new Scorer(model.config(), model.weights(), vocabulary, runtime);
    this.engine =
        new GenerationEngine(
            model.config(),
            model.weights(),
            new EngineOptions(4, model.config().maxPositions()),
            runtime);
    this.scores = new ServedScores(scorer, engine, model.text());
    this.server =
        Server.builder()
            .http(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))
            .gracefulShutdownTimeout(Duration.ZERO, Duration.ZERO)
            .requestTimeout(Duration.ZERO)
            .serviceUnder("/", this::serve)
            .build();
    server.start().join();
  }

  /** On any port. */
  public static TeacherServer start(RemoteApi api, LanguageModel model) {
    return new TeacherServer(api, model, "", 0);
  }

  /** Behind a path, on a given port, so that it can be stopped and started again. */
  public static TeacherServer start(RemoteApi api, LanguageModel model, String prefix, int port) {
    return new TeacherServer(api, model, prefix, port);
  }

  /** The base to ask. */
  public String url() {
    return "http://127.0.0.1:" + server.activeLocalPort() + prefix;
  }

  /** One fault for each of the next calls. */
  public void fail(Fault... next) {
    faults.addAll(List.of(next));
  }

  /** A fault for every call about such ids. */
  public void failAlways(Predicate<int[]> ids, Fault fault) {
    alwaysFor = ids;
    always = Optional.of(fault);
  }

  /** As at the start. */
  public void recover() {
    always = Optional.empty();
    faults.clear();
    tokenizer = text;
    weights = "default";
    owner = api.key();
    parent = null;
    longest = LONGEST;
    mostLogprobs = MOST_LOGPROBS;
    apiKey = Optional.empty();
  }

  void tokenizer(ModelText other) {
    tokenizer = other;
  }

  void model(String id, String servedRoot) {
    modelId = id;
    root = servedRoot;
  }

  /** Of SGLang: other weights, in mid-run. */
  void weights(String version) {
    weights = version;
  }

  void parent(String name) {
    parent = name;
  }

  void owner(String name) {
    owner = name;
  }

  void longest(int tokens) {
    longest = tokens;
  }

  public void mostLogprobs(int k) {
    mostLogprobs = k;
  }

  void apiKey(String key) {
    apiKey = Optional.of(key);
  }

  /** When calls that score or answer came, in nanoseconds. */
  public List<Long> scoringCalls() {
    synchronized (callsLock) {
      return List.copyOf(scoringCalls);
    }
  }

  /** Waits until so many calls that score or answer have come. */
  public void awaitScoringCalls(int count) throws InterruptedException {
    synchronized (callsLock) {
      while (scoringCalls.size() < count) {
        callsLock.wait();
      }
    }
  }

  int mostUnderWay() {
    return mostUnderWay.get();
  }

  /** Whether a call about these ids is given up by its caller within some seconds. */
  boolean awaitCancelled(int[] ids) throws InterruptedException {
    int[] next = cancelled.poll(10, TimeUnit.SECONDS);
    while (next != null && !Arrays.equals(next, ids)) {
      next = cancelled.poll(10, TimeUnit.SECONDS);
    }
    return next != null;
  }

  @Override
  public void close() {
    server.stop().join();
    engine.close();
    scorer.close();
  }

  private HttpResponse serve(ServiceRequestContext context, HttpRequest request) {
    return HttpResponse.of(
        request
            .aggregate()
            .thenApplyAsync(
                whole -> {
                  try {
                    return answer(context, whole);
                  } catch (IOException e) {
                    throw new UncheckedIOException(e);
                  }
                },
                context.blockingTaskExecutor()));
  }

  private HttpResponse answer(ServiceRequestContext context, AggregatedHttpRequest request)
      throws IOException {
    if (apiKey.isPresent()
        && !("Bearer " + apiKey.get()).equals(request.headers().get("authorization"))) {
      return json(HttpStatus.UNAUTHORIZED, JSON.createObjectNode().put("error", "Unauthorized"));
    }
    if (!request.path().startsWith(prefix + "/")) {
      return json(HttpStatus.NOT_FOUND, JSON.createObjectNode().put("detail", "Not Found"));
    }
    String path = request.path().substring(prefix.length());
    boolean vllm = api == RemoteApi.VLLM;
    return switch (path) {
      case "/v1/models" -> json(HttpStatus.OK, models());
      case "/version" ->
          vllm ? json(HttpStatus.OK, JSON.createObjectNode().put("version", "0.11.0")) : missing();
      case "/get_model_info" ->
          vllm
              ? missing()
              : json(
                  HttpStatus.OK,
                  JSON.createObjectNode()
                      .put("model_path", root)
                      .put("tokenizer_path", root)
                      .put("is_generation", true)
                      .put("weight_version", weights));
      case "/get_server_info" ->
          vllm
              ? missing()
              : json(
                  HttpStatus.OK,
                  JSON.createObjectNode().put("api_key", "not for logs").put("version", "0.5.4"));
      case "/tokenize" -> json(HttpStatus.OK, tokenize(JSON.readTree(request.contentUtf8())));
      case "/v1/completions" ->
          vllm ? score(context, JSON.readTree(request.contentUtf8()), "prompt") : missing();
      case "/generate" ->
          vllm ? missing() : score(context, JSON.readTree(request.contentUtf8()), "input_ids");
      default -> missing();
    };
  }

  private static HttpResponse missing() {
    return json(HttpStatus.NOT_FOUND, JSON.createObjectNode().put("detail", "Not Found"));
  }

  private ObjectNode models() {
    ObjectNode models = JSON.createObjectNode().put("object", "list");
    models
        .putArray("data")
        .addObject()
        .put("id", modelId)
        .put("object", "model")
        .put("created", System.nanoTime())
        .put("owned_by", owner)
        .put("root", root)
        .put("parent", parent)
        .put("max_model_len", longest);
    return models;
  }

  private ObjectNode tokenize(JsonNode body) {
    int[] ids =
        tokenizer
            .tokenizer()
            .encode(body.get("prompt").textValue(), body.get("add_special_tokens").booleanValue());
    ObjectNode answer =
        JSON.createObjectNode().put("count", ids.length).put("max_model_len", longest);
    answer.set("tokens", JSON.valueToTree(ids));
    return answer;
  }

  private HttpResponse score(ServiceRequestContext context, JsonNode body, String prompt)
      throws IOException {
    synchronized (callsLock) {
      scoringCalls.add(System.nanoTime());
      callsLock.notifyAll();
    }
    int[] ids = JSON.convertValue(body.get(prompt), int[].class);
    Optional<Fault> next = Optional.ofNullable(faults.poll());
    Optional<Fault> fault = next.isPresent() ? next : always.filter(f -> alwaysFor.test(ids));
    mostUnderWay.accumulateAndGet(underWay.incrementAndGet(), Math::max);
    context.log().whenComplete().thenAccept(log -> underWay.decrementAndGet());
    context.whenRequestCancelled().thenAccept(cause -> cancelled.add(ids));
    if (api == RemoteApi.VLLM && !body.path("model").asText().equals(modelId)) {
      return json(
          HttpStatus.NOT_FOUND,
          error("The model `" + body.path("model").asText() + "` does not exist.", 404));
    }
    int wanted = body.path("prompt_logprobs").asInt(0);
    if (wanted > mostLogprobs) {
      return json(
          HttpStatus.BAD_REQUEST,
          error(
              "Requested prompt logprobs of "
                  + wanted
                  + ", which is greater than max allowed: "
                  + mostLogprobs,
              400));
    }
    ObjectNode good =
        api == RemoteApi.VLLM ? scores.vllm(body, ids, modelId) : scores.sglang(body, ids, weights);
    return fault.isEmpty()
        ? json(HttpStatus.OK, good)
        : misbehave(context, fault.get(), new Spoiling(api, good));
  }

  private static ObjectNode error(String message, int code) {
    ObjectNode body = JSON.createObjectNode();
    body.putObject("error")
        .put("message", message)
        .put("type", "BadRequestError")
        .putNull("param")
        .put("code", code);
    return body;
  }

  private HttpResponse misbehave(ServiceRequestContext context, Fault fault, Spoiling spoiling) {
    return switch (fault) {
      case STATUS_400 -> json(HttpStatus.BAD_REQUEST, error("not like this", 400));
      case STATUS_500 ->
          json(HttpStatus.INTERNAL_SERVER_ERROR, error("the engine\n stumbled", 500));
      case STATUS_503 -> HttpResponse.of(HttpStatus.SERVICE_UNAVAILABLE);
      case TOO_MANY ->
          HttpResponse.of(
              ResponseHeaders.builder(HttpStatus.TOO_MANY_REQUESTS)
                  .add(HttpHeaderNames.RETRY_AFTER, "1")
                  .build());
      case SLOW ->
          HttpResponse.delayed(json(HttpStatus.OK, spoiling.body()), Duration.ofSeconds(1));
      case HANG -> HttpResponse.streaming();
      case RESET_MID_BODY -> reset(spoiling.bytes());
      case TRUNCATED -> {
        byte[] bytes = spoiling.bytes();
        yield HttpResponse.of(
            HttpStatus.OK, MediaType.JSON, HttpData.copyOf(bytes, 0, bytes.length * 2 / 3));
      }
      default -> json(HttpStatus.OK, spoiling.spoilt(fault));
    };
  }

  /** Promises all of a body, sends half, and hangs up. */
  private static HttpResponse reset(byte[] bytes) {
    HttpResponseWriter response = HttpResponse.streaming();
    response.write(
        ResponseHeaders.builder(HttpStatus.OK)
            .contentType(MediaType.JSON)
            .contentLength(bytes.length)
            .build());
    response.write(HttpData.copyOf(bytes, 0, bytes.length / 2));
    response.whenConsumed().thenRun(() -> response.close(new IOException("the cable is out")));
    return response;
  }

  private static HttpResponse json(HttpStatus status, JsonNode body) {
    return HttpResponse.of(status, MediaType.JSON, body.toString());
  }
}
