package io.reflux.bench.recipe;

import io.reflux.bench.Benchmark;
import io.reflux.bench.BenchmarkOption;
import io.reflux.bench.BenchmarkOptions;
import io.reflux.bench.Result;
import io.reflux.bench.WorkFolder;
import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.pretrain.Shape;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.stream.LongStream;

/** Students of one shape and one compute budget, trained in the recipe's ways and in others. */
public final class RecipeBenchmark implements Benchmark {
  private static final String TEXT = "text";

  private final RecipeSize chosen;

  public RecipeBenchmark() {
    this(null);
  }

  /**
   * @param size null to go by {@link BenchmarkOptions#quick}
   */
  RecipeBenchmark(RecipeSize size) {
    this.chosen = size;
  }

  @Override
  public String name() {
    return "recipe";
  }

  @Override
  public String description() {
    return "students by recipe, for equal compute: soft labels, stages, objectives, labels, drift";
  }

  @Override
  public Set<BenchmarkOption> options() {
    return Set.of(
        BenchmarkOption.DATA, BenchmarkOption.SEEDS, BenchmarkOption.PLOT, BenchmarkOption.WORK);
  }

  @Override
  public Result run(BenchmarkOptions options, PrintWriter progress) throws Exception {
    RecipeSize size =
        chosen != null ? chosen : options.quick() ? RecipeSize.QUICK : RecipeSize.FULL;
    Corpus corpus = Corpus.of(options, size);
    try (WorkFolder folder = WorkFolder.create("reflux-bench-recipe-")) {
      Workplace workplace =
          TextTeacher.workplace(corpus, size, options.work().orElse(folder.path()));
      Teaching teaching = new Teaching(TextTeacher.of(corpus, size, workplace, progress));
      return measure(corpus, size, options, teaching, workplace, progress);
    }
  }

  private static Result measure(
      Corpus corpus,
      RecipeSize size,
      BenchmarkOptions options,
      Teaching teaching,
      Workplace workplace,
      PrintWriter progress)
      throws IOException, InterruptedException {
    LanguageModel teacher = teaching.teacher();
    List<Line> lines = Line.of(teacher, corpus.training());
    List<Line> validationLines = Line.of(teacher, corpus.validation());
    List<Line> testLines = Line.of(teacher, corpus.test());
    List<Line> textLines = lines.subList(0, Math.min(size.textLines(), lines.size()));
    int maxTokens = Line.mostAnswerTokens(lines);
    ModelConfig student =
        Shape.parse(size.student())
            .config(
                teacher.config().vocabularySize(),
                OptionalInt.empty(),
                teacher.config().eosTokenIds());
    say(progress, "the teacher answers %,d prompts", lines.size());
    AnswerArms answers =
        new AnswerArms(
            size,
            teaching,
            student,
            lines,
            Examination.answers(
                teacher.config(), teacher.weights(), lines, maxTokens, teacher.stopIds()),
            maxTokens);
    TextArms text = new TextArms(size, teaching, student, textLines);
    Examination test = Examination.ofAnswers(teaching, testLines, maxTokens);
    Examination textTest = Examination.ofText(teaching, some(testLines, size.textTestLines()));
    Arms arms = new Arms(workplace, size.workers(), progress);

    Map<String, Double> rates =
        new LearningRates(size, arms)
            .choose(
                answers,
                Examination.ofAnswers(teaching, validationLines, maxTokens),
                text,
                Examination.ofText(teaching, some(validationLines, size.textTestLines())));
    DriftArms drift =
        new DriftArms(
            size,
            teaching,
            student,
            rates.get(AnswerArms.FORWARD) / 2,
            lines,
            testLines,
            maxTokens);
    long[] seeds =
        LongStream.range(0, options.seeds().orElse(size.seeds()))
            .map(i -> options.seed() + i)
            .toArray();
    arms.run(tasks(seeds, rates, answers, test, text, textTest, drift));

    RecipeReport report = new RecipeReport(size, arms, rates);
    Result result =
        report.result(
            corpus,
            teaching,
            student,
            test.teacher(),
            textTest.teacher(),
            TeacherSharpness.table(teaching, some(testLines, size.textTestLines())),
            seeds.length);
    if (options.plot().isPresent()) {
      RecipePlot.write(options.plot().get(), size, arms);
    }
    return result;
  }

  /** One seed of everything after another, so that an interrupted run has whole seeds. */
  private static List<Arms.Task> tasks(
      long[] seeds,
      Map<String, Double> rates,
      AnswerArms answers,
      Examination test,
      TextArms text,
      Examination textTest,
      DriftArms drift) {
    List<Arms.Task> tasks = new ArrayList<>();
    for (long seed : seeds) {
      for (String way :
          List.of(
              AnswerArms.REFERENCE,
              AnswerArms.TEACHER_ANSWERS,
              AnswerArms.REVERSE,
              AnswerArms.JSD)) {
        // The teacher's answers are references of another hand.
        double rate = rates.getOrDefault(way, rates.get(AnswerArms.REFERENCE));
        tasks.add(alone(way, seed, () -> answers.onData(way, rate, seed, test)));
      }
      List<String> stages = new ArrayList<>(List.of(AnswerArms.FORWARD));
      AnswerArms.SECOND_STAGES.forEach(second -> stages.add(second.getKey()));
      tasks.add(
          new Arms.Task(
              stages, seed, () -> answers.stages(rates.get(AnswerArms.FORWARD), seed, test)));
      for (String arm : TextArms.arms()) {
        tasks.add(alone(arm, seed, () -> text.run(arm, rates.get(TEXT), 1, seed, textTest)));
      }
      for (String arm : DriftArms.arms()) {
        tasks.add(alone(arm, seed, () -> drift.run(arm, seed)));
      }
    }
    return tasks;
  }

  /** Something that gives the figures of one arm. */
  interface OneArm {
    Map<String, Double> run();
  }

  static Arms.Task alone(String arm, long seed, OneArm work) {
    return new Arms.Task(List.of(arm), seed, () -> Map.of(arm, work.run()));
  }

  private static <T> List<T> some(List<T> lines, int most) {
    return lines.subList(0, Math.min(most, lines.size()));
  }

  private static void say(PrintWriter progress, String format, Object... values) {
    progress.printf(format + "%n", values);
    progress.flush();
  }

  /** Learning rates of the ways of learning, each the best of a few on the validation part. */
  private record LearningRates(RecipeSize size, Arms arms) {
    Map<String, Double> choose(
        AnswerArms answers, Examination validation, TextArms text, Examination textValidation)
        throws IOException, InterruptedException {
      List<Arms.Task> probes = new ArrayList<>();
      for (double rate : size.learningRates()) {
        for (String family : AnswerArms.families()) {
          probes.add(alone(probe(family, rate), 0, () -> answers.probe(family, rate, validation)));
        }
        probes.add(
            alone(
                probe(TEXT, rate),
                0,
                () ->
                    text.run(
                        "text, " + LabelKind.topK(LabelKind.WIDE),
                        rate,
                        size.probeShare(),
                        0,
                        textValidation)));
      }
      arms.run(probes);
      Map<String, Double> rates = new LinkedHashMap<>();
      for (String family : AnswerArms.families()) {
        rates.put(family, best(family, family.equals(AnswerArms.REFERENCE)));
      }
      rates.put(TEXT, best(TEXT, false));
      return rates;
    }

    /** By what the way of learning minimises: references' loss, or the distance to the teacher. */
    private double best(String family, boolean references) {
      double best = Double.NaN;
      double least = Double.POSITIVE_INFINITY;
      for (double rate : size.learningRates()) {
        double loss = arms.values(probe(family, rate), references ? "cross_entropy" : "kl").get(0);
        if (loss < least) {
          least = loss;
          best = rate;
        }
      }
      return best;
    }

    private static String probe(String family, double rate) {
      return "learning rate " + rate + " of " + family;
    }
  }
}
