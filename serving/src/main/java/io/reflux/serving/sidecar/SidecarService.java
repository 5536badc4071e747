package io.reflux.serving.sidecar;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.operations.Health;
import io.reflux.operations.OperationsServer;
import io.reflux.schemas.avro.FleetStage;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.schemas.service.StatusReporter;
import io.reflux.serving.sidecar.VersionFolder.Taken;
import io.reflux.snapshots.FetchedSnapshot;
import io.reflux.snapshots.FleetMember;
import io.reflux.snapshots.FleetReporter;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotFetcher;
import io.reflux.snapshots.SnapshotFormat;
import io.reflux.snapshots.SnapshotWatcher;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows a channel for a fleet that is not ours: fetches and verifies each version, lays it into a
 * folder, points {@code current} to it, and asks the runtime to read it. If the runtime will not,
 * {@code current} is the version before again, and the reason goes upstream.
 *
 * <p>It can be killed at any moment: what is in the folder is whole, and the next start goes on
 * where this one was, without asking the runtime again for what it took already.
 */
public final class SidecarService implements Service {
  private static final Logger log = LoggerFactory.getLogger(SidecarService.class);
  private static final Duration REACH_TIMEOUT = Duration.ofSeconds(15);
  private static final String PART = "version";
  private static final int LEAST_KEPT = 2;

  private final SidecarConfig config;
  private final SnapshotAccess access;
  private final KafkaClients clients;
  private final MeterRegistry meters;
  private final SnapshotFormat format;
  private final Path path;
  private final Optional<Webhook> webhook;
  private final Counter swaps;
  private final Counter failures;
  private final Health health = Health.waitingFor(PART);
  private final CompletableFuture<Void> termination = new CompletableFuture<>();

  private volatile OptionalLong served = OptionalLong.empty();
  private VersionFolder folder;
  private SnapshotFetcher fetcher;
  private FleetReporter reporter;
  private SnapshotWatcher watcher;
  private StatusReporter status;
  private OperationsServer operations;
  private boolean closed;

  /**
   * @param meters the service's own; shown at {@code /metrics} if they are for Prometheus
   * @throws RefluxException one line that names a key that cannot be
   */
  public SidecarService(SidecarConfig config, SnapshotAccess access, MeterRegistry meters) {
    this.config = config;
    this.access = access;
    this.clients = access.clients();
    this.meters = meters;
    this.format = SnapshotFormat.parse(config.format());
    this.path =
        config
            .folder()
            .orElseThrow(
                () ->
                    new RefluxException(
                        "reflux.sidecar.folder: missing (expected: where versions are laid)"));
    if (config.keepVersions() < LEAST_KEPT) {
      throw new RefluxException(
          "reflux.sidecar.keep-versions: "
              + config.keepVersions()
              + " (expected: at least "
              + LEAST_KEPT
              + ")");
    }
    this.webhook = Webhook.of(config);
    this.swaps =
        Counter.builder("swaps_total").description("Versions taken into service").register(meters);
    this.failures =
        Counter.builder("swap_failures_total")
            .description("Times that a version could not be taken into service")
            .register(meters);
    Gauge.builder("served_version", this, sidecar -> sidecar.served.orElse(0))
        .description("Version that the runtime took last; 0 before the first")
        .register(meters);
  }

  @Override
  public String name() {
    return "sidecar";
  }

  @Override
  public synchronized void start() {
    if (folder != null || closed) {
      throw new IllegalStateException("sidecar was started or closed already");
    }
    folder = VersionFolder.open(path);
    boolean started = false;
    try {
      operations =
          OperationsServer.start(config.http().host(), config.http().port(), meters, health);
      clients.requireReachable(REACH_TIMEOUT);
      fetcher = new SnapshotFetcher(access, folder.own().resolve("cache"));
      reporter =
          new FleetReporter(
              clients, FleetMember.of(config.fleet(), name(), path), config.channel());
      reporter.addListener(FleetReporter.counting(meters));
      status = new StatusReporter(name(), clients, meters);
      folder.taken().ifPresent(taken -> serves(taken.version()));
      status.state("starting", "waiting for channel " + config.channel());
      watcher =
          new SnapshotWatcher(
              access,
              config.channel(),
              folder.own().resolve("served-" + config.channel() + ".json"),
              new Moves());
      watcher.start();
      started = true;
    } finally {
      if (!started) {
        release();
      }
    }
    log.info("laying {} of channel {} into {}", format, config.channel(), path);
  }

  /** Where {@code /metrics} and health are, after {@link #start}. */
  public synchronized int port() {
    return operations.port();
  }

  /** The version that the runtime took last; empty before the first. */
  public OptionalLong servedVersion() {
    return served;
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
    webhook.ifPresent(Webhook::close);
    if (watcher != null) {
      watcher.close();
    }
    release();
    termination.complete(null);
  }

  private void release() {
    if (reporter != null) {
      reporter.close();
    }
    if (status != null) {
      status.close();
    }
    if (operations != null) {
      operations.close();
    }
    if (folder != null) {
      folder.close();
    }
  }

  private void serves(long version) {
    served = OptionalLong.of(version);
    health.ready(PART);
  }

  /** What the channel does; on the watcher's thread. */
  private final class Moves implements SnapshotWatcher.Listener {
    @Override
    public void moved(SnapshotPointer pointer) {
      swapTo(pointer);
    }

    @Override
    public void settled(SnapshotPointer pointer) {
      reporter.serves(pointer);
      status.state(
          "running", "serving version " + pointer.getVersion() + " of " + config.channel());
    }

    @Override
    public void refused(SnapshotPointer pointer, SnapshotException problem) {
      tell(problem);
      reporter.refuses(pointer, problem, served);
    }

    @Override
    public void problem(SnapshotException problem) {
      tell(problem);
      reporter.hears(problem, served);
    }

    private void tell(SnapshotException problem) {
      log.warn("channel {}: {}", config.channel(), problem.getMessage());
      failures.increment();
      String refused = "refused: " + problem.getMessage();
      if (served.isPresent()) {
        status.state("running", "serving version " + served.getAsLong() + "; " + refused);
      } else {
        status.state("starting", refused);
        health.notReady(PART, refused);
      }
    }
  }

  private void swapTo(SnapshotPointer pointer) {
    reporter.begins(pointer);
    FetchedSnapshot snapshot = fetcher.fetch(pointer, format);
    reporter.reaches(FleetStage.FLIP);
    long version = snapshot.version();
    Taken next =
        new Taken(
            version,
            folder.stage(version, layout(snapshot)),
            snapshot.manifest().getStudentFingerprint());
    boolean known =
        folder.taken().filter(next::equals).isPresent()
            && folder.pointedTo().filter(next.name()::equals).isPresent();
    if (!known) {
      folder.flip(next.name());
      webhook.ifPresent(hook -> ask(hook, next));
      folder.take(next);
      swaps.increment();
      log.info("channel {}: version {} is current", config.channel(), version);
    }
    serves(version);
    fetcher.retain(Set.of(version));
    folder.prune(config.keepVersions());
  }

  /** Returns when the runtime took it; else everything is as it was, and this throws. */
  private void ask(Webhook hook, Taken next) {
    reporter.reaches(FleetStage.WEBHOOK);
    Webhook.Result result = hook.call(told(next));
    if (result.isTaken()) {
      return;
    }
    String problem = result.problem().orElseThrow();
    Optional<Taken> before = folder.taken().filter(taken -> !taken.equals(next));
    String now;
    if (before.isEmpty()) {
      // A runtime that has yet to start needs something to start from.
      now = "it stays current, for there is none before it";
    } else {
      folder.flip(before.get().name());
      now = "version " + before.get().version() + " is current again";
      if (!result.answered()) {
        // It may have read the new one without saying so.
        Webhook.Result back = hook.once(told(before.get()));
        now +=
            back.isTaken()
                ? ", and asked for again"
                : ", but asked for in vain: " + back.problem().orElseThrow();
      }
    }
    throw new SnapshotException(
        SnapshotException.Kind.REFUSED, "snapshot " + next.version() + ": " + problem + "; " + now);
  }

  private Moved told(Taken taken) {
    return new Moved(
        config.channel(),
        taken.version(),
        folder.directory(taken.name()),
        folder.current(),
        format.toString(),
        taken.fingerprint());
  }

  /** What all formats share lies beside the format's own files; its own win. */
  private static Map<String, Path> layout(FetchedSnapshot snapshot) {
    Path own = snapshot.modelDirectory();
    Map<String, Path> files = new TreeMap<>();
    try (Stream<Path> walk = Files.walk(snapshot.directory())) {
      for (Path file : walk.filter(Files::isRegularFile).toList()) {
        if (file.startsWith(own)) {
          files.put(own.relativize(file).toString(), file);
        } else {
          files.putIfAbsent(snapshot.directory().relativize(file).toString(), file);
        }
      }
    } catch (IOException e) {
      throw new SnapshotException(
          SnapshotException.Kind.STORAGE,
          "sidecar: cannot list " + snapshot.directory() + ": " + e,
          e);
    }
    return files;
  }
}
