package io.reflux.bench.prune;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.bench.recipe.Arms;
import io.reflux.bench.recipe.Corpus;
import io.reflux.bench.recipe.Examination;
import io.reflux.bench.recipe.Line;
import io.reflux.bench.recipe.Teaching;
import io.reflux.bench.recipe.TextTeacher;
import io.reflux.bench.recipe.Workplace;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.pretrain.Shape;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.LongStream;

/**
 * A quarter of a student's weights pruned in several ways and distilled again, against the dense
 * student with as much training; and what removed key-value groups are worth in speed.
 */
public final class PruneBenchmark implements Benchmark {
  private final PruneSize chosen;

  public PruneBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  PruneBenchmark(PruneSize size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "prune";
  }

  @Override
  public String description() {
    return "students pruned by a quarter and distilled again, against dense ones; speed of fewer groups";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(BenchmarkOption.DATA, BenchmarkOption.SEEDS, BenchmarkOption.WORK);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    PruneSize size = chosen != null ? chosen : options.quick() ? PruneSize.QUICK : PruneSize.FULL;
    Corpus corpus = Corpus.of(options, size.recipe());
    try (WorkFolder folder = WorkFolder.create("reflux-bench-prune-")) {
      Path work = options.work().orElse(folder.path());
      // The recipe's own teacher, if it has been there.
      Workplace recipe = TextTeacher.workplace(corpus, size.recipe(), work);
      LanguageModel teacher = TextTeacher.of(corpus, size.recipe(), recipe, progress);
      Workplace workplace =
          new Workplace(
              work,
              "prune: %s, %d lines, %s".formatted(corpus.name(), corpus.training().size(), size));
      Result.Builder result = new Result.Builder("prune");
      quality(corpus, size, options, teacher, workplace, result, progress);
      new GroupSpeed(size.speed(), result, progress).measure();
      return result.build();
    }
  }

  private static void quality(
      Corpus corpus,
      PruneSize size,
      BenchmarkOptions options,
      LanguageModel teacher,
      Workplace workplace,
      Result.Builder result,
      PrintWriter progress)
      throws Exception {
    Teaching teaching = new Teaching(teacher);
    List<Line> lines = Line.of(teacher, corpus.training());
    int maxTokens = Line.mostAnswerTokens(lines);
    ModelConfig dense =
        Shape.parse(size.student())
            .config(
                teacher.config().vocabularySize(),
                OptionalInt.empty(),
                teacher.config().eosTokenIds());
    progress.printf("the teacher labels %,d lines%n", lines.size());
    progress.flush();
    Examination test = Examination.ofAnswers(teaching, Line.of(teacher, corpus.test()), maxTokens);
    PruneArms ways =
        new PruneArms(
            size,
            dense,
            teaching.lessons(lines),
            Examination.ofAnswers(teaching, Line.of(teacher, corpus.validation()), maxTokens),
            test);
    List<Long> seeds =
        LongStream.range(0, options.seeds().orElse(size.seeds()))
            .mapToObj(i -> options.seed() + i)
            .toList();
    Arms arms = new Arms(workplace, size.workers(), progress);
    arms.run(ways.tasks(seeds));
    result
        .sample("teacher_accuracy", test.teacher().accuracy(), "")
        .condition("data", corpus.name())
        .condition("training_lines", corpus.training().size())
        .condition("test_lines", corpus.test().size())
        .condition("teacher_weights", teacher.config().parameters());
    new PruneReport(size, arms, dense, seeds.size()).add(result);
  }
}
