package io.reflux.operations;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.SessionProtocol;
import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.ServerBuilder;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.reflux.schemas.service.RefluxException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * {@code /metrics} for Prometheus, {@code /health/live} and {@code /health/ready}, for services
 * that have no HTTP server of their own.
 *
 * <p>Both health paths answer 200 or 503 with one line of JSON, such as {@code {"status":"not
 * ready","teacher":"loading"}}. The process's own meters are there beside the service's.
 */
public final class OperationsServer implements AutoCloseable {
  /** The port of a server that does not listen at all; any other below 0 means the same. */
  public static final int OFF = -1;

  private static final Duration CLOSE_TIMEOUT = Duration.ofMillis(500);
  private static final int LAST_PORT = 65_535;
  private static final String TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8";
  private static final MediaType TEXT = MediaType.parse(TEXT_FORMAT);
  private static final JsonMapper JSON = new JsonMapper();

  private final MeterRegistry meters;
  private final Health health;
  private final ProcessMeters process;
  private final Server server;

  private OperationsServer(
      String host, int port, MeterRegistry meters, Health health, Consumer<WebPages> pages) {
    this.meters = meters;
    this.health = health;
    this.process = port < 0 ? null : new ProcessMeters();
    this.server = port < 0 ? null : server(host, port, pages);
  }

  /**
   * Listens from now on.
   *
   * @param port 0 takes any that is free, {@link #OFF} does not listen
   * @param meters the service's own, made by {@link PrometheusMeters}; of any other registry only
   *     the process's meters are shown
   * @throws RefluxException with one line when it cannot listen there
   */
  public static OperationsServer start(String host, int port, MeterRegistry meters, Health health) {
    return open(host, port, meters, health, null);
  }

  /**
   * The same, with pages to look at.
   *
   * @param pages told once, before it listens; not at all if it does not
   */
  public static OperationsServer start(
      String host, int port, MeterRegistry meters, Health health, Consumer<WebPages> pages) {
    return open(host, port, meters, health, pages);
  }

  private static OperationsServer open(
      String host, int port, MeterRegistry meters, Health health, Consumer<WebPages> pages) {
    if (port > LAST_PORT) {
      throw new RefluxException(
          "http.port: " + port + " (expected: up to " + LAST_PORT + "; below 0 for none)");
    }
    OperationsServer operations = new OperationsServer(host, port, meters, health, pages);
    try {
      operations.listen();
    } catch (CompletionException e) {
      operations.close();
      throw new RefluxException(
          "metrics and health: "
              + host
              + ":"
              + port
              + ": "
              + e.getCause().getMessage()
              + " (expected: a free port, see --http-port)",
          e);
    }
    return operations;
  }

  /** The port it listens on, or {@link #OFF}. */
  public int port() {
    return server == null ? OFF : server.activeLocalPort();
  }

  /** Stops listening; within half a second. Safe to call twice. */
  @Override
  public void close() {
    if (server != null) {
      // The port is free at once; Netty takes two seconds to let go of its thread.
      server
          .stop()
          .thenRun(() -> {})
          .completeOnTimeout(null, CLOSE_TIMEOUT.toMillis(), TimeUnit.MILLISECONDS)
          .join();
      process.close();
    }
  }

  private void listen() {
    if (server != null) {
      server.start().join();
    }
  }

  private Server server(String host, int port, Consumer<WebPages> pages) {
    InetSocketAddress address = new InetSocketAddress(host, port);
    if (address.isUnresolved()) {
      throw new RefluxException("http.host: " + host + " (expected: a known address)");
    }
    ServerBuilder builder = Server.builder();
    if (pages != null) {
      pages.accept(new WebPages(builder, address.getAddress()));
    }
    return builder
        .port(address, SessionProtocol.HTTP)
        .gracefulShutdownTimeout(Duration.ofMillis(100), Duration.ofSeconds(2))
        // Its own figures stay out of ours, and out of the registry that all servers share.
        .meterRegistry(new SimpleMeterRegistry())
        .service("/metrics", (context, request) -> metrics())
        .service("/health/live", (context, request) -> live())
        .service("/health/ready", (context, request) -> ready())
        .build();
  }

  private HttpResponse metrics() {
    String own =
        meters instanceof PrometheusMeterRegistry prometheus ? prometheus.scrape(TEXT_FORMAT) : "";
    return HttpResponse.of(HttpStatus.OK, TEXT, own + process.scrape(TEXT_FORMAT));
  }

  private HttpResponse live() {
    return health
        .failure()
        .map(why -> answer(HttpStatus.SERVICE_UNAVAILABLE, status("failed").put("reason", why)))
        .orElseGet(() -> answer(HttpStatus.OK, status("live")));
  }

  private HttpResponse ready() {
    if (health.isReady()) {
      return answer(HttpStatus.OK, status("ready"));
    }
    ObjectNode body = status("not ready");
    health.waiting().forEach(body::put);
    health.failure().ifPresent(why -> body.put("failed", why));
    return answer(HttpStatus.SERVICE_UNAVAILABLE, body);
  }

  private static ObjectNode status(String status) {
    return JSON.createObjectNode().put("status", status);
  }

  private static HttpResponse answer(HttpStatus status, ObjectNode body) {
    return HttpResponse.of(status, MediaType.JSON_UTF_8, body.toString() + "\n");
  }
}
