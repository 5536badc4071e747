package io.reflux.bench.score;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.bench.kafka.RequestMaker;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** The scorer against the bare model; the graph's top-k against Java's; the memory of scoring. */
public final class ScoreBenchmark implements Benchmark {
  private static final int TOP_K = 50;

  private final Size chosen;

  /**
   * How much to measure.
   *
   * @param large a random model that is measured end to end as well
   */
  record Size(
      RequestMaker.Lengths lengths,
      EndToEnd.Size bundled,
      RandomTeachers.Size largeModel,
      EndToEnd.Size large,
      InGraphTopK.Size topK,
      ScoringMemory.Size memory) {
    private static final RandomTeachers.Size TRUNK_32K =
        new RandomTeachers.Size(32_000, 256, 704, 4, 8, 4, 1024);
    private static final RandomTeachers.Size TRUNK_128K =
        new RandomTeachers.Size(128_000, 256, 704, 4, 8, 4, 1024);

    static final Size FULL =
        new Size(
            RequestMaker.Lengths.CHAT,
            new EndToEnd.Size(2400, 7),
            RandomTeachers.Size.HUNDRED_MILLION,
            new EndToEnd.Size(96, 5),
            new InGraphTopK.Size(TRUNK_32K, 8, 128, TOP_K, 3, 7),
            new ScoringMemory.Size(TRUNK_128K, 8, 1024, TOP_K, 3));

    static final Size QUICK =
        new Size(
            RequestMaker.Lengths.CHAT,
            new EndToEnd.Size(600, 5),
            RandomTeachers.Size.HUNDRED_MILLION,
            new EndToEnd.Size(24, 3),
            new InGraphTopK.Size(TRUNK_32K, 4, 128, TOP_K, 2, 3),
            new ScoringMemory.Size(TRUNK_128K, 8, 1024, TOP_K, 1));
  }

  public ScoreBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  ScoreBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "score";
  }

  @Override
  public String description() {
    return "the scorer from topic to topic against the bare model; top-k in the graph; memory";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.TEACHER);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    Path teacher = options.requireTeacher();
    Result.Builder result = new Result.Builder(name());
    conditions(size, result);
    try (WorkFolder folder = WorkFolder.create("reflux-bench-score-")) {
      List<List<Object>> teachers = new ArrayList<>();
      try (DevStack stack = DevStack.start(folder.path().resolve("kafka"))) {
        teachers.add(
            new EndToEnd("", teacher, size.bundled(), result, progress)
                .measure(stack.clients("bundled."), size.lengths(), options.seed()));
        Path large =
            RandomTeachers.write(
                folder.path().resolve("large"),
                size.largeModel(),
                LanguageModel.load(teacher),
                options.seed());
        teachers.add(
            new EndToEnd("_100m", large, size.large(), result, progress)
                .measure(stack.clients("large."), size.lengths(), options.seed()));
      }
      result.table(
          new Result.Table(
              "teachers",
              List.of(
                  "teacher", "weights", "vocabulary", "k", "batch_tokens", "requests", "tokens"),
              teachers));
      InGraphTopK.measure(size.topK(), options.seed(), result, progress);
      ScoringMemory.measure(size.memory(), options.seed(), folder.path(), result, progress);
    }
    return result.build();
  }

  private static void conditions(Size size, Result.Builder result) {
    result
        .condition("threads", 1)
        .condition("lengths_prompt_and_response", size.lengths().toString())
        .condition(
            "end_to_end",
            "requests with responses are on the topic; from the commit that shows them to the sight"
                + " of the last label; start-up excluded; broker, registry and clients in the same"
                + " process on the same processors; no cache")
        .condition(
            "bare",
            "same graph, session options and sequences; sorted by length under the same token"
                + " budget, with at most a tenth of padding, before the clock starts; outputs read;"
                + " the scorer idle beside it")
        .condition(
            "in_graph_topk",
            ("hidden %d, %d layers, V %d, k %d, batches of %d x %d; copied out by the runtime's Java"
                    + " library, or pinned: written into memory of Java's that is used again; then a"
                    + " heap and two passes a row")
                .formatted(
                    size.topK().model().hidden(),
                    size.topK().model().layers(),
                    size.topK().model().vocabulary(),
                    size.topK().k(),
                    size.topK().sequences(),
                    size.topK().tokens()))
        .condition(
            "memory",
            "hidden %d, %d layers, V %d, k %d, %d x %d tokens; VmHWM over VmRSS before, in a fresh"
                    .formatted(
                        size.memory().model().hidden(),
                        size.memory().model().layers(),
                        size.memory().model().vocabulary(),
                        size.memory().k(),
                        size.memory().sequences(),
                        size.memory().tokens())
                + " process; over tokens x V x 4 bytes");
  }
}
