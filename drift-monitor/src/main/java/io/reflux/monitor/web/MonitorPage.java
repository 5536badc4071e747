package io.reflux.monitor.web;

import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.ResponseHeaders;
import com.linecorp.armeria.common.metric.NoopMeterRegistry;
import com.linecorp.armeria.common.sse.ServerSentEvent;
import com.linecorp.armeria.common.stream.StreamMessage;
import com.linecorp.armeria.common.stream.StreamWriter;
import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.ServerBuilder;
import com.linecorp.armeria.server.ServiceRequestContext;
import com.linecorp.armeria.server.streaming.ServerSentEvents;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.monitor.drift.AlertOptions;
import io.reflux.monitor.view.LoopState;
import io.reflux.operations.WebPages;
import io.reflux.schemas.service.RefluxException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The page and its interfaces over HTTP: {@code /}, {@code /api/state}, {@code /api/events}, {@code
 * /metrics}, {@code /health}. It only reads, and loads nothing from elsewhere.
 */
public final class MonitorPage implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(MonitorPage.class);
  private static final MediaType PROMETHEUS =
      MediaType.parse("text/plain; version=0.0.4; charset=utf-8");
  private static final int MOST_LISTENERS = 100;

  private final Supplier<LoopState> states;
  private final BooleanSupplier healthy;
  private final StateJson json;
  private final String host;
  private final boolean loopback;
  private final Server server;
  private final Set<Listener> listeners = ConcurrentHashMap.newKeySet();
  private final ScheduledExecutorService ticker =
      Executors.newSingleThreadScheduledExecutor(
          task -> {
            Thread thread = new Thread(task, "monitor-page");
            thread.setDaemon(true);
            return thread;
          });

  /** One browser that follows the events. */
  private final class Listener {
    private final StreamWriter<ServerSentEvent> writer = StreamMessage.streaming();
    private final StateJson.Cursor cursor = new StateJson.Cursor();
    private CompletableFuture<Void> read = CompletableFuture.completedFuture(null);

    /** Passes over a browser that has not read what it has: nothing may pile up here. */
    private synchronized void send(LoopState state) {
      if (read.isDone() && writer.tryWrite(ServerSentEvent.ofData(json.since(state, cursor)))) {
        read = writer.whenConsumed();
      }
    }
  }

  /**
   * @param port 0 takes any free one
   * @param states asked once a second while somebody looks, and at each request
   * @param healthy what {@code /health} answers
   */
  public MonitorPage(
      String host,
      int port,
      Supplier<LoopState> states,
      AlertOptions alertOptions,
      MeterRegistry meters,
      BooleanSupplier healthy) {
    this.states = states;
    this.healthy = healthy;
    this.json = new StateJson(alertOptions);
    this.host = host;
    InetSocketAddress address = new InetSocketAddress(host, port);
    if (address.isUnresolved()) {
      throw new RefluxException("reflux.monitor.host: " + host + " (expected: a known address)");
    }
    InetAddress resolved = address.getAddress();
    this.loopback = resolved.isLoopbackAddress();
    ServerBuilder builder = Server.builder().http(address);
    new WebPages(builder, resolved)
        .file("/", MonitorPage.class, "index.html")
        .file("/app.js", MonitorPage.class, "app.js")
        .file("/charts.js", MonitorPage.class, "charts.js")
        .text("/api/state", MediaType.JSON_UTF_8, () -> json.whole(states.get()))
        .get("/api/events", this::events)
        .text("/metrics", PROMETHEUS, () -> PrometheusText.of(states.get(), meters))
        .get("/health", context -> health());
    builder
        .disableServerHeader()
        .meterRegistry(NoopMeterRegistry.get())
        .gracefulShutdownTimeoutMillis(0, 2000);
    this.server = builder.build();
  }

  /**
   * Listens.
   *
   * @throws RefluxException when the port is taken
   */
  public void start() {
    try {
      server.start().join();
    } catch (CompletionException e) {
      throw new RefluxException(
          "reflux.monitor.port: cannot listen on " + host + ": " + e.getCause().getMessage(), e);
    }
    var unused = ticker.scheduleAtFixedRate(this::broadcast, 1, 1, TimeUnit.SECONDS);
  }

  /** The port that it listens on. */
  public int port() {
    return server.activeLocalPort();
  }

  /** Address for a browser on this machine. */
  public String url() {
    return "http://" + (loopback ? "127.0.0.1" : host) + ":" + port() + "/";
  }

  @Override
  public void close() {
    ticker.shutdownNow();
    listeners.forEach(listener -> listener.writer.close());
    server.stop().join();
    server.close();
  }

  private HttpResponse health() {
    boolean well = healthy.getAsBoolean();
    return HttpResponse.of(
        well ? HttpStatus.OK : HttpStatus.SERVICE_UNAVAILABLE,
        MediaType.JSON_UTF_8,
        well ? "{\"status\":\"up\"}" : "{\"status\":\"down\"}");
  }

  private HttpResponse events(ServiceRequestContext ctx) {
    if (listeners.size() >= MOST_LISTENERS) {
      return HttpResponse.of(
          HttpStatus.SERVICE_UNAVAILABLE,
          MediaType.PLAIN_TEXT_UTF_8,
          "listeners: " + listeners.size() + " (expected: below " + MOST_LISTENERS + ")\n");
    }
    ctx.clearRequestTimeout();
    Listener listener = new Listener();
    listeners.add(listener);
    var unused = listener.writer.whenComplete().handle((ok, failure) -> listeners.remove(listener));
    listener.send(states.get());
    return ServerSentEvents.fromPublisher(
        ResponseHeaders.builder(HttpStatus.OK)
            .contentType(MediaType.EVENT_STREAM)
            .add(HttpHeaderNames.CACHE_CONTROL, "no-store")
            .build(),
        listener.writer);
  }

  private void broadcast() {
    if (listeners.isEmpty()) {
      return;
    }
    try {
      LoopState state = states.get();
      listeners.forEach(listener -> listener.send(state));
    } catch (RuntimeException e) {
      // a thrown exception would end the schedule, and every open page with it
      log.error("monitor page: {}", e.toString(), e);
    }
  }
}
