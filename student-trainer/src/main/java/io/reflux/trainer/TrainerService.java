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
  private final KafkaClients clients;
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
  public TrainerService(TrainerConfig config, KafkaClients clients, MeterRegistry meters) {
    this.config = config;
    this.clients = clients;
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

  @Override
  public String name() {
    return "trainer";
  }

  @Override
  public synchronized void start() {
    if (closed || thread != null) {
      throw new IllegalStateException("trainer: started or closed before");
    }
    requireSane(config);
    operations =
        OperationsServer.start(
            config.http().host(),
            config.http().port(),
            registry,
            health,
            pages -> TrainerPage.add(pages, this::view));
    status = new StatusReporter(name(), clients, registry);
    boolean started = false;
    try {
      Torch.start();
      LanguageModel teacher =
          LanguageModel.load(
              config
                  .teacher()
                  .orElseThrow(
                      () ->
                          new RefluxException(
                              "reflux.train.teacher: missing (expected: a Hugging Face directory)")));
      TrainingLoop opened =
          TrainingLoop.open(
              config, clients, teacher, new TrainerMeters(registry), health, this::tell);
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

  private static void requireSane(TrainerConfig config) {
    require(
        config.learningRate() > 0 && config.learningRate() < 1,
        "learning-rate",
        config.learningRate(),
        "above 0, below 1");
    require(config.batchTokens() > 0, "batch-tokens", config.batchTokens(), "1 or more");
    require(
        isShare(config.crossEntropyShare()),
        "cross-entropy-share",
        config.crossEntropyShare(),
        "0 to 1");
    require(
        isShare(config.heldOutFraction()), "held-out-fraction", config.heldOutFraction(), "0 to 1");
    require(isShare(config.recentShare()), "recent-share", config.recentShare(), "0 to 1");
    require(
        config.lambda() >= 0 && config.lambda() < 1,
        "lambda",
        config.lambda(),
        "0 to below 1: something must bring new prompts");
    require(config.heldOutSize() > 0, "held-out-size", config.heldOutSize(), "1 or more");
    require(
        config.validationSteps() > 0, "validation-steps", config.validationSteps(), "1 or more");
    require(
        config.intakeSequences() > 0, "intake-sequences", config.intakeSequences(), "1 or more");
    require(config.minimumLabels() > 0, "minimum-labels", config.minimumLabels(), "1 or more");
    require(config.maxReuse() > 0, "max-reuse", config.maxReuse(), "above 0");
    require(config.replaySize() > 0, "replay-size", config.replaySize(), "1 or more");
    require(config.recentSize() > 0, "recent-size", config.recentSize(), "1 or more");
    require(config.rolloutSize() > 0, "rollout-size", config.rolloutSize(), "1 or more");
    require(config.rolloutSlots() > 0, "rollout-slots", config.rolloutSlots(), "1 or more");
    require(
        config.rolloutMaxTokens() > 0,
        "rollout-max-tokens",
        config.rolloutMaxTokens(),
        "1 or more");
    require(
        config.rolloutRefreshSteps() > 0,
        "rollout-refresh-steps",
        config.rolloutRefreshSteps(),
        "1 or more");
    require(
        config.rolloutTemperature() > 0,
        "rollout-temperature",
        config.rolloutTemperature(),
        "above 0");
    require(config.rolloutSupport() > 0, "rollout-support", config.rolloutSupport(), "1 or more");
    require(
        config.rolloutsInFlight() > 0,
        "rollouts-in-flight",
        config.rolloutsInFlight(),
        "1 or more");
    require(config.maxStaleness() > 0, "max-staleness", config.maxStaleness(), "1 or more");
    require(
        !config.snapshotInterval().isNegative() && !config.snapshotInterval().isZero(),
        "snapshot-interval",
        config.snapshotInterval(),
        "a positive time");
    require(
        !config.checkpointInterval().isNegative() && !config.checkpointInterval().isZero(),
        "checkpoint-interval",
        config.checkpointInterval(),
        "a positive time");
    require(
        config.checkpointSteps().orElse(1) > 0,
        "checkpoint-steps",
        config.checkpointSteps().orElse(1),
        "1 or more");
    require(
        config.checkpointRetention() > 0,
        "checkpoint-retention",
        config.checkpointRetention(),
        "1 or more");
    require(
        config.stopAtStep().orElse(1) > 0,
        "stop-at-step",
        config.stopAtStep().orElse(1),
        "1 or more");
    require(config.gateTolerance() >= 0, "gate-tolerance", config.gateTolerance(), "0 or more");
    require(
        config.gateSegmentMinimum() >= 2,
        "gate-segment-minimum",
        config.gateSegmentMinimum(),
        "2 or more");
    if (config.gateMinimumAgreement().isPresent()) {
      double least = config.gateMinimumAgreement().getAsDouble();
      require(isShare(least), "gate-minimum-agreement", least, "0 to 1");
    }
    require(config.threads() > 0, "threads", config.threads(), "1 or more");
    require(
        !config.gate() || config.heldOutFraction() > 0,
        "gate",
        true,
        "false, or a held-out-fraction above 0 to measure on");
  }

  private static boolean isShare(double value) {
    return value >= 0 && value <= 1;
  }

  private static void require(boolean holds, String key, Object value, String expected) {
    if (!holds) {
      throw new RefluxException(
          "reflux.train.%s: %s (expected: %s)".formatted(key, value, expected));
    }
  }
}
