package io.reflux.bench.kills;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.ChildJvm;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.bench.kafka.LabelLedger;
import io.reflux.bench.kafka.LabelWatch;
import io.reflux.bench.kafka.RequestMaker;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.labels.SoftLabelCodec;
import io.reflux.schemas.labels.SoftLabelFormatException;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * Kills a scorer with SIGKILL under load, starts it again under the same name, and at the end
 * counts under read_committed: every request must have exactly one label.
 */
public final class ScoreKillsBenchmark implements Benchmark {
  private static final String PREFIX = "kills.";

  /** For a quick start: most of a killed process's life is one. */
  private static final List<String> FLAGS =
      List.of("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1");

  private static final Duration FIRST_LABEL_WITHIN = Duration.ofSeconds(90);
  private static final Duration ALL_LABELS_WITHIN = Duration.ofMinutes(5);

  /** One kill in so many comes while the scorer may still be starting. */
  private static final int EARLY_EVERY = 4;

  private final Size chosen;

  /**
   * How much to do.
   *
   * @param kills unless the command says otherwise
   * @param backlog requests that wait for their labels
   * @param mostMillis a kill comes at most so long after the start's first label
   * @param mostEarlyMillis or at most so long after the start itself
   */
  record Size(
      int kills, int backlog, int mostMillis, int mostEarlyMillis, RequestMaker.Lengths lengths) {
    private static final RequestMaker.Lengths SHORT = new RequestMaker.Lengths(24, 0.6, 4, 160);

    static final Size FULL = new Size(24, 400, 1500, 3000, SHORT);
    static final Size QUICK = new Size(5, 200, 1000, 3000, SHORT);
  }

  public ScoreKillsBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  ScoreKillsBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "score-kills";
  }

  @Override
  public String description() {
    return "kill -9 of the scorer in a loop under load: labels lost and doubled";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.KILLS, BenchmarkOption.TEACHER);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    int kills = options.kills().orElse(size.kills());
    Path teacher = options.requireTeacher();
    LanguageModel model = LanguageModel.load(teacher);
    Result.Builder result = new Result.Builder(name());
    try (WorkFolder folder = WorkFolder.create("reflux-bench-kills-");
        DevStack stack = DevStack.start(folder.path().resolve("kafka"))) {
      KafkaClients clients = stack.clients(PREFIX);
      clients.createTopics();
      Starter starter = new Starter(teacher, stack, folder.path().resolve("scorer.log"));
      RequestMaker maker = new RequestMaker(model.tokenizer(), size.lengths(), options.seed());
      List<String> requests;
      try (LabelWatch watch = LabelWatch.start(clients);
          Load load = new Load(clients, maker, watch, size.backlog())) {
        Random random = new Random(options.seed());
        for (int kill = 0; kill < kills; kill++) {
          long labelsBefore = watch.labels();
          killOne(starter, watch, kill % EARLY_EVERY == EARLY_EVERY - 1, size, random, result);
          progress.printf(
              "kill %d of %d, %d labels since the last%n",
              kill + 1, kills, watch.labels() - labelsBefore);
          progress.flush();
        }
        try (ChildJvm scorer = starter.start()) {
          requests = load.stop();
          if (!watch.await(requests.size(), ALL_LABELS_WITHIN)) {
            progress.printf(
                "only %d of %d labels within %s%n",
                watch.labels(), requests.size(), ALL_LABELS_WITHIN);
          }
          scorer.kill();
        }
      }
      count(clients, requests, model.config().vocabularySize(), kills, result);
    }
    return result
        .condition("scorer", "a JVM of its own with default settings, the same instance name")
        .condition("kill", "SIGKILL, at a random moment under load; one in 4 around start-up")
        .condition("requests_ahead_of_labels", size.backlog())
        .condition("lengths_prompt_and_response", size.lengths().toString())
        .condition("requests_without_response", "one in 3, answered by the teacher")
        .condition("counted", "under read_committed, from the first record on, labels decoded")
        .build();
  }

  /** Starts scorers, all of one name. */
  private record Starter(Path teacher, DevStack stack, Path log) {
    ChildJvm start() throws IOException {
      KafkaConfig kafka = stack.kafkaConfig(PREFIX);
      return ChildJvm.start(
          KilledScorer.class,
          FLAGS,
          List.of(
              teacher.toString(),
              kafka.bootstrapServers(),
              kafka.prefix(),
              stack.registryConfig().url()),
          log);
    }
  }

  private static void killOne(
      Starter starter,
      LabelWatch watch,
      boolean early,
      Size size,
      Random random,
      Result.Builder result)
      throws IOException, InterruptedException {
    long startedMillis = System.currentTimeMillis();
    long started = System.nanoTime();
    try (ChildJvm scorer = starter.start()) {
      if (!early) {
        long first = watch.awaitLabelSince(startedMillis, FIRST_LABEL_WITHIN);
        if (first < 0) {
          throw new RefluxException(
              "bench: no label within " + FIRST_LABEL_WITHIN + ": " + scorer.printed());
        }
        result.sample("first_label_after_start", (first - started) / 1e9, "s");
      }
      int delay = random.nextInt(early ? size.mostEarlyMillis() : size.mostMillis());
      if (scorer.awaitEnd(delay, TimeUnit.MILLISECONDS)) {
        throw new RefluxException("bench: the scorer ended by itself: " + scorer.printed());
      }
      scorer.kill();
    }
  }

  private static void count(
      KafkaClients clients, List<String> requests, int vocabulary, int kills, Result.Builder result)
      throws SoftLabelFormatException {
    Map<String, Integer> labels = new HashMap<>();
    for (SoftLabels label : LabelLedger.labels(clients)) {
      byte[] bytes = new byte[label.getLabels().remaining()];
      label.getLabels().duplicate().get(bytes);
      SoftLabelCodec.decode(bytes, vocabulary);
      labels.merge(label.getRequestId(), 1, Integer::sum);
    }
    int deadLetters = LabelLedger.deadLetters(clients).size();
    long lost = requests.stream().filter(id -> !labels.containsKey(id)).count();
    long doubled = labels.values().stream().mapToLong(count -> count - 1).sum();
    result
        .count("kills", kills)
        .count("requests", requests.size())
        .count("labels", labels.values().stream().mapToLong(Integer::longValue).sum())
        .count("lost", lost)
        .count("doubled", doubled)
        .count("dead_letters", deadLetters);
    List<String> failures = new ArrayList<>();
    if (lost > 0) {
      failures.add("requests without a label: " + lost + " (expected: 0)");
    }
    if (doubled > 0) {
      failures.add("labels beyond the first of a request: " + doubled + " (expected: 0)");
    }
    if (deadLetters > 0) {
      failures.add("dead letters: " + deadLetters + " (expected: 0)");
    }
    failures.forEach(result::failure);
  }
}
