package io.reflux.producers;

import com.linecorp.armeria.common.SessionProtocol;
import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.ServerBuilder;
import com.linecorp.armeria.server.ServerErrorHandler;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.schemas.service.StatusReporter;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The mirror as a service: an HTTP endpoint that puts requests on Kafka. */
public final class MirrorService implements Service {
  private static final Logger log = LoggerFactory.getLogger(MirrorService.class);
  private static final Duration REACHABLE_WITHIN = Duration.ofSeconds(30);

  private final MirrorConfig config;
  private final KafkaClients clients;
  private final MeterRegistry meters;
  private final CompletableFuture<Void> termination = new CompletableFuture<>();
  private StatusReporter status;
  private TrafficMirror mirror;
  private Server server;
  private ScheduledExecutorService watcher;
  private boolean closed;

  public MirrorService(MirrorConfig config, KafkaClients clients, MeterRegistry meters) {
    this.config = config;
    this.clients = clients;
    this.meters = meters;
  }

  @Override
  public String name() {
    return "mirror";
  }

  @Override
  public synchronized void start() {
    clients.requireReachable(REACHABLE_WITHIN);
    status = new StatusReporter(name(), clients, meters);
    status.state("starting", "");
    mirror =
        TrafficMirror.builder(clients, config.source()).settings(config).meters(meters).build();
    config.offFile().ifPresent(this::watch);
    MirrorEndpoint endpoint = new MirrorEndpoint(mirror, meters, config.waitTimeout());
    ServerBuilder builder =
        Server.builder()
            .port(new InetSocketAddress(config.host(), config.port()), SessionProtocol.HTTP)
            .maxRequestLength(config.maxBodyBytes())
            .requestTimeout(config.waitTimeout().plusSeconds(5))
            .gracefulShutdownTimeout(Duration.ofMillis(100), Duration.ofSeconds(2))
            // Its own figures stay out of ours, and out of the registry that all servers share.
            .meterRegistry(new SimpleMeterRegistry())
            .errorHandler(endpoint.errors().orElse(ServerErrorHandler.ofDefault()));
    endpoint.routes(builder);
    server = builder.build();
    try {
      server.start().join();
    } catch (CompletionException e) {
      close();
      throw new RefluxException(
          "mirror: "
              + config.host()
              + ":"
              + config.port()
              + ": "
              + e.getCause().getMessage()
              + " (expected: a free port, see reflux.mirror.port)",
          e);
    }
    log.info("mirror listens on http://{}:{}", config.host(), port());
    status.state("running", "http://" + config.host() + ":" + port());
  }

  private void watch(Path offFile) {
    look(offFile);
    watcher =
        Executors.newSingleThreadScheduledExecutor(
            task -> {
              Thread thread = new Thread(task, "mirror-off-file");
              thread.setDaemon(true);
              return thread;
            });
    var unused = watcher.scheduleWithFixedDelay(() -> look(offFile), 1, 1, TimeUnit.SECONDS);
  }

  private void look(Path offFile) {
    boolean off = Files.exists(offFile);
    if (off != mirror.isOff()) {
      mirror.switchOff(off);
      log.info(
          "mirror is switched {}: {} {}",
          off ? "off" : "on",
          offFile,
          off ? "is there" : "is gone");
    }
  }

  @Override
  public CompletionStage<Void> termination() {
    return termination;
  }

  /** The library behind the endpoint, for feeders in the same process; after {@link #start}. */
  public synchronized TrafficMirror mirror() {
    if (mirror == null) {
      throw new IllegalStateException("mirror: not started");
    }
    return mirror;
  }

  /** The port it listens on. */
  public synchronized int port() {
    return server.activeLocalPort();
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (status != null) {
      status.state("draining", "");
    }
    if (watcher != null) {
      watcher.shutdownNow();
    }
    if (server != null) {
      server.stop().join();
    }
    if (mirror != null) {
      mirror.close();
    }
    if (status != null) {
      status.state("stopped", "");
      status.close();
    }
    termination.complete(null);
  }
}
