package io.reflux.bench.soak;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.ChildJvm;
import io.reflux.bench.ProcessMemory;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.bench.kafka.Configs;
import io.reflux.bench.kafka.LabelLedger;
import io.reflux.bench.kafka.TrainerProcess;
import io.reflux.devstack.DevStack;
import io.reflux.producers.GeneratedTraffic;
import io.reflux.producers.MirrorConfig;
import io.reflux.producers.MirrorService;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.scorer.ScorerService;
import io.reflux.serving.ServerConfig;
import io.reflux.serving.ServerService;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** The loop for a long time, with traffic that shifts on the way. */
public final class SoakBenchmark implements Benchmark {
  private static final List<String> TRAINER_FLAGS =
      List.of(
          // Of one size and resident from the start: what grows is native.
          "-Xms384m",
          "-Xmx384m",
          "-XX:+AlwaysPreTouch",
          "-XX:+UseSerialGC",
          "-XX:MaxDirectMemorySize=256m",
          // As the launcher's.
          "-XX:+IgnoreUnrecognizedVMOptions",
          "-XX:TrimNativeHeapInterval=10000");

  private static final double MIB = 1 << 20;
  private static final Duration FIRST_SNAPSHOT_WITHIN = Duration.ofMinutes(10);
  private static final Duration TRAINER_ENDS_WITHIN = Duration.ofMinutes(2);

  private final Size chosen;

  /**
   * How much to do.
   *
   * @param duration unless the command says otherwise
   * @param every time between samples
   * @param requestsPerSecond mirrored; the teacher answers them
   * @param trainer settings of it, by key without prefix
   */
  record Size(
      Duration duration,
      Duration every,
      double requestsPerSecond,
      Map<String, String> trainer,
      SoakVerdict.Bounds bounds) {

    static final Size FULL =
        new Size(
            Duration.ofHours(2),
            Duration.ofSeconds(5),
            10,
            Map.of("snapshot-interval", "60s", "checkpoint-interval", "30s"),
            new SoakVerdict.Bounds(0.25, 16, 0.03, 2000));

    /** Too short to tell a leak from a warm-up; it tells that the loop runs. */
    static final Size QUICK =
        new Size(
            Duration.ofSeconds(90),
            Duration.ofSeconds(1),
            10,
            Map.of("snapshot-interval", "10s", "checkpoint-interval", "10s"),
            new SoakVerdict.Bounds(0.5, 64, 0.25, 2000));
  }

  public SoakBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  SoakBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "soak";
  }

  @Override
  public String description() {
    return "the loop for hours: the trainer's memory, lag, loss and agreement over time";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.TEACHER, BenchmarkOption.DURATION, BenchmarkOption.PLOT);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    Duration duration = options.duration().orElse(size.duration());
    Result.Builder result = new Result.Builder(name());
    try (WorkFolder folder = WorkFolder.create("reflux-bench-soak-");
        Loop loop = new Loop(options, size, folder.path())) {
      List<SoakSample> samples = loop.run(duration, options.plot(), progress);
      report(samples, size, loop, result);
    }
    return result
        .condition("duration", duration.toString())
        .condition("requests_per_second", size.requestsPerSecond())
        .condition("trainer", "a process of its own, " + String.join(" ", TRAINER_FLAGS))
        .condition("trainer_settings", size.trainer().toString())
        .condition("traffic", "generated, shifts in the middle; the teacher answers")
        .condition("bounds", size.bounds().toString())
        .build();
  }

  private static void report(
      List<SoakSample> samples, Size size, Loop loop, Result.Builder result) {
    SoakVerdict verdict = new SoakVerdict(samples, size.bounds());
    SoakSample last = samples.get(samples.size() - 1);
    result
        .sample("seconds", last.seconds(), "s")
        .sample("rss_slope", verdict.slope(), "MiB/h")
        .sample("rss_growth", verdict.growth(), "MiB")
        .sample("rss_median", verdict.median(SoakSample::trainerMiB), "MiB")
        .sample("rss_peak", verdict.most(SoakSample::trainerMiB), "MiB")
        .sample("loop_rss_slope", verdict.loopSlope(), "MiB/h")
        .sample("lag_median", verdict.median(SoakSample::lag), "records")
        .sample("lag_peak", verdict.most(SoakSample::lag), "records")
        .sample("loss_last", last.loss(), "nats")
        .sample("agreement_last", last.agreement(), "")
        .sample("steps", last.steps(), "")
        .count("snapshots_served", last.served())
        .count("dead_letters", loop.deadLetters());
    verdict.failures().forEach(result::failure);
    loop.failures().forEach(result::failure);
    if (last.served() == 0) {
      result.failure("snapshots: none was served (expected: some)");
    }
    List<List<Object>> rows = new ArrayList<>();
    for (SoakSample sample : samples) {
      rows.add(
          Arrays.asList(
              sample.seconds(),
              sample.trainerMiB(),
              sample.loopMiB(),
              number(sample.lag()),
              number(sample.loss()),
              number(sample.agreement()),
              number(sample.steps()),
              sample.served()));
    }
    result.table(
        new Result.Table(
            "samples",
            List.of(
                "seconds",
                "trainer_mib",
                "loop_mib",
                "lag",
                "loss",
                "agreement",
                "steps",
                "served"),
            thinned(rows)));
  }

  /** A table is for people too: at most 120 lines. */
  private static List<List<Object>> thinned(List<List<Object>> rows) {
    int every = Math.max(1, (rows.size() + 119) / 120);
    List<List<Object>> some = new ArrayList<>();
    for (int i = 0; i < rows.size(); i += every) {
      some.add(rows.get(i));
    }
    return some;
  }

  private static Object number(double value) {
    return Double.isNaN(value) ? null : value;
  }

  /** Broker, services and the trainer's process. */
  private static final class Loop implements AutoCloseable {
    private final Size size;
    private final Deque<AutoCloseable> open = new ArrayDeque<>();
    private final AtomicReference<String> failure = new AtomicReference<>();
    private final KafkaClients clients;
    private final ServerService server;
    private final MirrorService mirror;
    private final ChildJvm trainer;
    private final Path trainerLog;
    private long deadLetters;
    private double snapshotFailures;
    private double checkpointFailures;

    Loop(BenchmarkOptions options, Size size, Path folder) throws IOException {
      this.size = size;
      Path teacher = options.requireTeacher();
      DevStack stack = opened(DevStack.start(folder.resolve("kafka")));
      clients = stack.clients();
      clients.createTopics();
      clients.registerSchemas();
      start(
          new ScorerService(
              Configs.scorer(
                  Map.of("teacher", teacher.toString(), "http.port", "-1", "instance", "soak")),
              clients,
              new SimpleMeterRegistry()));
      server =
          new ServerService(
              Configs.of(
                  ServerConfig.class,
                  "reflux.serve.",
                  Map.of("port", "0", "data-dir", folder.resolve("server").toString())),
              clients,
              new SimpleMeterRegistry());
      start(server);
      mirror =
          new MirrorService(
              Configs.of(MirrorConfig.class, "reflux.mirror.", Map.of("port", "0")),
              clients,
              new SimpleMeterRegistry());
      start(mirror);
      trainerLog = folder.resolve("trainer.log");
      trainer = opened(startTrainer(stack, teacher, folder));
    }

    private ChildJvm startTrainer(DevStack stack, Path teacher, Path folder) throws IOException {
      KafkaConfig kafka = stack.kafkaConfig();
      List<String> arguments =
          new ArrayList<>(
              List.of(
                  kafka.bootstrapServers(),
                  kafka.prefix(),
                  stack.registryConfig().url(),
                  "teacher=" + teacher,
                  "data-dir=" + folder.resolve("trainer"),
                  "http.port=-1"));
      size.trainer().forEach((key, value) -> arguments.add(key + "=" + value));
      return ChildJvm.start(TrainerProcess.class, TRAINER_FLAGS, arguments, trainerLog);
    }

    List<SoakSample> run(Duration duration, Optional<Path> plot, PrintWriter progress)
        throws IOException, InterruptedException {
      SupportDeskLanguage language = SupportDeskLanguage.standard();
      List<SoakSample> samples = new ArrayList<>();
      try (StatusWatch status = new StatusWatch(clients);
          GeneratedTraffic traffic =
              new GeneratedTraffic(
                  mirror.mirror(),
                  language,
                  TrafficMix.initial(language),
                  size.requestsPerSecond(),
                  1)) {
        awaitFirstSnapshot(progress);
        traffic.start();
        long started = System.nanoTime();
        boolean shifted = false;
        long said = 0;
        while (failure.get() == null) {
          double seconds = (System.nanoTime() - started) / 1e9;
          if (seconds >= duration.toMillis() / 1e3) {
            break;
          }
          if (!shifted && seconds >= duration.toMillis() / 2e3) {
            traffic.shift();
            shifted = true;
          }
          if (trainer.awaitEnd(size.every().toMillis(), TimeUnit.MILLISECONDS)) {
            failure.compareAndSet(null, "trainer: its process ended: " + lastWords());
            break;
          }
          status.poll(Duration.ofMillis(200));
          samples.add(sample((System.nanoTime() - started) / 1e9, status));
          snapshotFailures = status.figure("trainer", "snapshot_failures");
          checkpointFailures = status.figure("trainer", "checkpoint_failures");
          if (seconds >= said) {
            said += 30;
            say(samples.get(samples.size() - 1), progress);
            if (plot.isPresent()) {
              SoakPlot.write(plot.get(), samples);
            }
          }
        }
      }
      finish();
      if (samples.isEmpty()) {
        throw new RefluxException("bench: soak: nothing was sampled: " + failure.get());
      }
      if (plot.isPresent()) {
        SoakPlot.write(plot.get(), samples);
      }
      return samples;
    }

    /** The trainer offers its student as it is at the start; before, there is nothing to watch. */
    private void awaitFirstSnapshot(PrintWriter progress) throws IOException, InterruptedException {
      progress.println("waiting for the first snapshot");
      progress.flush();
      long deadline = System.nanoTime() + FIRST_SNAPSHOT_WITHIN.toNanos();
      while (server.servedVersion().isEmpty() && failure.get() == null) {
        if (trainer.awaitEnd(200, TimeUnit.MILLISECONDS)) {
          throw new RefluxException("bench: the trainer's process ended: " + lastWords());
        }
        if (System.nanoTime() > deadline) {
          throw new RefluxException("bench: no snapshot within " + FIRST_SNAPSHOT_WITHIN);
        }
      }
    }

    private SoakSample sample(double seconds, StatusWatch status) throws IOException {
      return new SoakSample(
          seconds,
          mib(ProcessMemory.resident(trainer.pid())),
          ProcessMemory.resident() / MIB,
          status.figure("trainer", "labels_lag"),
          status.figure("trainer", "train_loss"),
          status.figure("trainer", "held_out_agreement"),
          status.figure("trainer", "train_step"),
          server.servedVersion().orElse(0));
    }

    private static double mib(OptionalLong bytes) {
      // A process that is gone has none.
      return bytes.isPresent() ? bytes.getAsLong() / MIB : Double.NaN;
    }

    private static void say(SoakSample now, PrintWriter progress) {
      progress.printf(
          Locale.ROOT,
          "%.0f s: trainer %.0f MiB, loop %.0f MiB, lag %.0f, loss %.4f, agreement %.4f, step %.0f,"
              + " version %d%n",
          now.seconds(),
          now.trainerMiB(),
          now.loopMiB(),
          now.lag(),
          now.loss(),
          now.agreement(),
          now.steps(),
          now.served());
      progress.flush();
    }

    private void finish() throws IOException, InterruptedException {
      deadLetters = LabelLedger.deadLetters(clients).size();
      trainer.endInput();
      if (!trainer.awaitEnd(TRAINER_ENDS_WITHIN.toSeconds(), TimeUnit.SECONDS)) {
        failure.compareAndSet(null, "trainer: not ended within " + TRAINER_ENDS_WITHIN);
      } else if (trainer.exitCode() != 0) {
        failure.compareAndSet(null, "trainer: " + lastWords());
      }
    }

    private String lastWords() throws IOException {
      List<String> lines = Files.readAllLines(trainerLog);
      return String.join(" | ", lines.subList(Math.max(0, lines.size() - 5), lines.size()));
    }

    long deadLetters() {
      return deadLetters;
    }

    List<String> failures() {
      List<String> failures = new ArrayList<>();
      if (failure.get() != null) {
        failures.add(failure.get());
      }
      if (snapshotFailures > 0) {
        failures.add("snapshots not published: %.0f (expected: 0)".formatted(snapshotFailures));
      }
      if (checkpointFailures > 0) {
        failures.add("checkpoints not written: %.0f (expected: 0)".formatted(checkpointFailures));
      }
      if (deadLetters > 0) {
        failures.add("dead letters: " + deadLetters + " (expected: 0)");
      }
      return failures;
    }

    private void start(Service service) {
      opened(service);
      service.start();
      var unused =
          service
              .termination()
              .whenComplete(
                  (done, error) -> {
                    if (error != null) {
                      failure.compareAndSet(null, service.name() + ": " + error);
                    }
                  });
    }

    private <T extends AutoCloseable> T opened(T resource) {
      open.push(resource);
      return resource;
    }

    @Override
    public void close() throws Exception {
      while (!open.isEmpty()) {
        open.pop().close();
      }
    }
  }
}
