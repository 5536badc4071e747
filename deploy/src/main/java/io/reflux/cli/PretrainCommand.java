package io.reflux.cli;

import io.reflux.config.Settings;
import io.reflux.model.checkpoint.DType;
import io.reflux.schemas.service.RefluxException;
import io.reflux.trainer.pretrain.PretrainOptions;
import io.reflux.trainer.pretrain.PretrainProgress;
import io.reflux.trainer.pretrain.PretrainReport;
import io.reflux.trainer.pretrain.Pretrainer;
import io.reflux.trainer.pretrain.PromptResponse;
import io.reflux.trainer.pretrain.Shape;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Makes a model from nothing but lines of prompts and responses. */
@Command(
    name = "pretrain",
    description = {
      "Makes a teacher for your own domain from prompts and responses.",
      "It trains a tokenizer and a small model from lines of {\"prompt\": …, \"response\": …} and "
          + "writes a Hugging Face directory."
    },
    mixinStandardHelpOptions = true)
final class PretrainCommand implements Runnable {
  private static final Duration PLAIN_INTERVAL = Duration.ofSeconds(10);

  @Option(
      names = "--data",
      required = true,
      paramLabel = "FILE.jsonl",
      description = "Prompts and responses.")
  private Path data;

  @Option(
      names = "--shape",
      paramLabel = "SHAPE",
      defaultValue = "vocab=1024,hidden=256,layers=4,heads=8,kv-heads=4,ffn=704",
      description = "Size of the model (default: ${DEFAULT-VALUE}).")
  private String shape;

  @Option(names = "--out", required = true, paramLabel = "DIR", description = "Where to write.")
  private Path out;

  @Option(names = "--epochs", description = "Passes over the data (default: 10).")
  private Integer epochs;

  @Option(
      names = "--time",
      paramLabel = "TIME",
      description =
          "Stop after this long, such as 20m, with the learning rate brought down in time.")
  private String time;

  @Option(names = "--learning-rate", description = "Peak (default: 2e-3).")
  private Double learningRate;

  @Option(names = "--batch-tokens", description = "Tokens a step (default: 4096).")
  private Integer batchTokens;

  @Option(
      names = "--prompt-weight",
      description = "Weight of prompt tokens, where response tokens have 1 (default: 0.1).")
  private Double promptWeight;

  @Option(
      names = "--validation",
      description = "Share of the prompts kept for validation (default: 0.05).")
  private Double validation;

  @Option(names = "--seed", description = "Of weights and order (default: 42).")
  private Long seed;

  @Option(
      names = "--threads",
      description = "Processor threads (default: 1; other counts give other last digits).")
  private Integer threads;

  @Option(
      names = "--dtype",
      description = "Of the written weights: bf16, f16, f32 (default: bf16).")
  private DType dtype;

  @Spec private CommandSpec spec;

  @Override
  public void run() {
    PretrainOptions options = PretrainOptions.of(Shape.parse(shape));
    if (epochs != null) {
      options = options.withEpochs(epochs);
    }
    if (time != null) {
      options = options.withBudget(parse(time));
    }
    if (learningRate != null) {
      options = options.withLearningRate(learningRate);
    }
    if (batchTokens != null) {
      options = options.withBatchTokens(batchTokens);
    }
    if (promptWeight != null) {
      options = options.withPromptWeight(promptWeight);
    }
    if (validation != null) {
      options = options.withValidation(validation, options.validationEverySteps());
    }
    if (seed != null) {
      options = options.withSeed(seed);
    }
    if (threads != null) {
      options = options.withThreads(threads);
    }
    if (dtype != null) {
      options = options.withDtype(dtype);
    }
    try {
      Files.createDirectories(out);
    } catch (IOException e) {
      throw new RefluxException("--out: " + out + " (expected: a writable directory)", e);
    }
    PrintWriter terminal = spec.commandLine().getOut();
    List<PromptResponse> exchanges = PromptResponse.read(data);
    terminal.printf("%,d lines; training the tokenizer …%n", exchanges.size());
    terminal.flush();
    PretrainReport report = Pretrainer.run(exchanges, options, out, progress(terminal));
    terminal.printf(
        Locale.ROOT,
        "%n%s: %,d weights, vocabulary %,d, best of %,d steps, %,.0f tokens/s%s%n",
        report.directory(),
        report.parameters(),
        report.vocabularySize(),
        report.steps(),
        report.tokensPerSecond(),
        report.validationAccuracy().isPresent()
            ? String.format(
                Locale.ROOT,
                ", validation loss %.4f, response tokens right %.2f %%",
                report.validationLoss().orElseThrow(),
                100 * report.validationAccuracy().getAsDouble())
            : "");
    if (report.skippedExchanges() > 0) {
      terminal.printf("%,d lines were longer than the context%n", report.skippedExchanges());
    }
    terminal.flush();
  }

  private static Duration parse(String text) {
    try {
      return Settings.parseDuration(text);
    } catch (IllegalArgumentException e) {
      throw new RefluxException("--time: " + e.getMessage(), e);
    }
  }

  private static Consumer<PretrainProgress> progress(PrintWriter terminal) {
    boolean inPlace = Boolean.getBoolean("reflux.terminal");
    long[] nextNanos = {System.nanoTime()};
    return p -> {
      String line =
          String.format(
              Locale.ROOT,
              "epoch %d  step %,d of %,d  loss %.4f  %,.0f tokens/s  %s left%s",
              p.epoch(),
              p.step(),
              p.totalSteps(),
              p.loss(),
              p.tokensPerSecond(),
              clock(p.remaining()),
              p.validationLoss().isPresent()
                  ? String.format(
                      Locale.ROOT,
                      "  validation %.4f (%.1f %%)",
                      p.validationLoss().getAsDouble(),
                      100 * p.validationAccuracy().orElse(0))
                  : "");
      if (inPlace) {
        terminal.print("\r\033[K" + line);
        terminal.flush();
      } else if (System.nanoTime() >= nextNanos[0]) {
        nextNanos[0] = System.nanoTime() + PLAIN_INTERVAL.toNanos();
        terminal.println(line);
        terminal.flush();
      }
    };
  }

  private static String clock(Duration d) {
    return String.format("%d:%02d", d.toMinutes(), d.toSecondsPart());
  }
}
