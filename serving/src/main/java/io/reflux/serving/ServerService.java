package io.reflux.serving;

import com.linecorp.armeria.server.Server;
import com.linecorp.armeria.server.ServerPort;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.model.runtime.KeyValueFormat;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.schemas.service.StatusReporter;
import io.reflux.serving.openai.OpenAiApi;
import io.reflux.snapshots.FleetMember;
import io.reflux.snapshots.FleetReporter;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The serving process: a {@link SnapshotSubscriber} behind OpenAI's HTTP interface.
 *
 * <p>It listens from the start and answers 503 until the first snapshot of the channel is in
 * memory.
 */
public final class ServerService implements Service {
  private static final Logger log = LoggerFactory.getLogger(ServerService.class);
  private static final Duration REACH_TIMEOUT = Duration.ofSeconds(15);
  private static final Duration FLUSH_TIMEOUT = Duration.ofSeconds(5);
  private static final long MAX_BODY_BYTES = 8L << 20;

  private final ServerConfig config;
  private final KafkaClients clients;
  private final MeterRegistry meters;
  private final SnapshotSubscriber subscriber;
  private final Optional<SnapshotSubscriber> canary;
  private final OpenAiApi api;
  private final Consumer<FleetReport> counted;
  private final CompletableFuture<Void> termination = new CompletableFuture<>();

  private volatile StatusReporter status;
  private Server server;
  private boolean closed;

  public ServerService(ServerConfig config, SnapshotAccess snapshots, MeterRegistry meters) {
    this.config = config;
    this.clients = snapshots.clients();
    this.meters = meters;
    requireAtLeast("reflux.serve.queue-limit", config.queueLimit(), 0);
    requireAtLeast("reflux.serve.default-max-tokens", config.defaultMaxTokens(), 1);
    requireAtLeast("reflux.serve.max-tokens-limit", config.maxTokensLimit(), 1);
    requireAtLeast("reflux.serve.prefix-cache-mib", config.prefixCacheMib(), 0);
    requireShare(config);
    Optional<GoldenFile> golden = golden(config);
    subscriber = subscriber(snapshots, config.channel(), config.dataDir(), golden);
    // Each clears its own folder of what it does not serve.
    canary =
        config
            .canaryChannel()
            .map(
                channel ->
                    subscriber(snapshots, channel, config.dataDir().resolve("canary"), golden));
    api =
        new OpenAiApi(
            subscriber,
            canary,
            new OpenAiApi.Options(
                config.modelName(),
                config.slots(),
                config.queueLimit(),
                Math.min(config.defaultMaxTokens(), config.maxTokensLimit()),
                config.maxTokensLimit(),
                config.requestDeadline(),
                config.canaryPercent()),
            meters);
    subscriber.addListener(new Reports());
    canary.ifPresent(candidate -> candidate.addListener(new CanaryReports()));
    counted = FleetReporter.counting(meters);
  }

  private SnapshotSubscriber subscriber(
      SnapshotAccess snapshots, String channel, Path directory, Optional<GoldenFile> golden) {
    return new SnapshotSubscriber(
        snapshots,
        new SnapshotSubscriber.Options(
            channel,
            directory,
            config.keepSnapshots(),
            config.slots(),
            config.maxPositions(),
            (long) config.prefixCacheMib() << 20,
            KeyValueFormat.parse(config.keyValues()),
            RuntimeOptions.of(config.threads(), config.device()),
            FleetMember.of(config.fleet(), "server", config.dataDir()),
            golden));
  }

  private static Optional<GoldenFile> golden(ServerConfig config) {
    try {
      return config.golden().map(GoldenFile::load);
    } catch (RefluxException e) {
      throw new RefluxException("reflux.serve.golden: " + e.getMessage(), e);
    }
  }

  private static void requireShare(ServerConfig config) {
    if (!(config.canaryPercent() >= 0 && config.canaryPercent() <= 100)) {
      throw new RefluxException(
          "reflux.serve.canary-percent: " + config.canaryPercent() + " (expected: 0 to 100)");
    }
    if (config.canaryChannel().filter(config.channel()::equals).isPresent()) {
      throw new RefluxException(
          "reflux.serve.canary-channel: "
              + config.channel()
              + " (expected: another channel than reflux.serve.channel)");
    }
  }

  /** Serves whatever its channel points to, signed or not. */
  public ServerService(ServerConfig config, KafkaClients clients, MeterRegistry meters) {
    this(config, SnapshotAccess.unsigned(clients), meters);
  }

  @Override
  public String name() {
    return "server";
  }

  @Override
  public synchronized void start() {
    if (server != null || closed) {
      throw new IllegalStateException("server was started already");
    }
    clients.requireReachable(REACH_TIMEOUT);
    status = new StatusReporter(name(), clients, meters);
    Server listening = build();
    try {
      listening.start().join();
    } catch (CompletionException e) {
      status.state("failed", "cannot listen");
      throw new RefluxException(
          "server: cannot listen on "
              + config.host()
              + ":"
              + config.port()
              + ": "
              + e.getCause().getMessage()
              + " (expected: a free port, see reflux.serve.port)",
          e);
    }
    server = listening;
    status.state("starting", "waiting for a snapshot on channel " + config.channel());
    subscriber.start();
    canary.ifPresent(SnapshotSubscriber::start);
    log.info("listening on {}", url());
  }

  private Server build() {
    var builder =
        Server.builder()
            .http(new InetSocketAddress(config.host(), config.port()))
            .requestTimeout(config.bodyTimeout())
            .idleTimeout(config.idleTimeout())
            .maxRequestLength(MAX_BODY_BYTES)
            .gracefulShutdownTimeout(Duration.ZERO, FLUSH_TIMEOUT)
            .disableServerHeader()
            // The HTTP library's own meters would drown ours in the status.
            .meterRegistry(new SimpleMeterRegistry());
    api.bind(builder);
    return builder.build();
  }

  /**
   * The port that it listens on.
   *
   * @throws IllegalStateException before the start
   */
  public synchronized int port() {
    ServerPort port = server == null ? null : server.activePort();
    if (port == null) {
      throw new IllegalStateException("server does not listen");
    }
    return port.localAddress().getPort();
  }

  /** Base address, without a slash at the end. */
  public String url() {
    return "http://" + config.host() + ":" + port();
  }

  /** The version that new requests get; empty before the first. */
  public OptionalLong servedVersion() {
    Optional<ServedModel> served = subscriber.current();
    return served.isPresent() ? OptionalLong.of(served.get().version()) : OptionalLong.empty();
  }

  /**
   * The model directory of the version that new requests get; empty before the first. It may be
   * deleted once other versions have taken its place.
   */
  public Optional<Path> servedDirectory() {
    return subscriber.current().map(ServedModel::directory);
  }

  /** Who wants to hear of swaps; best before the start. */
  public void addListener(SnapshotSubscriber.Listener listener) {
    subscriber.addListener(listener);
  }

  /** The version that the canary channel has in memory; empty for none. */
  public OptionalLong canaryVersion() {
    Optional<ServedModel> served = canary.flatMap(SnapshotSubscriber::current);
    return served.isPresent() ? OptionalLong.of(served.get().version()) : OptionalLong.empty();
  }

  /**
   * Who wants a copy of what is asked and answered; before the start. Called on a thread that
   * answers others as well, so it must be quick, and must not throw.
   */
  public void onServed(Consumer<ServedExchange> tap) {
    api.onServed(tap);
  }

  private int modelsInMemory() {
    return subscriber.modelsInMemory() + canary.map(SnapshotSubscriber::modelsInMemory).orElse(0);
  }

  /** The models, for use without HTTP. */
  public SnapshotSubscriber subscriber() {
    return subscriber;
  }

  @Override
  public CompletionStage<Void> termination() {
    return termination.minimalCompletionStage();
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (status != null) {
      status.state("draining", "requests in flight finish");
    }
    drain();
    canary.ifPresent(SnapshotSubscriber::close);
    subscriber.close();
    if (server != null) {
      server.stop().join();
    }
    if (status != null) {
      status.close();
    }
    termination.complete(null);
  }

  private void drain() {
    try {
      if (server != null && !api.drain(config.drainTimeout())) {
        log.warn("requests still ran after {}; they are broken off", config.drainTimeout());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void requireAtLeast(String name, int value, int least) {
    if (value < least) {
      throw new RefluxException(name + ": " + value + " (expected: at least " + least + ")");
    }
  }

  /** Swaps of the canary are not the server's state. */
  private final class CanaryReports implements SnapshotSubscriber.Listener {
    private final Counter failures =
        Counter.builder("canary_swap_failures_total")
            .description("Times that a version of the canary could not be taken into service")
            .register(meters);

    CanaryReports() {
      Gauge.builder("canary_version", ServerService.this, s -> s.canaryVersion().orElse(0))
          .description("Version that the canary's share gets; 0 before the first")
          .register(meters);
    }

    @Override
    public void reported(FleetReport report) {
      counted.accept(report);
    }

    @Override
    public void swapped(ServedModel now) {
      log.info("canary: version {}", now.version());
    }

    @Override
    public void problem(SnapshotException problem) {
      failures.increment();
    }
  }

  /** Turns swaps into meters and status. */
  private final class Reports implements SnapshotSubscriber.Listener {
    private final Counter swaps =
        Counter.builder("swaps_total").description("Versions taken into service").register(meters);
    private final Counter failures =
        Counter.builder("swap_failures_total")
            .description("Times that a version could not be taken into service")
            .register(meters);

    Reports() {
      Gauge.builder("served_version", ServerService.this, s -> s.servedVersion().orElse(0))
          .description("Version that new requests get; 0 before the first")
          .register(meters);
      Gauge.builder("models_in_memory", ServerService.this, ServerService::modelsInMemory)
          .description("Served, being loaded, or finishing requests, of all channels")
          .register(meters);
    }

    @Override
    public void reported(FleetReport report) {
      counted.accept(report);
    }

    @Override
    public void swapped(ServedModel now) {
      swaps.increment();
      report("running", "serving version " + now.version() + " of " + config.channel());
    }

    @Override
    public void problem(SnapshotException problem) {
      failures.increment();
      OptionalLong served = servedVersion();
      if (served.isPresent()) {
        report(
            "running",
            "serving version " + served.getAsLong() + "; refused: " + problem.getMessage());
      } else {
        report("starting", "refused: " + problem.getMessage());
      }
    }

    private void report(String state, String detail) {
      StatusReporter reporter = status;
      if (reporter != null) {
        reporter.state(state, detail);
      }
    }
  }
}
