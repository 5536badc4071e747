package io.reflux.cli;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.config.Settings;
import io.reflux.monitor.web.MonitorConfig;
import io.reflux.monitor.web.MonitorService;
import io.reflux.operations.PrometheusMeters;
import io.reflux.producers.MirrorConfig;
import io.reflux.producers.MirrorService;
import io.reflux.run.ServedMirror;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.schemas.service.Service;
import io.reflux.scorer.ScorerConfig;
import io.reflux.scorer.ScorerService;
import io.reflux.serving.ServerConfig;
import io.reflux.serving.ServerService;
import io.reflux.trainer.DryRun;
import io.reflux.trainer.TrainerConfig;
import io.reflux.trainer.TrainerService;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** One service in this process, until Ctrl-C. */
abstract class ServiceCommand implements Callable<Integer> {
  private static final Duration REACHABLE = Duration.ofSeconds(15);

  @Mixin private ConfigOptions config;
  @Spec private CommandSpec spec;

  /** The command's own flags by key; null values are ignored. */
  abstract Map<String, Object> flags();

  abstract Service open(Settings settings, KafkaClients clients);

  /** Where log lines go. */
  void logging(Settings settings) {
    Logging.service();
  }

  /** Shows how it goes, from when it works until it is closed; nothing by default. */
  AutoCloseable view(Settings settings, Service service) {
    return () -> {};
  }

  /** What to print once the service works: where it listens, or what it does. */
  abstract String ready(Settings settings);

  /** Whether only to say what it would do. */
  boolean isDryRun() {
    return false;
  }

  /** Says what it would do; connects to nothing. */
  void dryRun(Settings settings, PrintWriter out) {
    throw new IllegalStateException("has no dry run");
  }

  @Override
  public Integer call() throws Exception {
    Settings settings = config.load(Map.of(), flags());
    if (isDryRun()) {
      dryRun(settings, spec.commandLine().getOut());
      return 0;
    }
    KafkaClients clients = settings.clients();
    // Before the log speaks up: what a missing broker means is one line, not a client's every try.
    clients.requireReachable(REACHABLE);
    logging(settings);
    clients.createTopics();
    Service service = open(settings, clients);
    Thread main = Thread.currentThread();
    Thread drain =
        new Thread(
            () -> {
              service.close();
              main.interrupt();
            },
            "drain");
    Runtime.getRuntime().addShutdownHook(drain);
    service.start();
    spec.commandLine().getOut().println(ready(settings));
    spec.commandLine().getOut().flush();
    try (AutoCloseable view = view(settings, service)) {
      service.termination().toCompletableFuture().get();
      return 0;
    } catch (ExecutionException | CompletionException e) {
      throw new RefluxException(service.name() + ": " + rootMessage(e), e);
    }
  }

  private static String pageAt(String host, int port) {
    return port > 0 ? "; page, metrics and health at http://" + host + ":" + port + "/" : "";
  }

  static String metricsAt(String host, int port) {
    return port > 0 ? "; metrics and health at http://" + host + ":" + port : "";
  }

  private static String rootMessage(Throwable e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return root.getMessage() == null ? root.toString() : root.getMessage();
  }

  @Command(
      name = "mirror",
      description = "Takes requests over HTTP and puts them on Kafka, never slowing the caller.",
      subcommands = MirrorPreviewCommand.class,
      mixinStandardHelpOptions = true)
  static final class Mirror extends ServiceCommand {
    @Option(names = "--host", description = "Address to listen on (reflux.mirror.host).")
    private String host;

    @Option(names = "--port", description = "Port to listen on (reflux.mirror.port).")
    private Integer port;

    @Override
    Map<String, Object> flags() {
      Map<String, Object> flags = new LinkedHashMap<>();
      flags.put("reflux.mirror.host", host);
      flags.put("reflux.mirror.port", port);
      return flags;
    }

    @Override
    Service open(Settings settings, KafkaClients clients) {
      return new MirrorService(
          settings.get(MirrorConfig.class), clients, new SimpleMeterRegistry());
    }

    @Override
    String ready(Settings settings) {
      MirrorConfig mirror = settings.get(MirrorConfig.class);
      return "mirror: POST requests to http://"
          + mirror.host()
          + ":"
          + mirror.port()
          + "/v1/mirror";
    }
  }

  @Command(
      name = "score",
      description = "Answers and scores mirrored requests and rollouts with the teacher.",
      mixinStandardHelpOptions = true)
  static final class Score extends ServiceCommand {
    @Option(
        names = "--teacher",
        paramLabel = "DIR",
        description = "Hugging Face directory of the teacher (reflux.score.teacher).")
    private Path teacher;

    @Option(
        names = "--device",
        paramLabel = "DEVICE,...",
        description =
            "cpu, cuda[:N] or tensorrt[:N]; several, such as cuda:0,cuda:1, hold the teacher each "
                + "(reflux.score.device).")
    private String device;

    @Option(
        names = "--precision",
        description =
            "auto, f32, f16 or bf16: what the teacher computes in (reflux.score.precision).")
    private String precision;

    @Option(
        names = "--encoding",
        description = "Labels of requests: topk or sampled (reflux.score.encoding).")
    private String encoding;

    @Option(
        names = "--remote-url",
        paramLabel = "URL",
        description =
            "A teacher on a vLLM or SGLang server; --teacher is then for its tokenizer "
                + "(reflux.score.remote.url).")
    private String remoteUrl;

    @Option(
        names = "--http-port",
        paramLabel = "PORT",
        description = "Metrics and health; 0 for any free, -1 for none (reflux.score.http.port).")
    private Integer httpPort;

    @Override
    Map<String, Object> flags() {
      Map<String, Object> flags = new LinkedHashMap<>();
      flags.put("reflux.score.teacher", teacher);
      flags.put("reflux.score.device", device);
      flags.put("reflux.score.precision", precision);
      flags.put("reflux.score.encoding", encoding);
      flags.put("reflux.score.remote.url", remoteUrl);
      flags.put("reflux.score.http.port", httpPort);
      return flags;
    }

    @Override
    Service open(Settings settings, KafkaClients clients) {
      return new ScorerService(
          settings.get(ScorerConfig.class), clients, PrometheusMeters.of("scorer"));
    }

    @Override
    String ready(Settings settings) {
      ScorerConfig scorer = settings.get(ScorerConfig.class);
      String teacherAt =
          scorer.remote().url().or(() -> scorer.teacher().map(Path::toString)).orElseThrow();
      return "scorer: soft labels from "
          + teacherAt
          + metricsAt(scorer.http().host(), scorer.http().port());
    }
  }

  @Command(
      name = "train",
      description = "Trains the student on soft labels and publishes its snapshots.",
      mixinStandardHelpOptions = true)
  static final class Train extends ServiceCommand {
    @Option(
        names = "--teacher",
        paramLabel = "DIR",
        description = "The teacher's directory, for its tokenizer (reflux.train.teacher).")
    private Path teacher;

    @Option(
        names = "--student",
        paramLabel = "DIR|SHAPE",
        description = "Where the student starts (reflux.train.student).")
    private String student;

    @Option(
        names = "--data-dir",
        paramLabel = "DIR",
        description = "Checkpoints, resumed at the next start (reflux.train.data-dir).")
    private Path dataDir;

    @Option(
        names = "--http-port",
        paramLabel = "PORT",
        description =
            "Page, metrics and health; 0 for any free, -1 for none (reflux.train.http.port).")
    private Integer httpPort;

    @Option(
        names = "--dry-run",
        description =
            "Say what it would do, with the memory it would take, and connect to nothing.")
    private boolean dryRun;

    private LiveDisplay display;

    @Override
    boolean isDryRun() {
      return dryRun;
    }

    @Override
    void dryRun(Settings settings, PrintWriter out) {
      DryRun.Plan plan = DryRun.of(settings.get(TrainerConfig.class));
      plan.lines().forEach(line -> out.printf("%-12s %s%n", line.name(), line.text()));
      plan.warnings().forEach(warning -> out.printf("%-12s %s%n", "WARNING", warning));
      out.flush();
    }

    @Override
    Map<String, Object> flags() {
      Map<String, Object> flags = new LinkedHashMap<>();
      flags.put("reflux.train.teacher", teacher);
      flags.put("reflux.train.student", student);
      flags.put("reflux.train.data-dir", dataDir);
      flags.put("reflux.train.http.port", httpPort);
      return flags;
    }

    @Override
    Service open(Settings settings, KafkaClients clients) {
      return new TrainerService(
          settings.get(TrainerConfig.class),
          settings.snapshots(clients),
          PrometheusMeters.of("trainer"));
    }

    /** The screen belongs to the view, if there is one. */
    @Override
    void logging(Settings settings) {
      display = LiveDisplay.open(new PrintStream(System.out, true, StandardCharsets.UTF_8));
      if (display.isInPlace()) {
        Logging.toFile(settings.get(TrainerConfig.class).dataDir().resolve("trainer.log"));
      } else {
        super.logging(settings);
      }
    }

    @Override
    AutoCloseable view(Settings settings, Service service) {
      TrainerService trainer = (TrainerService) service;
      String page =
          trainer.port() < 0
              ? ""
              : "http://"
                  + settings.get(TrainerConfig.class).http().host()
                  + ":"
                  + trainer.port()
                  + "/";
      return new TrainView(display, trainer::view, page).start();
    }

    @Override
    String ready(Settings settings) {
      TrainerConfig trainer = settings.get(TrainerConfig.class);
      return "trainer: checkpoints in "
          + trainer.dataDir()
          + pageAt(trainer.http().host(), trainer.http().port());
    }
  }

  @Command(
      name = "serve",
      description = "Serves the published student over an OpenAI-compatible API.",
      mixinStandardHelpOptions = true)
  static final class Serve extends ServiceCommand {
    @Option(names = "--host", description = "Address to listen on (reflux.serve.host).")
    private String host;

    @Option(names = "--port", description = "Port to listen on (reflux.serve.port).")
    private Integer port;

    @Option(
        names = "--data-dir",
        paramLabel = "DIR",
        description = "Fetched snapshots (reflux.serve.data-dir).")
    private Path dataDir;

    @Override
    Map<String, Object> flags() {
      Map<String, Object> flags = new LinkedHashMap<>();
      flags.put("reflux.serve.host", host);
      flags.put("reflux.serve.port", port);
      flags.put("reflux.serve.data-dir", dataDir);
      return flags;
    }

    @Override
    Service open(Settings settings, KafkaClients clients) {
      ServerConfig config = settings.get(ServerConfig.class);
      MeterRegistry meters = new SimpleMeterRegistry();
      ServerService server = new ServerService(config, settings.snapshots(clients), meters);
      if (config.mirror()) {
        ServedMirror.attach(server, settings.get(MirrorConfig.class), clients, meters);
      }
      return server;
    }

    @Override
    String ready(Settings settings) {
      ServerConfig server = settings.get(ServerConfig.class);
      return "server: http://" + server.host() + ":" + server.port() + "/v1/chat/completions";
    }
  }

  @Command(
      name = "monitor",
      description = "Measures live teacher-student drift, raises alerts, shows the loop's page.",
      mixinStandardHelpOptions = true)
  static final class Monitor extends ServiceCommand {
    @Option(names = "--host", description = "Address to listen on (reflux.monitor.host).")
    private String host;

    @Option(names = "--port", description = "Port to listen on (reflux.monitor.port).")
    private Integer port;

    @Option(
        names = "--data-dir",
        paramLabel = "DIR",
        description = "State and fetched snapshots (reflux.monitor.data-dir).")
    private Path dataDir;

    @Override
    Map<String, Object> flags() {
      Map<String, Object> flags = new LinkedHashMap<>();
      flags.put("reflux.monitor.host", host);
      flags.put("reflux.monitor.port", port);
      flags.put("reflux.monitor.data-dir", dataDir);
      return flags;
    }

    @Override
    Service open(Settings settings, KafkaClients clients) {
      return new MonitorService(
          settings.get(MonitorConfig.class),
          settings.snapshots(clients),
          new SimpleMeterRegistry());
    }

    @Override
    String ready(Settings settings) {
      MonitorConfig monitor = settings.get(MonitorConfig.class);
      return "monitor: http://" + monitor.host() + ":" + monitor.port() + "/";
    }
  }
}
