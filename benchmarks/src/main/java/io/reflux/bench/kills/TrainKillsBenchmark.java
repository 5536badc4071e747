package io.reflux.bench.kills;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.bench.kafka.Configs;
import io.reflux.bench.kafka.LabelLedger;
import io.reflux.bench.kafka.LabelWatch;
import io.reflux.bench.kafka.RequestMaker;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import io.reflux.scorer.ScorerService;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.Set;

/**
 * Kills a trainer with SIGKILL, starts it again on its data directory, and compares the weights of
 * its last step with those of a run without kills. Once on labels that lie in Kafka, where the
 * other run is simply another; and once on live traffic with rollouts that are scored meanwhile,
 * where the other run is told by the journals which records came before which step.
 */
public final class TrainKillsBenchmark implements Benchmark {
  private static final RequestMaker.Lengths SHORT = new RequestMaker.Lengths(16, 0.5, 4, 48);
  private static final Duration LABELS_WITHIN = Duration.ofMinutes(5);

  /** One kill in so many comes while the trainer may still be starting. */
  private static final int EARLY_EVERY = 4;

  private static final int MOST_EARLY_MILLIS = 4000;

  private final Size chosen;

  /**
   * How much to do.
   *
   * @param kills unless the command says otherwise, half of them on live traffic
   * @param labels that lie in Kafka
   * @param backlog of live requests ahead of their labels
   * @param steps of each run
   */
  record Size(int kills, int labels, int backlog, int steps) {
    static final Size FULL = new Size(24, 1500, 64, 240);
    static final Size QUICK = new Size(6, 400, 32, 60);
  }

  public TrainKillsBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  TrainKillsBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "train-kills";
  }

  @Override
  public String description() {
    return "kill -9 of the trainer in a loop: weights against those of a run without kills";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.KILLS, BenchmarkOption.TEACHER);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    int kills = options.kills().orElse(size.kills());
    int live = kills / 2;
    Path teacher = options.requireTeacher();
    Result.Builder result = new Result.Builder(name());
    try (WorkFolder folder = WorkFolder.create("reflux-bench-train-kills-");
        DevStack stack = DevStack.start(folder.path().resolve("kafka"))) {
      Bench bench = new Bench(stack, teacher, folder.path(), size, options.seed(), progress);
      boolean lyingSame = bench.lying(kills - live, result);
      boolean liveSame = bench.live(live, result);
      result
          .count("kills", kills)
          .count("kills_on_live_traffic", live)
          .count("steps_each_run", size.steps())
          .count("runs_that_differ", (lyingSame ? 0 : 1) + (liveSame ? 0 : 1));
    }
    return result
        .condition(
            "trainer", "a JVM of its own, checkpoints each 9 steps and with the snapshots each 5 s")
        .condition("kill", "SIGKILL, at a random moment of a step; one in 4 around start-up")
        .condition("labels_in_kafka", size.labels())
        .condition("live_requests_ahead_of_labels", size.backlog())
        .condition("lengths_prompt_and_response", SHORT.toString())
        .condition("compared", "SHA-256 of all weights after the last step")
        .condition(
            "on_live_traffic",
            "rollouts scored meanwhile; compared with the same steps from the journals alone")
        .build();
  }

  private record Bench(
      DevStack stack, Path teacher, Path folder, Size size, long seed, PrintWriter progress) {

    /** Labels that lie in Kafka; a run without kills on the same. */
    boolean lying(int kills, Result.Builder result) throws Exception {
      String prefix = "lying.";
      KafkaClients clients = stack.clients(prefix);
      clients.createTopics();
      try (LabelWatch watch = LabelWatch.start(clients);
          Scoring scorer = Scoring.start(clients, teacher);
          Load load = new Load(clients, requests(), watch, size.backlog())) {
        if (!watch.await(size.labels(), LABELS_WITHIN)) {
          throw new RefluxException("bench: no " + size.labels() + " labels in " + LABELS_WITHIN);
        }
        int sent = load.stop().size();
        if (!watch.await(sent, LABELS_WITHIN)) {
          throw new RefluxException("bench: no " + sent + " labels in " + LABELS_WITHIN);
        }
        scorer.check();
      }
      TrainerRuns runs = runs(prefix, Map.of());
      String expected = runs.finish(folder.resolve("without-kills"));
      Path data = folder.resolve("killed");
      kill(runs, kills, data, "labels in Kafka");
      return same(expected, runs.finish(data), "in_kafka", result);
    }

    /** Traffic and rollouts that come meanwhile; the same steps from the journals alone. */
    boolean live(int kills, Result.Builder result) throws Exception {
      String prefix = "live.";
      KafkaClients clients = stack.clients(prefix);
      clients.createTopics();
      TrainerRuns runs =
          runs(prefix, Map.of("on-policy-steps", "10", "checkpoint-retention", "100000"));
      Path data = folder.resolve("live");
      String killed;
      try (LabelWatch watch = LabelWatch.start(clients);
          Scoring scorer = Scoring.start(clients, teacher);
          Load load = new Load(clients, requests(), watch, size.backlog())) {
        kill(runs, kills, data, "live traffic");
        killed = runs.finish(data);
        result.count("live_requests", load.stop().size());
        scorer.check();
      }
      result.count("live_rollouts_scored", LabelLedger.rolloutLabels(clients).size());
      Path again = TrainerRuns.withoutCheckpoints(data, folder.resolve("from-journals"));
      return same(runs.finish(again), killed, "live", result);
    }

    private void kill(TrainerRuns runs, int kills, Path data, String on)
        throws IOException, InterruptedException {
      runs.killAll(
          kills,
          EARLY_EVERY,
          MOST_EARLY_MILLIS,
          data,
          new Random(seed),
          (kill, step) -> {
            progress.printf("%s: kill %d of %d, at step %d%n", on, kill, kills, step);
            progress.flush();
          });
    }

    private boolean same(String expected, String found, String name, Result.Builder result) {
      progress.printf("%s: weights %s without kills, %s with%n", name, expected, found);
      progress.flush();
      result.condition("weights_" + name, expected);
      if (!expected.equals(found)) {
        result.failure("%s: weights %s (expected: %s)".formatted(name, found, expected));
      }
      return expected.equals(found);
    }

    private TrainerRuns runs(String prefix, Map<String, String> changes) {
      Map<String, String> settings = new HashMap<>();
      settings.put("teacher", teacher.toString());
      settings.put("batch-tokens", "512");
      settings.put("intake-sequences", "16");
      settings.put("max-reuse", "1000000");
      settings.put("validation-steps", "10");
      settings.put("rollout-max-tokens", "16");
      // A kill leaves some steps to be done again; snapshots bring checkpoints of their own.
      settings.put("checkpoint-steps", "9");
      settings.put("snapshot-interval", "PT5S");
      settings.put("http.port", "-1");
      settings.putAll(changes);
      return new TrainerRuns(stack, prefix, settings, size.steps());
    }

    private RequestMaker requests() {
      return new RequestMaker(LanguageModel.load(teacher).tokenizer(), SHORT, seed);
    }
  }

  /** A scorer in this process. */
  private record Scoring(ScorerService service) implements AutoCloseable {
    static Scoring start(KafkaClients clients, Path teacher) {
      ScorerService service =
          new ScorerService(
              Configs.scorer(
                  Map.of("teacher", teacher.toString(), "http.port", "-1", "top-k", "8")),
              clients,
              new SimpleMeterRegistry());
      service.start();
      return new Scoring(service);
    }

    /** Fails if it has. */
    void check() {
      if (service.termination().toCompletableFuture().isCompletedExceptionally()) {
        service.termination().toCompletableFuture().join();
      }
    }

    @Override
    public void close() {
      service.close();
    }
  }
}
