package io.reflux.bench.swap;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Medians;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.bench.serve.BenchStudent;
import io.reflux.bench.swap.Gaps.Kind;
import io.reflux.bench.swap.Gaps.Phase;
import io.reflux.devstack.DevStack;
import io.reflux.model.ModelText;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.ToDoubleFunction;

/** A thousand swaps of a server under load: requests failed, memory, gaps between tokens. */
public final class SwapBenchmark implements Benchmark {
  private static final String PREFIX = "swap.";
  private static final double MIB = 1 << 20;

  /** Two would do to see a swap; with more, most snapshots are differences, as a trainer's are. */
  private static final int STUDENTS = 4;

  /** Memory is compared with what it was after so many swaps. */
  private static final int SETTLED_AFTER = 10;

  private static final int LEAST_SWAPS = 2 * SETTLED_AFTER;
  private static final int MOST_SWAPS = 1_000_000;

  /** Samples before and behind, or before the last, that a figure of memory is the median of. */
  private static final int WINDOW = 2;

  /** The one that comes, the one that goes, and what requests held on to. */
  private static final int MOST_MODELS = 3;

  private static final double WARM_UP_SECONDS = 20;
  private static final double STEADY_SECONDS = 60;

  private final Size chosen;

  /**
   * How much to do.
   *
   * @param swaps in all
   * @param block swaps between two steady whiles
   * @param positions longest prompt and continuation together
   * @param warmUp gaps before anything counts
   * @param bounds what is still well
   */
  record Size(
      BenchStudent.Shape shape,
      int positions,
      int swaps,
      int block,
      StreamLoad.Size load,
      int warmUp,
      Bounds bounds) {
    /** The bundled teacher's. */
    private static final BenchStudent.Shape SHAPE = new BenchStudent.Shape(1024, 256, 704, 4, 8, 4);

    private static final StreamLoad.Size LOAD = new StreamLoad.Size(4, 24, 64);

    static final Size FULL = new Size(SHAPE, 512, 1000, 20, LOAD, 20_000, new Bounds(1.1, 2));

    /** Too short to tell a leak from a warm-up; it tells that all is there. */
    static final Size QUICK = new Size(SHAPE, 512, 40, 10, LOAD, 20_000, new Bounds(1.25, 3));

    private Size withSwaps(long count) {
      if (count < LEAST_SWAPS || count > MOST_SWAPS) {
        throw new RefluxException(
            "--cases: %d (expected: %d to %d swaps)".formatted(count, LEAST_SWAPS, MOST_SWAPS));
      }
      return new Size(shape, positions, (int) count, block, load, warmUp, bounds);
    }
  }

  /**
   * What is still well.
   *
   * @param memoryGrowth resident memory after the last swap, over that after the tenth
   * @param gapRatio 99 % of gaps during swaps, over that without
   */
  record Bounds(double memoryGrowth, double gapRatio) {}

  public SwapBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  SwapBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "swap";
  }

  @Override
  public String description() {
    return "swaps of a server under load: requests failed, memory, gaps between tokens";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.TEACHER, BenchmarkOption.PLOT, BenchmarkOption.CASES);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    if (options.cases().isPresent()) {
      size = size.withSwaps(options.cases().getAsLong());
    }
    ModelText text = ModelText.load(options.requireTeacher());
    BenchStudent student =
        BenchStudent.random(size.shape(), size.positions(), text, options.seed());
    Result.Builder result = new Result.Builder(name());
    conditions(size, student, result);
    try (WorkFolder folder = WorkFolder.create("reflux-bench-swap-");
        DevStack stack = DevStack.start(folder.path().resolve("kafka"))) {
      KafkaClients clients = stack.clients(PREFIX);
      clients.createTopics();
      clients.registerSchemas();
      try (Rotation rotation = new Rotation(student, STUDENTS, clients, folder.path())) {
        result.condition("snapshot_bytes", rotation.snapshotBytes());
        rotation.upload(1);
        rotation.promote(1);
        try (ServerProcess server =
            ServerProcess.start(
                stack.kafkaConfig(PREFIX),
                stack.registryConfig().url(),
                rotation.trust(),
                Map.of("port", "0", "data-dir", folder.path().resolve("server").toString()),
                folder.path().resolve("server.log"))) {
          server.awaitServed(1);
          new Run(size, student, rotation, server, options.plot(), progress).run(result);
        }
      }
    }
    return result.build();
  }

  private static void conditions(Size size, BenchStudent student, Result.Builder result) {
    result
        .condition("student", student.config().toString())
        .condition("weights", student.config().parameters())
        .condition("format", "int8, " + STUDENTS + " students in turns, signed")
        .condition("streams", size.load().streams())
        .condition("prompt_tokens", size.load().promptTokens())
        .condition("tokens", size.load().tokens())
        .condition(
            "server",
            "a process of its own with default settings, flags and environment as the launcher's: "
                + String.join(" ", ServerProcess.flags())
                + " "
                + ServerProcess.environment())
        .condition(
            "swap",
            "from the pointer's move until the version before is out of memory; the upload before"
                + " it counts for nothing")
        .condition(
            "gap_ratio",
            "99 %% of gaps between tokens of a stream during %d swaps, over that of a while without"
                    .formatted(size.block())
                + " right behind them, seen by the clients; the median of all such pairs")
        .condition(
            "memory_growth",
            "VmRSS of the server after the last swap over that after the tenth, each the median of"
                + " "
                + (2 * WINDOW + 1))
        .condition("bounds", size.bounds().toString());
  }

  /** All swaps, one after the other. */
  private static final class Run {
    private final Size size;
    private final BenchStudent student;
    private final Rotation rotation;
    private final ServerProcess server;
    private final Optional<Path> plot;
    private final PrintWriter progress;
    private final Gaps gaps = new Gaps();
    private final List<SwapSample> samples = new ArrayList<>();
    private final List<SwapBlock> blocks = new ArrayList<>();

    Run(
        Size size,
        BenchStudent student,
        Rotation rotation,
        ServerProcess server,
        Optional<Path> plot,
        PrintWriter progress) {
      this.size = size;
      this.student = student;
      this.rotation = rotation;
      this.server = server;
      this.plot = plot;
      this.progress = progress;
    }

    void run(Result.Builder result) throws Exception {
      try (StreamLoad load =
          new StreamLoad(server.port(), student, rotation.count(), size.load(), gaps)) {
        gaps.enter(Phase.STEADY);
        gaps.await(Kind.TOKEN, Phase.STEADY, size.warmUp(), WARM_UP_SECONDS);
        gaps.enter(Phase.OTHER);
        var unused = SwapBlock.take(0, gaps);
        for (int swap = 1; swap <= size.swaps(); swap++) {
          swap(swap, load);
          if (swap % size.block() == 0 || swap == size.swaps()) {
            rest(swap);
          }
        }
        load.stop();
        report(load, result);
      }
    }

    private void swap(int number, StreamLoad load) throws InterruptedException, IOException {
      // The first version was there before.
      long version = number + 1L;
      rotation.upload(version);
      long began = System.nanoTime();
      gaps.enter(Phase.SWAP);
      rotation.promote(version);
      server.awaitServed(version);
      long served = System.nanoTime();
      server.awaitReleased(version - 1);
      long released = System.nanoTime();
      gaps.enter(Phase.OTHER);
      if (!load.awaitAnswer(version)) {
        throw new IOException("version " + version + ": no answer names it");
      }
      samples.add(
          new SwapSample(
              number, (served - began) / 1e9, (released - began) / 1e9, server.resident() / MIB));
    }

    /** As many gaps without swaps as there were with them. */
    private void rest(int swap) throws InterruptedException, IOException {
      gaps.enter(Phase.STEADY);
      gaps.await(Kind.TOKEN, Phase.STEADY, gaps.count(Kind.TOKEN, Phase.SWAP), STEADY_SECONDS);
      gaps.enter(Phase.OTHER);
      SwapBlock block = SwapBlock.take(swap, gaps);
      blocks.add(block);
      SwapSample last = samples.get(samples.size() - 1);
      progress.printf(
          Locale.ROOT,
          "swap %d of %d: %.0f ms, %.1f MiB, 99 %% of gaps %.1f ms, without swaps %.1f%n",
          swap,
          size.swaps(),
          1e3 * last.seconds(),
          last.residentMiB(),
          block.swappingTail(),
          block.steadyTail());
      progress.flush();
      if (plot.isPresent()) {
        SwapPlot.write(plot.get(), samples, blocks);
      }
    }

    private void report(StreamLoad load, Result.Builder result) {
      double tenth = resident(Math.min(SETTLED_AFTER, (samples.size() + 1) / 2));
      double last = resident(samples.size());
      double growth = last / tenth;
      result
          .count("swaps", samples.size())
          .count("requests", load.requests())
          .count("requests_failed", load.requestsFailed())
          .sample("memory_growth", growth, "");
      for (SwapBlock block : blocks) {
        result
            .sample("gap_ratio", block.gapRatio(), "")
            .sample("gap_p99_swap", block.swappingTail(), "ms")
            .sample("gap_p99_steady", block.steadyTail(), "ms")
            .sample("gap_p50_swap", block.swapping().quantile(0.5), "ms")
            .sample("gap_p50_steady", block.steady().quantile(0.5), "ms")
            .sample("first_token_p90_swap", block.firstSwapping().quantile(0.9), "ms")
            .sample("first_token_p90_steady", block.firstSteady().quantile(0.9), "ms");
      }
      result
          .sample("rss_after_tenth", tenth, "MiB")
          .sample("rss_after_last", last, "MiB")
          .sample("rss_peak", most(SwapSample::residentMiB), "MiB")
          .sample("swap_seconds", median(SwapSample::seconds), "s")
          .sample("swap_seconds_most", most(SwapSample::seconds), "s")
          .sample("released_seconds", median(SwapSample::releasedSeconds), "s")
          .count("models_in_memory", server.mostModels())
          .count("answers_compared", load.answersCompared())
          .count("answers_changed", load.answersChanged());
      failures(load, growth, result);
      table(result);
    }

    private void failures(StreamLoad load, double growth, Result.Builder result) {
      double ratio = Medians.of(blocks.stream().map(SwapBlock::gapRatio).toList());
      if (load.requestsFailed() > 0) {
        result.failure(
            "requests failed: %d (expected: 0): %s"
                .formatted(load.requestsFailed(), load.reasons()));
      }
      if (load.answersChanged() > 0) {
        result.failure(
            "answers of the same weights that differ: " + load.answersChanged() + " (expected: 0)");
      }
      if (!server.problems().isEmpty()) {
        result.failure("versions refused: " + server.problems() + " (expected: none)");
      }
      if (server.mostModels() > MOST_MODELS) {
        result.failure(
            "models in memory at a flip: %d (expected: at most %d)"
                .formatted(server.mostModels(), MOST_MODELS));
      }
      if (!(growth <= size.bounds().memoryGrowth())) {
        result.failure(
            String.format(
                Locale.ROOT,
                "memory after the last swap: %.2f of that after the tenth (expected: at most %.2f)",
                growth,
                size.bounds().memoryGrowth()));
      }
      if (!(ratio <= size.bounds().gapRatio())) {
        result.failure(
            String.format(
                Locale.ROOT,
                "99 %% of gaps during swaps: %.2f of that without (expected: at most %.2f)",
                ratio,
                size.bounds().gapRatio()));
      }
    }

    private void table(Result.Builder result) {
      List<List<Object>> rows = new ArrayList<>();
      for (SwapBlock block : blocks) {
        SwapSample sample = samples.get(block.lastSwap() - 1);
        rows.add(
            List.of(
                block.lastSwap(),
                sample.residentMiB(),
                sample.seconds(),
                block.swappingTail(),
                block.steadyTail(),
                block.swapping().count(),
                block.steady().count()));
      }
      result.table(
          new Result.Table(
              "blocks",
              List.of(
                  "swap",
                  "rss_mib",
                  "swap_seconds",
                  "gap_p99_swap_ms",
                  "gap_p99_steady_ms",
                  "gaps_swap",
                  "gaps_steady"),
              rows));
    }

    /** After so many swaps. */
    private double resident(int swaps) {
      int last = Math.min(samples.size(), swaps + WINDOW);
      int first = Math.max(0, last - 2 * WINDOW - 1);
      return Medians.of(
          samples.subList(first, last).stream().map(SwapSample::residentMiB).toList());
    }

    private double median(ToDoubleFunction<SwapSample> of) {
      return Medians.of(samples.stream().map(of::applyAsDouble).toList());
    }

    private double most(ToDoubleFunction<SwapSample> of) {
      return samples.stream().mapToDouble(of).max().orElse(Double.NaN);
    }
  }
}
