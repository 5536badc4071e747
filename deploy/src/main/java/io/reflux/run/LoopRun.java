package io.reflux.run;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.cli.ConfigOptions;
import io.reflux.config.Settings;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.monitor.view.LoopState;
import io.reflux.monitor.view.LoopState.SegmentDrift;
import io.reflux.monitor.web.MonitorConfig;
import io.reflux.monitor.web.MonitorService;
import io.reflux.producers.MirrorConfig;
import io.reflux.producers.MirrorService;
import io.reflux.run.RunCommand.RunOptions;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.scorer.ScorerConfig;
import io.reflux.scorer.ScorerService;
import io.reflux.serving.ServerConfig;
import io.reflux.serving.ServerService;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotsConfig;
import io.reflux.trainer.TrainerConfig;
import io.reflux.trainer.TrainerService;
import java.awt.Desktop;
import java.io.IOException;
import java.io.PrintStream;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The loop in one process, from the first broker thread to the report. */
final class LoopRun {
  private static final Logger log = LoggerFactory.getLogger(LoopRun.class);
  private static final Duration REFRESH = Duration.ofMillis(500);
  private static final Duration DRAIN = Duration.ofSeconds(20);
  private static final Duration USUAL_DURATION = Duration.ofMinutes(5);
  private static final double USERS_PER_SECOND = 2;
  private static final String TEACHER_FILE = "teacher.fingerprint";
  private static final String RUNS_FILE = "runs";

  private final RunOptions options;
  private final ConfigOptions config;
  private final DataDirectory data;
  private final PrintStream out;

  /** What to close, in the reverse of the order it was opened. */
  private final Deque<AutoCloseable> open = new ArrayDeque<>();

  private final AtomicReference<String> failure = new AtomicReference<>();
  private MonitorConfig.Alert alert;
  private Traffic traffic;
  private ServedAgreement agreement;
  private LiveUsers users;
  private long started = System.nanoTime();
  private OptionalDouble shiftedAt = OptionalDouble.empty();

  LoopRun(RunOptions options, ConfigOptions config, DataDirectory data, PrintStream out) {
    this.options = options;
    this.config = config;
    this.data = data;
    this.out = out;
  }

  /**
   * Runs until the duration is over, somebody asks to stop, or a service fails.
   *
   * @throws RefluxException naming the service that failed and why
   */
  void execute(CountDownLatch stop) throws IOException, InterruptedException {
    TerminalView view = TerminalView.open(out);
    try {
      loop(stop, view);
    } finally {
      closeAll();
      view.close();
    }
    if (failure.get() != null) {
      throw new RefluxException(failure.get() + " (log: " + data.resolve("reflux.log") + ")");
    }
    if (!data.temporary()) {
      out.println("State kept in " + data.path() + "; the same command goes on from it.");
    }
    if (options.report() != null) {
      out.println("Report in " + options.report());
    }
  }

  private void loop(CountDownLatch stop, TerminalView view)
      throws IOException, InterruptedException {
    view.say("Reflux: starting Kafka and the schema registry in this process …");
    Path teacherDirectory =
        options.teacher() != null
            ? options.teacher()
            : BundledTeacher.unpack(data.resolve("teacher"));
    LanguageModel teacher = LanguageModel.load(teacherDirectory);
    refuseAnotherTeacher(teacher);
    String student =
        options.student() != null ? options.student() : StudentShape.tenthOf(teacher.config());
    DevStack stack = opened(DevStack.start(data.resolve("broker")));
    Settings settings = settings(stack, teacherDirectory, student);
    alert = settings.get(MonitorConfig.class).alert();
    KafkaClients clients = settings.clients();
    clients.createTopics();
    clients.registerSchemas();
    SnapshotAccess snapshots = settings.snapshots(clients);

    view.say("Reflux: starting the services …");
    traffic = Traffic.open(options, earlierRuns());
    agreement = opened(new ServedAgreement(teacher, traffic.heldOut()));
    ServerConfig serverConfig = settings.get(ServerConfig.class);
    MeterRegistry serverMeters = new SimpleMeterRegistry();
    ServerService server = new ServerService(serverConfig, snapshots, serverMeters);
    if (serverConfig.mirror()) {
      ServedMirror.attach(server, settings.get(MirrorConfig.class), clients, serverMeters);
    }
    MonitorService monitor =
        new MonitorService(settings.get(MonitorConfig.class), snapshots, new SimpleMeterRegistry());
    MirrorService mirror =
        new MirrorService(settings.get(MirrorConfig.class), clients, new SimpleMeterRegistry());
    server.addListener(agreement);
    start(monitor);
    start(new ScorerService(settings.get(ScorerConfig.class), clients, new SimpleMeterRegistry()));
    start(server);
    start(
        new TrainerService(
            settings.get(TrainerConfig.class), snapshots, new SimpleMeterRegistry()));
    start(mirror);

    Addresses addresses = Addresses.of(settings);
    view.say("page    " + addresses.page());
    view.say("mirror  " + addresses.mirror());
    view.say("server  " + addresses.server());
    // As other commands take them, such as labels show.
    view.say(
        "kafka   --bootstrap-servers %s --registry %s"
            .formatted(stack.kafkaConfig().bootstrapServers(), stack.registryConfig().url()));
    settings
        .get(SnapshotsConfig.class)
        .signingKey()
        .ifPresent(key -> view.say("signed  --set reflux.snapshots.signing-key=" + key));
    if (options.browser()) {
      browse(addresses.page());
    }
    long firstVersion = waitForFirstSnapshot(server, stop, view, monitor, addresses);
    started = System.nanoTime();
    agreement.clock(this::elapsed);
    traffic.start(mirror.mirror());
    opened(traffic);
    if (traffic.userPrompts() != null) {
      users = opened(new LiveUsers(addresses.server(), USERS_PER_SECOND, traffic.userPrompts()));
    }
    watch(stop, view, monitor, addresses);
    drain(view, monitor, addresses, firstVersion, teacher, student);
  }

  private long waitForFirstSnapshot(
      ServerService server,
      CountDownLatch stop,
      TerminalView view,
      MonitorService monitor,
      Addresses addresses)
      throws InterruptedException {
    while (server.servedVersion().isEmpty() && failure.get() == null) {
      if (stop.await(REFRESH.toMillis(), TimeUnit.MILLISECONDS)) {
        return 0;
      }
      view.show(monitor.view().state(), state("waiting for the first snapshot", addresses));
    }
    return server.servedVersion().orElse(0);
  }

  private void watch(
      CountDownLatch stop, TerminalView view, MonitorService monitor, Addresses addresses)
      throws InterruptedException {
    while (failure.get() == null && !over()) {
      if (stop.await(REFRESH.toMillis(), TimeUnit.MILLISECONDS)) {
        return;
      }
      if (shiftedAt.isEmpty() && dueToShift(monitor.view().state()) && traffic.shift()) {
        shiftedAt = OptionalDouble.of(elapsed().toMillis() / 1000.0);
      }
      view.show(monitor.view().state(), state(phase(monitor.view().state()), addresses));
    }
  }

  /** A shift shows best against a student that has learnt what came before. */
  private boolean dueToShift(LoopState loop) {
    if (options.shiftAfter() != null) {
      return !options.shiftAfter().isZero() && elapsed().compareTo(options.shiftAfter()) >= 0;
    }
    Duration whole = options.duration() == null ? USUAL_DURATION : options.duration();
    if (elapsed().compareTo(whole.multipliedBy(3).dividedBy(5)) >= 0) {
      return true;
    }
    SegmentDrift all = loop.drift().get(LoopState.ALL);
    if (all == null || elapsed().compareTo(whole.multipliedBy(2).dividedBy(5)) < 0) {
      return false;
    }
    int windows = alert.armWindows() + 1;
    int from = all.points().size() - windows;
    return from >= 0
        && all.points().subList(from, from + windows).stream()
            .allMatch(report -> report.getKlMean() < alert.clearThreshold());
  }

  private boolean over() {
    return options.duration() != null && elapsed().compareTo(options.duration()) >= 0;
  }

  private String phase(LoopState loop) {
    if (!loop.activeAlerts().isEmpty()) {
      return "drift alert: the student learns the new traffic";
    }
    if (shiftedAt.isPresent()) {
      return "traffic has shifted to requests that the student had hardly seen";
    }
    return loop.training().isPresent()
        ? "the student learns"
        : "the teacher answers its first requests";
  }

  /** Everything that was taken in is labelled, trained state is kept, and the figures are final. */
  private void drain(
      TerminalView view,
      MonitorService monitor,
      Addresses addresses,
      long firstVersion,
      LanguageModel teacher,
      String student)
      throws InterruptedException {
    view.say("Draining …");
    traffic.close();
    if (users != null) {
      users.close();
    }
    long deadline = System.nanoTime() + DRAIN.toNanos();
    CountDownLatch never = new CountDownLatch(1);
    while (System.nanoTime() < deadline
        && failure.get() == null
        && !drained(monitor.view().state())) {
      never.await(REFRESH.toMillis(), TimeUnit.MILLISECONDS);
      view.show(monitor.view().state(), state("draining", addresses));
    }
    agreement.await(DRAIN);
    RunState last = state("done", addresses);
    LoopState loop = monitor.view().state();
    view.show(loop, last);
    if (options.report() != null) {
      RunReport.write(
          options.report(),
          loop,
          last,
          new RunReport.RunFacts(
              StudentShape.parameters(teacher.config()),
              teacher.fingerprint(),
              student,
              agreement.studentParameters(),
              options.traffic(),
              options.rate(),
              traffic.heldOut().size(),
              agreement.positions(),
              shiftedAt),
          loop.snapshots().stream().filter(m -> m.getVersion() > firstVersion).count()
              + (firstVersion == 1 ? 1 : 0),
          agreement.swaps());
    }
  }

  private static boolean drained(LoopState loop) {
    return loop.lag("requests").orElse(0) == 0
        && loop.metric("mirror", "delivered_total").orElse(0)
            <= loop.metric("scorer", "labels_total").orElse(0)
                + loop.metric("scorer", "dead_letters_total").orElse(0);
  }

  private Duration elapsed() {
    return Duration.ofNanos(System.nanoTime() - started);
  }

  private RunState state(String phase, Addresses addresses) {
    return new RunState(
        elapsed(),
        options.duration(),
        phase,
        addresses.page(),
        addresses.mirror(),
        addresses.server(),
        agreement.measured(),
        users == null ? 0 : users.answered(),
        users == null ? 0 : users.failed());
  }

  private Settings settings(DevStack stack, Path teacher, String student) {
    Map<String, String> defaults = new LinkedHashMap<>();
    // The demonstration's pace: minutes, where production takes hours.
    defaults.put("reflux.train.snapshot-interval", "15s");
    defaults.put("reflux.monitor.window.size", "5s");
    defaults.put("reflux.monitor.window.grace", "1s");
    defaults.put("reflux.monitor.alert.raise-threshold", "0.4");
    defaults.put("reflux.monitor.alert.clear-threshold", "0.25");
    defaults.put("reflux.monitor.alert.arm-windows", "2");
    defaults.put("reflux.mirror.port", Integer.toString(Ports.freeFrom(7070)));
    defaults.put("reflux.serve.port", Integer.toString(Ports.freeFrom(7071)));
    defaults.put("reflux.monitor.port", Integer.toString(Ports.freeFrom(7072)));
    // Inside one process the page shows it all.
    defaults.put("reflux.score.http.port", "-1");
    defaults.put("reflux.train.http.port", "-1");
    // Signed and verified by default, with a key that never leaves this directory.
    // State of a build that did not sign goes on as it was.
    Path keys = data.resolve("keys");
    if (Files.exists(keys) || !Files.exists(data.resolve(RUNS_FILE))) {
      OwnKey key = OwnKey.in(keys);
      defaults.put("reflux.snapshots.signing-key", key.signingKey().toString());
      defaults.put("reflux.snapshots.trust", key.trust().toString());
    }
    Map<String, Object> flags = new LinkedHashMap<>();
    flags.put("reflux.kafka.bootstrap-servers", stack.kafkaConfig().bootstrapServers());
    flags.put("reflux.registry.url", stack.registryConfig().url());
    flags.put("reflux.score.teacher", teacher);
    // A name of its own lets a run that was killed take up its half-done work at once.
    flags.put("reflux.score.instance", "run");
    flags.put("reflux.train.teacher", teacher);
    flags.put("reflux.train.student", student);
    flags.put("reflux.train.seed", options.seed());
    flags.put("reflux.train.data-dir", data.resolve("trainer"));
    flags.put("reflux.serve.data-dir", data.resolve("server"));
    flags.put("reflux.monitor.data-dir", data.resolve("monitor"));
    return config.load(defaults, flags);
  }

  /** Labels of two teachers must not mix in one state. */
  private void refuseAnotherTeacher(LanguageModel teacher) throws IOException {
    Path file = data.resolve(TEACHER_FILE);
    if (Files.exists(file)) {
      String before = Files.readString(file).strip();
      if (!before.equals(teacher.fingerprint())) {
        throw new RefluxException(
            "--data-dir: "
                + data.path()
                + " belongs to teacher "
                + before
                + ", not to "
                + teacher.fingerprint()
                + " (expected: the same teacher, or another directory)");
      }
    } else {
      Files.writeString(file, teacher.fingerprint() + System.lineSeparator());
    }
  }

  /** Counts the runs on this state, this one not included. */
  private long earlierRuns() throws IOException {
    Path file = data.resolve(RUNS_FILE);
    long runs = Files.exists(file) ? Long.parseLong(Files.readString(file).strip()) : 0;
    Files.writeString(file, runs + 1 + System.lineSeparator());
    return runs;
  }

  private void start(Service service) {
    opened(service);
    service.start();
    service
        .termination()
        .whenComplete(
            (done, error) -> {
              if (error != null) {
                log.error("{} failed", service.name(), error);
                failure.compareAndSet(null, service.name() + ": " + rootMessage(error));
              }
            });
  }

  private static String rootMessage(Throwable error) {
    Throwable root = error;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return root.getMessage() == null ? root.toString() : root.getMessage();
  }

  private <T extends AutoCloseable> T opened(T resource) {
    open.push(resource);
    return resource;
  }

  private void closeAll() {
    List<String> problems = new ArrayList<>();
    while (!open.isEmpty()) {
      AutoCloseable resource = open.pop();
      try {
        resource.close();
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      } catch (Exception e) {
        // The others must still be closed; the first problem is reported at the end.
        log.error("closing {}", resource, e);
        problems.add(rootMessage(e));
      }
    }
    if (!problems.isEmpty()) {
      failure.compareAndSet(null, "while closing: " + problems.get(0));
    }
  }

  private static void browse(String url) {
    try {
      Desktop.getDesktop().browse(URI.create(url));
    } catch (IOException | UnsupportedOperationException | java.awt.AWTError e) {
      log.warn("no browser could be opened: {}", e.toString());
    }
  }

  /** Where the services listen. */
  private record Addresses(String page, String mirror, String server) {
    static Addresses of(Settings settings) {
      MonitorConfig monitor = settings.get(MonitorConfig.class);
      MirrorConfig mirror = settings.get(MirrorConfig.class);
      ServerConfig server = settings.get(ServerConfig.class);
      return new Addresses(
          "http://" + monitor.host() + ":" + monitor.port() + "/",
          "http://" + mirror.host() + ":" + mirror.port() + "/v1/mirror",
          "http://" + server.host() + ":" + server.port());
    }
  }
}
