package io.reflux.trainer;

import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.operations.Health;
import io.reflux.operations.OperationsServer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.schemas.service.StatusReporter;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.trainer.nn.Torch;
import io.reflux.trainer.watch.RunView;
import io.reflux.trainer.watch.RunWatch;
import io.reflux.trainer.watch.TrainerPage;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Trains a student on the teacher's labels for as long as it runs, and publishes it again and
 * again. The same data directory goes on where the last checkpoint was.
 */
public final class TrainerService implements Service {
  private static final Logger log = LoggerFactory.getLogger(TrainerService.class);

  private final TrainerConfig config;
  private final SnapshotAccess snapshots;
  private final MeterRegistry registry;
  private final Health health = Health.waitingFor(Checkpoints.PART, TrainingLoop.LABELS);
  private final RunView starting;
  private final CompletableFuture<Void> termination = new CompletableFuture<>();
  private OperationsServer operations;
  private StatusReporter status;
  private TrainingLoop loop;
  private volatile RunWatch watch;
  private Thread thread;
  private boolean closed;

  /**
   * @param meters the service's own; shown at {@code /metrics} if they are for Prometheus
   */
  public TrainerService(TrainerConfig config, SnapshotAccess snapshots, MeterRegistry meters) {
    this.config = config;
    this.snapshots = snapshots;
    this.registry = meters;
    this.starting =
        new RunView(
            config.studentName(),
            "",
            Instant.now(),
            SettingsText.of(config),
            Optional.empty(),
            List.of(),
            List.of(),
            List.of());
  }

  /** Publishes unsigned. */
  public TrainerService(TrainerConfig config, KafkaClients clients, MeterRegistry meters) {
    this(config, SnapshotAccess.unsigned(clients), meters);
  }

  @Override
  public String name() {
    return "trainer";
  }

  @Override
  public synchronized void start() {
    if (closed || thread != null) {
      throw new IllegalStateException("trainer: started or closed before");
    }
    TrainerChecks.requireSane(config);
    operations =
        OperationsServer.start(
            config.http().host(),
            config.http().port(),
            registry,
            health,
            pages -> TrainerPage.add(pages, this::view));
    status = new StatusReporter(name(), snapshots.clients(), registry);
    boolean started = false;
    try {
      Torch.start();
      LanguageModel teacher = teacher(config);
      TrainingLoop opened =
          TrainingLoop.open(
              config, snapshots, teacher, new TrainerMeters(registry), health, this::tell);
      loop = opened;
      watch = opened.watch();
      thread = new Thread(() -> run(opened), "reflux-trainer");
      thread.start();
      started = true;
    } catch (ModelException e) {
      throw new RefluxException(e.getMessage(), e);
    } finally {
      if (!started) {
        status.state("failed", "did not start");
        status.close();
        operations.close();
      }
    }
  }

  /**
   * The teacher that labels are checked by.
   *
   * @throws RefluxException if none is named
   */
  static LanguageModel teacher(TrainerConfig config) {
    return LanguageModel.load(
        config
            .teacher()
            .orElseThrow(
                () ->
                    new RefluxException(
                        "reflux.train.teacher: missing (expected: a Hugging Face directory)")));
  }

  /** The run as it stands; without anything in it before it has begun. */
  public RunView view() {
    RunWatch begun = watch;
    return begun == null ? starting : begun.view();
  }

  /** Of the latest snapshot, while nothing more pressing is to be told. */
  private synchronized void tell(String news) {
    if (!closed) {
      status.state("running", config.studentName() + ": " + news);
    }
  }

  /** Where the page, {@code /metrics} and health are, after {@link #start}. */
  public synchronized int port() {
    return operations.port();
  }

  @Override
  public CompletionStage<Void> termination() {
    return termination.minimalCompletionStage();
  }

  @Override
  public void close() {
    Thread running;
    synchronized (this) {
      closed = true;
      running = thread;
      if (running == null) {
        termination.complete(null);
        return;
      }
      loop.stop();
    }
    health.notReady("service", "draining");
    if (running.isAlive()) {
      status.state("draining", "finishing the step, then a checkpoint");
    }
    boolean interrupted = false;
    while (running.isAlive()) {
      try {
        running.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    status.close();
    operations.close();
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private void run(TrainingLoop training) {
    status.state("running", config.studentName());
    Throwable failure = null;
    try (training) {
      training.run();
    } catch (RuntimeException | Error e) {
      failure = e;
      health.failed(e.getMessage());
      log.error("Trainer failed: {}", e.getMessage(), e);
      status.state("failed", String.valueOf(e.getMessage()));
    } finally {
      if (failure == null) {
        termination.complete(null);
      } else {
        termination.completeExceptionally(failure);
      }
    }
  }
}
