package io.reflux.bench.serve;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.WeightFormat;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Serving against llama.cpp, and the server against the bare session. */
public final class ServeBenchmark implements Benchmark {
  private static final int STREAMS = 8;

  private final Size chosen;

  /**
   * How much to measure.
   *
   * @param longPrompt tokens whose first answer is timed
   * @param compared prompts whose greedy answers are compared
   * @param warmUps of the server, so that its code is compiled before the clock starts
   */
  record Size(
      BenchStudent.Shape shape,
      int positions,
      int promptTokens,
      int longPrompt,
      int tokens,
      int compared,
      int warmUps,
      int runs) {
    private static final BenchStudent.Shape SMALL = new BenchStudent.Shape(4096, 256, 704, 6, 8, 4);

    static final Size FULL = new Size(SMALL, 1024, 32, 512, 192, 24, 10, 7);
    static final Size QUICK = new Size(SMALL, 1024, 32, 512, 96, 8, 3, 3);
  }

  public ServeBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  ServeBenchmark(Size size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "serve";
  }

  @Override
  public String description() {
    return "decoding and first tokens against llama.cpp; the server against the bare session";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.TEACHER);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    Size size = chosen != null ? chosen : options.quick() ? Size.QUICK : Size.FULL;
    LanguageModel teacher = LanguageModel.load(options.requireTeacher());
    BenchStudent student =
        BenchStudent.random(size.shape(), size.positions(), teacher.text(), options.seed());
    Result.Builder result = new Result.Builder(name());
    conditions(size, student, result);
    try (WorkFolder folder = WorkFolder.create("reflux-bench-serve-")) {
      greedy(size, teacher, folder.path(), result, progress);
      duels(size, student, folder.path(), result, progress);
      engines(size, student, result, progress);
      overhead(size, student, folder.path(), result, progress);
    }
    return result.build();
  }

  private static void conditions(Size size, BenchStudent student, Result.Builder result) {
    result
        .condition("threads", 1)
        .condition("streams", STREAMS)
        .condition("student", student.config().toString())
        .condition("weights", student.config().parameters())
        .condition("prompt_tokens", size.promptTokens())
        .condition("long_prompt_tokens", size.longPrompt())
        .condition("tokens", size.tokens())
        .condition(
            "llama",
            "de.kherud:llama 4.2.0, one thread, its own continuous batching, no prompt cache,"
                + " GGUF written from the same quantised weights; decode_ratio_*, ttft_ratio: the"
                + " worse of int8 against Q8_0 and int4 against Q4_0, run by run")
        .condition(
            "server_overhead",
            "seconds for 8 streams over HTTP, clients in this process, over a loop of the same"
                + " graph's runs and an argmax a row, prompts included; less 1")
        .condition(
            "greedy", "the teacher's texts in float32, keys and values too, against llama.cpp's");
  }

  private static void greedy(
      Size size, LanguageModel teacher, Path folder, Result.Builder result, PrintWriter progress) {
    say(progress, "greedy answers");
    BenchStudent student = new BenchStudent(teacher.config(), teacher.weights(), teacher.text());
    List<String> prompts = new ArrayList<>();
    int room = teacher.config().maxPositions();
    int tokens = Math.min(size.tokens(), room / 2);
    for (int i = 0; i < size.compared(); i++) {
      prompts.add(student.prompt(Math.min(size.promptTokens(), room / 3), i));
    }
    Greedy.compare(student, prompts, tokens, folder, result);
    Greedy.keyValues(student, prompts, tokens, result);
  }

  private static void duels(
      Size size, BenchStudent student, Path folder, Result.Builder result, PrintWriter progress)
      throws Exception {
    try (Duel int8 = new Duel(student, WeightFormat.INT8, STREAMS, size.positions(), folder);
        Duel int4 = new Duel(student, WeightFormat.INT4, STREAMS, size.positions(), folder)) {
      for (int run = -1; run < size.runs(); run++) {
        say(
            progress,
            "against llama.cpp: run %d of %d".formatted(Math.max(run, 0) + 1, size.runs()));
        Result.Builder into = run < 0 ? null : result;
        Duel.Ratios eight = measure(int8, run, size, into);
        Duel.Ratios four = measure(int4, run, size, into);
        if (run >= 0) {
          result
              .sample("decode_ratio_1", Math.min(eight.decodeAlone(), four.decodeAlone()), "")
              .sample(
                  "decode_ratio_" + STREAMS,
                  Math.min(eight.decodeTogether(), four.decodeTogether()),
                  "")
              .sample("ttft_ratio", Math.max(eight.firstToken(), four.firstToken()), "");
        }
      }
    }
  }

  private static Duel.Ratios measure(Duel duel, int run, Size size, Result.Builder result)
      throws Exception {
    return duel.measure(run, size.promptTokens(), size.longPrompt(), size.tokens(), result);
  }

  private static void engines(
      Size size, BenchStudent student, Result.Builder result, PrintWriter progress)
      throws Exception {
    try (Engines engines =
        new Engines(student.quantised(WeightFormat.INT8), STREAMS, size.positions())) {
      for (int run = -1; run < size.runs(); run++) {
        say(progress, "shared prompts: run %d of %d".formatted(Math.max(run, 0) + 1, size.runs()));
        engines.candidates(run, size.longPrompt(), result);
        engines.keyValues(run, size.longPrompt(), size.tokens(), result);
      }
    }
  }

  private static void overhead(
      Size size, BenchStudent student, Path folder, Result.Builder result, PrintWriter progress)
      throws Exception {
    try (ServerOverhead overhead =
        new ServerOverhead(
            student.quantised(WeightFormat.INT8), STREAMS, size.positions(), folder)) {
      say(progress, "the server: warming up");
      for (int run = -size.warmUps(); run < 0; run++) {
        overhead.measure(run, size.promptTokens(), size.tokens(), result);
      }
      for (int run = 0; run < size.runs(); run++) {
        say(progress, "the server: run %d of %d".formatted(run + 1, size.runs()));
        overhead.measure(run, size.promptTokens(), size.tokens(), result);
      }
    }
  }

  private static void say(PrintWriter progress, String what) {
    progress.println(what);
    progress.flush();
  }
}
