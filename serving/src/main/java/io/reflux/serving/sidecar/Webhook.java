package io.reflux.serving.sidecar;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import io.reflux.schemas.service.RefluxException;
import io.reflux.serving.sidecar.WebhookStyle.Call;
import java.io.IOException;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Asks a runtime over HTTP to read other weights. One call at a time. */
final class Webhook implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(Webhook.class);
  private static final Duration LONGEST_BACKOFF = Duration.ofSeconds(30);
  private static final int SHOWN_CHARACTERS = 300;

  /** A word in braces; JSON has quotes behind a brace. */
  private static final Pattern PLACEHOLDER = Pattern.compile("\\{([a-z_]+)}");

  private final String address;
  private final List<Call> calls;
  private final Optional<String> token;
  private final Duration timeout;
  private final int attempts;
  private final Duration backoff;
  private final HttpClient http;
  private final CountDownLatch closing = new CountDownLatch(1);
  private volatile CompletableFuture<?> underWay;

  /**
   * How it ended.
   *
   * @param problem in a line; empty if the runtime has taken the version
   * @param answered whether it is known what the runtime did; one that was reached and did not
   *     answer may have read the version all the same
   */
  record Result(Optional<String> problem, boolean answered) {
    boolean isTaken() {
      return problem.isEmpty();
    }
  }

  private Webhook(SidecarConfig config, String address, List<Call> calls) {
    this.address = address;
    this.calls = calls;
    this.token = config.webhookToken();
    this.timeout = config.webhookTimeout();
    this.attempts = config.webhookAttempts();
    this.backoff = config.webhookBackoff();
    // Of one version: servers of Python do not like to be asked for another.
    this.http =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(timeout)
            .build();
  }

  /**
   * As configured; empty if there is none.
   *
   * @throws RefluxException one line that names a key that cannot be
   */
  static Optional<Webhook> of(SidecarConfig config) {
    if (config.webhook().isEmpty()) {
      return Optional.empty();
    }
    String address = config.webhook().get().strip();
    requireAddress(address);
    WebhookStyle style = config.webhookStyle();
    boolean plain = style == WebhookStyle.PLAIN;
    if (!plain && config.webhookBody().isPresent()) {
      throw new RefluxException(
          "reflux.sidecar.webhook-body: set (expected: unset, for reflux.sidecar.webhook-style is "
              + style
              + ")");
    }
    if (!config.webhookMethod().matches("[A-Z]{1,20}")) {
      throw new RefluxException(
          "reflux.sidecar.webhook-method: "
              + config.webhookMethod()
              + " (expected: a method of HTTP, such as POST)");
    }
    if (config.webhookTimeout().isNegative() || config.webhookTimeout().isZero()) {
      throw new RefluxException(
          "reflux.sidecar.webhook-timeout: "
              + config.webhookTimeout()
              + " (expected: a positive time)");
    }
    if (config.webhookBackoff().isNegative()) {
      throw new RefluxException(
          "reflux.sidecar.webhook-backoff: " + config.webhookBackoff() + " (expected: 0 or more)");
    }
    if (config.webhookAttempts() < 1) {
      throw new RefluxException(
          "reflux.sidecar.webhook-attempts: "
              + config.webhookAttempts()
              + " (expected: at least 1)");
    }
    List<Call> calls = style.calls(config.webhookMethod(), config.webhookBody());
    calls.forEach(call -> requireKnown(call.body()));
    String base = plain ? address : address.replaceAll("/+$", "");
    return Optional.of(new Webhook(config, base, calls));
  }

  private static void requireAddress(String address) {
    try {
      URI uri = URI.create(address);
      if (uri.getHost() != null
          && ("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))) {
        return;
      }
    } catch (IllegalArgumentException e) {
      log.debug("no address: {}", address, e);
    }
    throw new RefluxException(
        "reflux.sidecar.webhook: " + address + " (expected: http:// or https:// and a host)");
  }

  private static void requireKnown(String body) {
    Map<String, String> known = new Moved("", 0, Path.of(""), Path.of(""), "", "").values();
    Matcher matcher = PLACEHOLDER.matcher(body);
    while (matcher.find()) {
      if (!known.containsKey(matcher.group(1))) {
        throw new RefluxException(
            "reflux.sidecar.webhook-body: {"
                + matcher.group(1)
                + "} (expected: one of "
                + known.keySet()
                + ")");
      }
    }
  }

  /** Calls until it is taken, or the attempts are used up, or this is closed. */
  Result call(Moved moved) {
    Duration wait = backoff;
    boolean answered = true;
    for (int attempt = 1; ; attempt++) {
      Result result = once(moved);
      answered &= result.answered();
      if (result.isTaken()) {
        return result;
      }
      if (attempt == attempts || closing.getCount() == 0) {
        String times = attempt == 1 ? "" : ", called " + attempt + " times";
        return new Result(result.problem().map(problem -> problem + times), answered);
      }
      log.warn("version {}: {}; trying again in {}", moved.version(), result.problem().get(), wait);
      pause(wait);
      wait = wait.multipliedBy(2);
      wait = wait.compareTo(LONGEST_BACKOFF) > 0 ? LONGEST_BACKOFF : wait;
    }
  }

  /** Calls once. */
  Result once(Moved moved) {
    for (Call call : calls) {
      Result result = send(call, moved);
      if (!result.isTaken()) {
        return result;
      }
    }
    return new Result(Optional.empty(), true);
  }

  /** Breaks off what is under way. */
  @Override
  public void close() {
    closing.countDown();
    CompletableFuture<?> future = underWay;
    if (future != null) {
      future.cancel(true);
    }
  }

  private Result send(Call call, Moved moved) {
    String name = "webhook " + call.method() + " " + address + call.path() + ": ";
    CompletableFuture<HttpResponse<String>> future =
        http.sendAsync(request(call, moved), HttpResponse.BodyHandlers.ofString());
    underWay = future;
    try {
      if (closing.getCount() == 0) {
        future.cancel(true);
      }
      // Of the whole answer: the client's own limit ends with the headers.
      HttpResponse<String> response = future.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
      if (response.statusCode() / 100 == 2) {
        return new Result(Optional.empty(), true);
      }
      return new Result(
          Optional.of(name + response.statusCode() + " " + shown(response.body())), true);
    } catch (ExecutionException e) {
      boolean unheard =
          e.getCause() instanceof ConnectException
              || e.getCause() instanceof HttpConnectTimeoutException;
      return new Result(Optional.of(name + reason(e.getCause())), unheard);
    } catch (TimeoutException e) {
      future.cancel(true);
      return new Result(
          Optional.of(name + "no answer in " + timeout.toMillis() + " ms (expected: 2xx)"), false);
    } catch (CancellationException e) {
      return new Result(Optional.of(name + "broken off, for the sidecar closes"), false);
    } catch (InterruptedException e) {
      future.cancel(true);
      Thread.currentThread().interrupt();
      closing.countDown();
      return new Result(Optional.of(name + "interrupted"), false);
    } finally {
      underWay = null;
    }
  }

  private HttpRequest request(Call call, Moved moved) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(address + call.path()))
            .header("reflux-channel", moved.channel())
            .header("reflux-snapshot-version", Long.toString(moved.version()));
    token.ifPresent(text -> request.header("authorization", "Bearer " + text));
    if (call.body().isEmpty()) {
      return request.method(call.method(), HttpRequest.BodyPublishers.noBody()).build();
    }
    return request
        .header("content-type", "application/json")
        .method(
            call.method(), HttpRequest.BodyPublishers.ofString(fill(call.body(), moved.values())))
        .build();
  }

  /** Values as they stand inside quotes in JSON. */
  static String fill(String body, Map<String, String> values) {
    return PLACEHOLDER
        .matcher(body)
        .replaceAll(
            match ->
                Matcher.quoteReplacement(
                    new String(
                        JsonStringEncoder.getInstance()
                            .quoteAsString(values.get(match.group(1))))));
  }

  private void pause(Duration wait) {
    try {
      boolean closed = closing.await(wait.toMillis(), TimeUnit.MILLISECONDS);
      if (closed) {
        log.debug("webhook {} closes", address);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      closing.countDown();
    }
  }

  private static String reason(Throwable cause) {
    String message = cause.getMessage() == null ? "" : ": " + cause.getMessage();
    return cause instanceof IOException
        ? cause.getClass().getSimpleName() + message + " (expected: 2xx)"
        : cause + " (expected: 2xx)";
  }

  private static String shown(String body) {
    String line = body.replaceAll("\\p{Cntrl}+", " ").strip();
    String cut =
        line.length() <= SHOWN_CHARACTERS ? line : line.substring(0, SHOWN_CHARACTERS) + "…";
    return (cut.isEmpty() ? "" : "'" + cut + "' ") + "(expected: 2xx)";
  }
}
