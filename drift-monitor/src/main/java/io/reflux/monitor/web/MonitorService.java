package io.reflux.monitor.web;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.monitor.drift.AlertOptions;
import io.reflux.monitor.drift.DriftOptions;
import io.reflux.monitor.drift.DriftStreams;
import io.reflux.monitor.probe.DriftProbe;
import io.reflux.monitor.probe.ProbeOptions;
import io.reflux.monitor.view.LoopView;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.schemas.service.StatusReporter;
import io.reflux.snapshots.SnapshotAccess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;

/**
 * The drift monitor: probe, windows and alerts, loop view and page, as one service.
 *
 * <p>Several instances share the work through their consumer groups; each needs a data directory of
 * its own, and shows the same page.
 */
public final class MonitorService implements Service {
  private static final Duration REACH_LIMIT = Duration.ofSeconds(15);

  private final KafkaClients clients;
  private final MeterRegistry meters;
  private final LoopView view;
  private final MonitorPage page;
  private final DriftStreams streams;
  private final DriftProbe probe;
  private final CompletableFuture<Void> termination = new CompletableFuture<>();
  private StatusReporter status;
  private boolean started;
  private boolean closed;

  /**
   * @throws RefluxException when a value of the configuration is out of its range
   */
  public MonitorService(MonitorConfig config, SnapshotAccess snapshots, MeterRegistry meters) {
    this.clients = snapshots.clients();
    this.meters = meters;
    MonitorConfig.Alert alert = config.alert();
    AlertOptions alertOptions =
        new AlertOptions(
            alert.raiseThreshold(),
            alert.clearThreshold(),
            alert.raiseWindows(),
            alert.clearWindows(),
            alert.armWindows(),
            alert.minRequests());
    DriftOptions driftOptions =
        new DriftOptions(
            config.window().size(), config.window().grace(), config.maxSegments(), alertOptions);
    MonitorConfig.Probe probing = config.probe();
    ProbeOptions probeOptions =
        new ProbeOptions(
            RuntimeOptions.of(probing.threads(), probing.device()),
            probing.maxRequestsPerSecond(),
            probing.sampling(),
            probing.batchTokens(),
            probing.prequential());
    Path dataDir = config.dataDir().toAbsolutePath();
    this.view = new LoopView(clients, config.channel(), Clock.systemUTC());
    this.page =
        new MonitorPage(
            config.host(),
            config.port(),
            view::state,
            alertOptions,
            meters,
            () -> !termination.isDone());
    this.streams = new DriftStreams(clients, driftOptions, dataDir.resolve("windows"), meters);
    this.probe =
        new DriftProbe(
            snapshots,
            probeOptions,
            config.channel(),
            dataDir,
            "monitor-probe-" + instanceId(dataDir),
            meters);
  }

  /** Compares whatever is served, signed or not. */
  public MonitorService(MonitorConfig config, KafkaClients clients, MeterRegistry meters) {
    this(config, SnapshotAccess.unsigned(clients), meters);
  }

  @Override
  public String name() {
    return "monitor";
  }

  /** What the whole loop does; also for other displays in the same process. */
  public LoopView view() {
    return view;
  }

  /** The page's address, once started. */
  public String url() {
    return page.url();
  }

  @Override
  public synchronized void start() {
    if (started || closed) {
      throw new IllegalStateException("monitor was started already");
    }
    started = true;
    clients.requireReachable(REACH_LIMIT);
    status = new StatusReporter(name(), clients, meters);
    try {
      view.start();
      page.start();
      streams.start();
      probe.start();
    } catch (RuntimeException e) {
      status.state("failed", e.getMessage());
      throw e;
    }
    streams.termination().whenComplete((ok, failure) -> ended(failure));
    probe.termination().whenComplete((ok, failure) -> ended(failure));
    status.state("running", "page at " + page.url());
  }

  private void ended(Throwable failure) {
    if (failure != null && termination.completeExceptionally(failure)) {
      status.state("failed", failure.getMessage());
    }
  }

  @Override
  public CompletionStage<Void> termination() {
    return termination;
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (status != null && !termination.isCompletedExceptionally()) {
      status.state("draining", "");
    }
    probe.close();
    streams.close();
    if (status != null) {
      status.close();
    }
    page.close();
    view.close();
    termination.complete(null);
  }

  /**
   * The same after a restart, so that the transactions of a killed run are ended at once; different
   * for every data directory, so that no two monitors end each other's.
   */
  private static String instanceId(Path dataDir) {
    Path file = dataDir.resolve("instance-id");
    try {
      Files.createDirectories(dataDir);
      if (Files.exists(file)) {
        String id = Files.readString(file).strip();
        if (!id.isEmpty()) {
          return id;
        }
      }
      String id = UUID.randomUUID().toString();
      Files.writeString(file, id + "\n");
      return id;
    } catch (IOException e) {
      throw new RefluxException(
          "reflux.monitor.data-dir: " + dataDir + ": " + e + " (expected: a writable folder)", e);
    }
  }
}
