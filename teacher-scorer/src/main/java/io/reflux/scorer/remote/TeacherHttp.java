package io.reflux.scorer.remote;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.linecorp.armeria.client.ClientFactory;
import com.linecorp.armeria.client.ClientRequestContext;
import com.linecorp.armeria.client.RequestOptions;
import com.linecorp.armeria.client.ResponseTimeoutException;
import com.linecorp.armeria.client.UnprocessedRequestException;
import com.linecorp.armeria.client.WebClient;
import com.linecorp.armeria.client.WebClientBuilder;
import com.linecorp.armeria.client.limit.ConcurrencyLimitingClient;
import com.linecorp.armeria.client.retry.Backoff;
import com.linecorp.armeria.client.retry.RetryRule;
import com.linecorp.armeria.client.retry.RetryingClient;
import com.linecorp.armeria.common.AggregatedHttpResponse;
import com.linecorp.armeria.common.ContentTooLargeException;
import com.linecorp.armeria.common.ExchangeType;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpMethod;
import com.linecorp.armeria.common.HttpRequest;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.RequestHeaders;
import com.linecorp.armeria.common.RequestHeadersBuilder;
import com.linecorp.armeria.common.auth.AuthToken;
import com.linecorp.armeria.common.util.Exceptions;
import io.netty.util.AttributeKey;
import io.reflux.scorer.remote.ServerFault.Kind;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/**
 * JSON over HTTP to one server: so many calls at a time, each tried several times. Results fail
 * with {@link ServerFault}. Safe for several threads.
 */
final class TeacherHttp implements AutoCloseable {
  private static final Duration FIRST_BACKOFF = Duration.ofMillis(200);
  private static final Duration LONGEST_BACKOFF = Duration.ofSeconds(10);

  /** Half of each wait is chance, or all who failed together would come back together. */
  private static final double JITTER = 0.5;

  /**
   * Both kinds of server run under uvicorn, which closes a connection that was idle for 5 s: we
   * give it up first, or a call could meet the closing.
   */
  private static final Duration IDLE = Duration.ofSeconds(4);

  private static final int LONGEST_QUOTE = 300;

  /** Names are token ids, nearly each of them new: remembering them takes most of the reading. */
  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .enable(StreamReadFeature.USE_FAST_DOUBLE_PARSER)
          .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS)
          .build();

  private static final AttributeKey<Attempts> ATTEMPTS =
      AttributeKey.valueOf(TeacherHttp.class, "ATTEMPTS");

  private final RemoteOptions options;
  private final ClientFactory factory;
  private final WebClient client;
  private final ExecutorService readers;
  private final AtomicLong disturbances = new AtomicLong();
  private volatile boolean closed;

  /** The attempts of one call; giving up the call alone would leave the one under way. */
  private static final class Attempts {
    private volatile boolean cancelled;
    private volatile Runnable cancel = () -> {};

    void begin(ClientRequestContext attempt) {
      cancel = attempt::cancel;
      if (cancelled) {
        attempt.cancel();
      }
    }

    void cancel() {
      cancelled = true;
      cancel.run();
    }
  }

  /** Writes a body. */
  interface Writer {
    void write(JsonGenerator json) throws IOException;
  }

  /** Reads an answer, which stands before its first token. */
  interface Reader<T> {
    T read(JsonParser json) throws IOException;
  }

  /**
   * @param longestAnswer in bytes; a longer one is refused
   */
  TeacherHttp(RemoteOptions options, long longestAnswer) {
    this.options = options;
    Duration perAttempt = options.timeout();
    this.factory =
        ClientFactory.builder()
            .workerGroup(2)
            .connectTimeout(
                perAttempt.compareTo(LONGEST_BACKOFF) < 0 ? perAttempt : LONGEST_BACKOFF)
            .idleTimeout(IDLE)
            .build();
    Duration overall = perAttempt.plus(LONGEST_BACKOFF).multipliedBy(options.attempts());
    // HTTP/1.1 by name: neither server speaks HTTP/2, and some proxies stumble over the upgrade.
    WebClientBuilder builder =
        WebClient.builder(
                options.url().replaceFirst("^https:", "h1:").replaceFirst("^http:", "h1c:"))
            .factory(factory)
            .responseTimeout(overall)
            .writeTimeout(perAttempt)
            .maxResponseLength(longestAnswer)
            .decorator(
                (delegate, ctx, req) -> {
                  HttpResponse response = delegate.execute(ctx, req);
                  attempts(ctx).begin(ctx);
                  return response;
                })
            .decorator(
                RetryingClient.builder(rule())
                    .maxTotalAttempts(options.attempts())
                    .responseTimeoutForEachAttempt(perAttempt)
                    .useRetryAfter(true)
                    .newDecorator())
            // Around the retries: what waits to be tried again keeps its place, so that a server
            // in trouble is asked less, not more.
            .decorator(
                ConcurrencyLimitingClient.newDecorator(
                    options.concurrency(), 0, TimeUnit.MILLISECONDS));
    options.apiKey().ifPresent(key -> builder.auth(AuthToken.ofOAuth2(key)));
    this.client = builder.build();
    this.readers =
        Executors.newFixedThreadPool(
            Math.min(4, Runtime.getRuntime().availableProcessors()),
            task -> {
              Thread thread = new Thread(task, "reflux-remote-reader");
              thread.setDaemon(true);
              return thread;
            });
  }

  private RetryRule rule() {
    Backoff backoff =
        Backoff.exponential(FIRST_BACKOFF.toMillis(), LONGEST_BACKOFF.toMillis(), 2)
            .withJitter(JITTER);
    return RetryRule.of(
        RetryRule.onStatus((ctx, status) -> disturbed(passes(status)), backoff),
        RetryRule.onException(
            (ctx, cause) -> !attempts(ctx).cancelled && disturbed(passes(cause)), backoff));
  }

  private static Attempts attempts(ClientRequestContext ctx) {
    return Objects.requireNonNull(ctx.attr(ATTEMPTS), "every call has them");
  }

  private boolean disturbed(boolean passing) {
    if (passing) {
      disturbances.incrementAndGet();
    }
    return passing;
  }

  /** Whether asking again may help. */
  private static boolean passes(HttpStatus status) {
    return status.isServerError()
        || status.code() == 408
        || status.code() == 425
        || status.code() == 429;
  }

  private boolean passes(Throwable cause) {
    Throwable peeled = Exceptions.peel(cause);
    return !closed && !(peeled instanceof ContentTooLargeException);
  }

  /** Attempts that failed so far: while it stands still, the server has not been away. */
  long disturbances() {
    return disturbances.get();
  }

  /**
   * GET.
   *
   * @param path behind the base, from its slash
   */
  <T> Call<T> get(String path, Reader<T> reader) {
    return send(HttpMethod.GET, path, HttpData.empty(), reader);
  }

  /** POST of JSON. */
  <T> Call<T> post(String path, Writer body, Reader<T> reader) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (JsonGenerator json = JSON.createGenerator(bytes)) {
      json.writeStartObject();
      body.write(json);
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException("an array of bytes can be written", e);
    }
    return send(HttpMethod.POST, path, HttpData.wrap(bytes.toByteArray()), reader);
  }

  private <T> Call<T> send(HttpMethod method, String path, HttpData body, Reader<T> reader) {
    RequestHeadersBuilder headers =
        RequestHeaders.builder(method, path).accept(MediaType.JSON_UTF_8);
    if (!body.isEmpty()) {
      headers.contentType(MediaType.JSON_UTF_8);
    }
    Attempts attempts = new Attempts();
    // Unary: an answer is whole before it is judged, so that one that breaks off is tried again.
    RequestOptions unary =
        RequestOptions.builder().exchangeType(ExchangeType.UNARY).attr(ATTEMPTS, attempts).build();
    CompletableFuture<T> result =
        client
            .execute(HttpRequest.of(headers.build(), body), unary)
            .aggregate()
            .handleAsync(
                (response, cause) -> {
                  if (cause != null) {
                    throw failure(path, Exceptions.peel(cause));
                  }
                  return read(path, response, reader);
                },
                this::read);
    return new Call<>(result, attempts::cancel);
  }

  /** Large answers take a while, which the threads of the network must not. */
  private void read(Runnable task) {
    try {
      readers.execute(task);
    } catch (RejectedExecutionException e) {
      // Closed meanwhile: the result must still come to an end.
      task.run();
    }
  }

  private <T> T read(String path, AggregatedHttpResponse response, Reader<T> reader) {
    HttpStatus status = response.status();
    if (!status.isSuccess()) {
      throw refusal(path, response);
    }
    try (JsonParser json = JSON.createParser(response.content().array())) {
      T value = reader.read(json);
      if (json.nextToken() != null) {
        throw ServerFault.wrong("more than one answer");
      }
      return value;
    } catch (JsonProcessingException e) {
      throw ServerFault.of(
          Kind.MALFORMED, at(path) + ": not JSON: " + oneLine(e.getOriginalMessage()), e);
    } catch (IOException e) {
      throw ServerFault.of(Kind.MALFORMED, at(path) + ": cannot be read: " + e.getMessage(), e);
    } catch (ServerFault e) {
      throw ServerFault.of(e.kind(), at(path) + ": " + e.getMessage(), e);
    }
  }

  private ServerFault failure(String path, Throwable cause) {
    if (cause instanceof ContentTooLargeException) {
      return ServerFault.of(Kind.WRONG, at(path) + ": the answer is too long", cause);
    }
    if (cause instanceof ResponseTimeoutException) {
      return ServerFault.of(
          Kind.FAILED,
          at(path) + ": no answer within " + options.timeout().toMillis() + " ms" + tried(),
          cause);
    }
    if (cause instanceof UnprocessedRequestException && cause.getCause() != null) {
      return ServerFault.of(
          Kind.AWAY,
          at(path) + ": cannot be reached: " + oneLine(cause.getCause().getMessage()) + tried(),
          cause);
    }
    String said = cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.toString();
    return ServerFault.of(
        Kind.FAILED, at(path) + ": broken off: " + oneLine(said) + tried(), cause);
  }

  private ServerFault refusal(String path, AggregatedHttpResponse response) {
    int status = response.status().code();
    Kind kind =
        switch (status) {
          case 400, 413, 422 -> Kind.REFUSED;
          case 500, 504 -> Kind.FAILED;
          default -> Kind.AWAY;
        };
    String message = at(path) + ": HTTP " + status + quote(response);
    String location = response.headers().get(HttpHeaderNames.LOCATION);
    return ServerFault.status(
        kind,
        status,
        location == null ? message : message + " (it moved to " + oneLine(location) + ")");
  }

  /** What the server says of its refusal, in one line. */
  private static String quote(AggregatedHttpResponse response) {
    String text = response.content(StandardCharsets.UTF_8);
    try (JsonParser json = JSON.createParser(text)) {
      String message = JsonWalk.message(json);
      return message.isEmpty() ? "" : ": " + oneLine(message);
    } catch (IOException | ServerFault e) {
      // Proxies have no JSON to say.
      return text.isBlank() ? "" : ": " + oneLine(text);
    }
  }

  private String at(String path) {
    return options.url() + path;
  }

  private String tried() {
    return options.attempts() == 1 ? "" : ", tried " + options.attempts() + " times";
  }

  static String oneLine(String text) {
    String line = String.valueOf(text).replaceAll("\\s+", " ").strip();
    return line.length() <= LONGEST_QUOTE ? line : line.substring(0, LONGEST_QUOTE) + "…";
  }

  /** The fault in a failed result. */
  static ServerFault faultOf(Throwable failure) {
    Throwable cause = failure;
    while (cause instanceof CompletionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    if (cause instanceof ServerFault fault) {
      return fault;
    }
    if (cause instanceof Error error) {
      throw error;
    }
    return ServerFault.of(Kind.FAILED, oneLine(cause.toString()), cause);
  }

  /** Ends what is under way. */
  @Override
  public void close() {
    closed = true;
    // Ends what is under way at once; its threads take two seconds to go, which nobody waits for.
    factory.closeAsync().whenComplete((done, failure) -> readers.shutdown());
  }
}
