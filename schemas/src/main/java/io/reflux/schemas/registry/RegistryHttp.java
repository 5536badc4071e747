package io.reflux.schemas.registry;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.reflux.schemas.service.RefluxException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Calls to the registry: addresses taken in turn, bounded retries, bounded answers. */
final class RegistryHttp {
  private static final String CONTENT_TYPE = "application/vnd.schemaregistry.v1+json";
  private static final int MAX_ANSWER_BYTES = 8 << 20;
  private static final ObjectMapper JSON = new ObjectMapper();

  /**
   * How long a call keeps trying.
   *
   * @param attempts tries in all, at least 1
   * @param timeout of one try
   * @param backoff before the second try; doubles from there
   */
  record Patience(int attempts, Duration timeout, Duration backoff) {
    static final Patience DEFAULT = new Patience(6, Duration.ofSeconds(10), Duration.ofMillis(200));
  }

  /** An HTTP answer; {@code json} is a missing node where the body is none. */
  final class Answer {
    private final String request;
    private final int status;
    private final JsonNode json;

    private Answer(String request, int status, JsonNode json) {
      this.request = request;
      this.status = status;
      this.json = json;
    }

    boolean isError(int errorCode) {
      return status == 404 && json.path("error_code").asInt() == errorCode;
    }

    JsonNode orThrow() {
      if (status / 100 == 2) {
        if (json.isMissingNode()) {
          throw unexpected(request, "not JSON", "JSON of Confluent's registry protocol");
        }
        return json;
      }
      throw failure(request, status, json);
    }
  }

  private final HttpClient client;
  private final List<URI> addresses;
  private final String authorization;
  private final Patience patience;
  private final AtomicInteger current = new AtomicInteger();

  RegistryHttp(RegistryConfig config, Patience patience) {
    this.addresses = addresses(config.url());
    this.patience = patience;
    this.authorization = authorization(config);
    HttpClient.Builder builder =
        HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(patience.timeout())
            // A redirect would carry the password to wherever it points.
            .followRedirects(HttpClient.Redirect.NEVER);
    config
        .truststore()
        .ifPresent(path -> builder.sslContext(trusting(path, config.truststorePassword())));
    this.client = builder.build();
  }

  private static List<URI> addresses(String urls) {
    List<URI> result = new ArrayList<>();
    for (String url : urls.split(",", -1)) {
      String trimmed = url.strip().replaceAll("/+$", "");
      URI uri;
      try {
        uri = URI.create(trimmed);
      } catch (IllegalArgumentException e) {
        throw badUrl(trimmed, "an http or https address");
      }
      if (uri.getHost() == null
          || !("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))) {
        throw badUrl(uri.getRawUserInfo() == null ? trimmed : "…", "an http or https address");
      }
      if (uri.getRawUserInfo() != null) {
        // Not echoed: it holds a password.
        throw badUrl("…@" + uri.getHost(), "no user in it; set reflux.registry.username");
      }
      result.add(uri);
    }
    return List.copyOf(result);
  }

  private static RefluxException badUrl(String value, String expected) {
    return new RefluxException("reflux.registry.url: " + value + " (expected: " + expected + ")");
  }

  private static String authorization(RegistryConfig config) {
    if (config.username().isEmpty()) {
      return null;
    }
    String pair = config.username().get() + ":" + config.password().orElse("");
    return "Basic " + Base64.getEncoder().encodeToString(pair.getBytes(StandardCharsets.UTF_8));
  }

  private static SSLContext trusting(Path path, java.util.Optional<String> password) {
    if (!Files.isReadable(path)) {
      throw new RefluxException(
          "reflux.registry.truststore: " + path + " (expected: a readable PKCS#12 or JKS file)");
    }
    try {
      KeyStore store =
          KeyStore.getInstance(path.toFile(), password.map(String::toCharArray).orElse(null));
      TrustManagerFactory trust =
          TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
      trust.init(store);
      SSLContext context = SSLContext.getInstance("TLS");
      context.init(null, trust.getTrustManagers(), null);
      return context;
    } catch (GeneralSecurityException | IOException e) {
      throw new RefluxException(
          "reflux.registry.truststore: "
              + path
              + " (expected: a PKCS#12 or JKS file and its password; "
              + e.getMessage()
              + ")",
          e);
    }
  }

  String address() {
    return String.join(",", addresses.stream().map(URI::toString).toList());
  }

  /**
   * Calls until an answer comes that does not blame the server, or patience ends.
   *
   * @param body JSON, or null for none
   */
  Answer call(String method, String path, String body) {
    Duration backoff = patience.backoff();
    for (int attempt = 1; ; attempt++) {
      boolean last = attempt >= patience.attempts();
      try {
        Answer answer = send(method, path, body, patience.timeout());
        if (last || (answer.status < 500 && answer.status != 429)) {
          return answer;
        }
      } catch (IOException e) {
        if (last) {
          throw noAnswer(method + " " + path, e);
        }
      }
      current.incrementAndGet();
      pause(backoff);
      backoff = backoff.multipliedBy(2);
    }
  }

  /** One try at each address. */
  Answer once(String method, String path, Duration timeout) {
    for (int attempt = 1; ; attempt++) {
      try {
        return send(method, path, null, timeout);
      } catch (IOException e) {
        if (attempt >= addresses.size()) {
          throw noAnswer(method + " " + path, e);
        }
        current.incrementAndGet();
      }
    }
  }

  private Answer send(String method, String path, String body, Duration timeout)
      throws IOException {
    URI base = addresses.get(Math.floorMod(current.get(), addresses.size()));
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(base + path))
            .timeout(timeout)
            .header("Accept", CONTENT_TYPE + ", application/json")
            .method(
                method,
                body == null
                    ? HttpRequest.BodyPublishers.noBody()
                    : HttpRequest.BodyPublishers.ofString(body));
    if (body != null) {
      request.header("Content-Type", CONTENT_TYPE);
    }
    if (authorization != null) {
      request.header("Authorization", authorization);
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    CompletableFuture<HttpResponse<Void>> pending =
        client.sendAsync(
            request.build(),
            HttpResponse.BodyHandlers.ofByteArrayConsumer(
                part -> part.ifPresent(data -> append(bytes, data))));
    // The request's own timeout ends with the headers; this one covers the body too.
    HttpResponse<Void> response = await(pending, timeout);
    return new Answer(method + " " + path, response.statusCode(), json(bytes));
  }

  private static void append(ByteArrayOutputStream bytes, byte[] data) {
    if (bytes.size() + data.length > MAX_ANSWER_BYTES) {
      throw new IllegalStateException("answer of more than " + MAX_ANSWER_BYTES + " bytes");
    }
    bytes.writeBytes(data);
  }

  private <T> T await(CompletableFuture<T> pending, Duration timeout) throws IOException {
    try {
      return pending.get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      pending.cancel(true);
      throw interrupted(e);
    } catch (TimeoutException e) {
      pending.cancel(true);
      throw new IOException("no answer within " + timeout.toMillis() + " ms", e);
    } catch (ExecutionException e) {
      Throwable cause = e.getCause();
      throw cause instanceof IOException io ? io : new IOException(cause);
    }
  }

  private static JsonNode json(ByteArrayOutputStream bytes) {
    try {
      return JSON.readTree(bytes.toString(StandardCharsets.UTF_8));
    } catch (JsonProcessingException e) {
      return MissingNode.getInstance();
    }
  }

  private void pause(Duration duration) {
    try {
      new CountDownLatch(1).await(duration.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  private RegistryException interrupted(InterruptedException e) {
    Thread.currentThread().interrupt();
    return new RegistryException("Schema registry " + address() + ": interrupted", 0, e);
  }

  RegistryException unexpected(String what, String value, String expected) {
    return new RegistryException(
        "Schema registry "
            + address()
            + ": "
            + what
            + ": "
            + value
            + " (expected: "
            + expected
            + ")",
        200,
        null);
  }

  private RegistryException noAnswer(String request, IOException e) {
    String detail = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    return new RegistryException(
        "Schema registry "
            + address()
            + ": no answer to "
            + request
            + " ("
            + detail
            + "; expected: a registry there, see reflux.registry.url)",
        0,
        e);
  }

  private RegistryException failure(String request, int status, JsonNode json) {
    String detail = json.path("message").asText("").replaceAll("\\s+", " ").strip();
    if (status == 401 || status == 403) {
      detail += detail.isEmpty() ? "" : "; ";
      detail += "expected: reflux.registry.username and password that may do this";
    }
    return new RegistryException(
        "Schema registry "
            + address()
            + ": "
            + request
            + ": HTTP "
            + status
            + (detail.isEmpty() ? "" : " (" + detail + ")"),
        status,
        null);
  }
}
