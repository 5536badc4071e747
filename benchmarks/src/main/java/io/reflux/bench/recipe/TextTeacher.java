package io.reflux.bench.recipe;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.trainer.pretrain.PretrainOptions;
import io.reflux.trainer.pretrain.PretrainProgress;
import io.reflux.trainer.pretrain.Pretrainer;
import io.reflux.trainer.pretrain.PromptResponse;
import io.reflux.trainer.pretrain.Shape;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;

/**
 * The teacher that students of the recipe learn from, and what it was taught.
 *
 * @param data name of the text, for reports
 * @param training what it was taught
 * @param test what it was not
 */
public record TextTeacher(
    LanguageModel model, String data, List<PromptResponse> training, List<PromptResponse> test) {
  private static final double LEARNING_RATE = 2e-3;

  /**
   * The teacher of a folder of text; one that is in the place of work already is taken as it is.
   *
   * @param data as the recipe takes it
   * @param work where a run of the recipe kept its teacher, or this one is to be kept
   * @param quick whether it is the small one
   */
  public static TextTeacher of(Path data, Path work, boolean quick, PrintWriter progress)
      throws IOException {
    RecipeSize size = quick ? RecipeSize.QUICK : RecipeSize.FULL;
    Corpus corpus = Corpus.read(data, size.lines(), size.testLines());
    return new TextTeacher(
        of(corpus, size, workplace(corpus, size, work), progress),
        corpus.name(),
        corpus.training(),
        corpus.test());
  }

  /** Where all that belongs to a corpus and a size is kept. */
  public static Workplace workplace(Corpus corpus, RecipeSize size, Path work) throws IOException {
    return new Workplace(
        work, "%s, %d lines, %s".formatted(corpus.name(), corpus.training().size(), size));
  }

  /** The teacher of a corpus, trained if its workplace has none. */
  public static LanguageModel of(
      Corpus corpus, RecipeSize size, Workplace workplace, PrintWriter progress)
      throws IOException {
    Path directory = workplace.teacher();
    Path finished = directory.resolve("finished");
    if (!Files.exists(finished)) {
      Files.createDirectories(directory);
      say(progress, "training the teacher on %,d lines", corpus.training().size());
      PretrainOptions pretraining =
          PretrainOptions.of(Shape.parse(size.teacher()))
              .withEpochs(size.teacherEpochs())
              .withLearningRate(LEARNING_RATE)
              .withPromptWeight(0.2)
              .withDtype(DType.F32);
      Pretrainer.run(corpus.training(), pretraining, directory, new Progress(progress));
      Files.createFile(finished);
    }
    return LanguageModel.load(directory);
  }

  /** A line now and then. */
  private static final class Progress implements Consumer<PretrainProgress> {
    private static final int EVERY_SECONDS = 15;
    private final PrintWriter progress;
    private long saidAtSeconds;

    Progress(PrintWriter progress) {
      this.progress = progress;
    }

    @Override
    public void accept(PretrainProgress at) {
      if (at.elapsed().toSeconds() >= saidAtSeconds + EVERY_SECONDS) {
        saidAtSeconds = at.elapsed().toSeconds();
        say(
            progress,
            "teacher: step %d of %d, %.0f tokens/s, held-out loss %.4f",
            at.step(),
            at.totalSteps(),
            at.tokensPerSecond(),
            at.validationLoss().orElse(Double.NaN));
      }
    }
  }

  private static void say(PrintWriter progress, String format, Object... values) {
    progress.printf(format + "%n", values);
    progress.flush();
  }
}
