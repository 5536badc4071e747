package io.reflux.trainer.pretrain;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.chat.ChatMessage;
import io.reflux.model.chat.ChatTemplate;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import io.reflux.model.tokenizer.Tokenizer;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.Losses;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.TrainableModel;
import io.reflux.trainer.nn.TrainingSequence;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Trains a tokenizer and a small Llama model on prompts and responses by next-token cross-entropy:
 * AdamW, linear warm-up, cosine decay to a tenth, shuffled batches without padding.
 *
 * <p>Exchanges whose prompts are equal land on the same side of the validation split.
 */
public final class Pretrainer {
  private static final double LAST_LEARNING_RATE_SHARE = 0.1;
  private static final int MAX_VALIDATION_EXCHANGES = 1000;
  private static final Duration REPORT_EVERY = Duration.ofSeconds(1);

  private final PretrainOptions options;
  private final Path directory;
  private final Consumer<PretrainProgress> listener;

  private long step;
  private long tokens;
  private long startNanos;
  private OptionalDouble validationLoss = OptionalDouble.empty();
  private OptionalDouble validationAccuracy = OptionalDouble.empty();

  private Pretrainer(PretrainOptions options, Path directory, Consumer<PretrainProgress> listener) {
    this.options = options;
    this.directory = directory;
    this.listener = listener;
  }

  /**
   * Makes a model.
   *
   * @param directory where it goes; files of the same names are replaced
   * @param listener told about every second, on the calling thread
   * @throws ModelException if the exchanges cannot make a model
   */
  public static PretrainReport run(
      List<PromptResponse> exchanges,
      PretrainOptions options,
      Path directory,
      Consumer<PretrainProgress> listener) {
    if (exchanges.isEmpty()) {
      throw new ModelException("exchanges: none (expected: at least one)");
    }
    return new Pretrainer(options, directory, listener).train(exchanges);
  }

  private record Corpus(
      List<TrainingSequence> training, List<TrainingSequence> validation, int skipped) {}

  /** Reports and their intervals. */
  private static final class Meter {
    private long nanos = System.nanoTime();
    private long tokens;
    private double objective;
    private long steps;
  }

  private PretrainReport train(List<PromptResponse> exchanges) {
    Tokenizer tokenizer = trainTokenizer(exchanges);
    int end = tokenizer.id(OwnChat.END).orElseThrow();
    ModelConfig config = config(tokenizer, end);
    Corpus corpus = corpus(exchanges, tokenizer, end);
    AdamW adamW = new AdamW(0.9, 0.95, 1e-8, options.weightDecay(), 1);
    startNanos = System.nanoTime();
    try (TrainableModel model =
        new TrainableModel(
            config,
            RandomModel.weights(config, options.seed()),
            adamW,
            ModelOptions.DEFAULT.withThreads(options.threads()))) {
      Best best = trainEpochs(model, corpus);
      LanguageModel.save(directory, config, best.weights, options.dtype(), directory);
      Duration elapsed = elapsed();
      return new PretrainReport(
          directory,
          model.parameterCount(),
          config.vocabularySize(),
          step,
          best.step,
          tokens,
          tokens / Math.max(1e-9, seconds(elapsed)),
          corpus.training().size(),
          corpus.validation().size(),
          corpus.skipped(),
          best.loss,
          best.accuracy,
          elapsed);
    }
  }

  private record Best(
      MemoryWeights weights, long step, OptionalDouble loss, OptionalDouble accuracy) {}

  private Best trainEpochs(TrainableModel model, Corpus corpus) {
    Random random = new Random(options.seed());
    List<List<TrainingSequence>> batches =
        LengthBuckets.shuffled(corpus.training(), options.batchTokens(), random);
    long totalSteps = (long) batches.size() * options.epochs();
    Meter meter = new Meter();
    Best best = new Best(model.export(), 0, OptionalDouble.empty(), OptionalDouble.empty());
    for (int epoch = 1; epoch <= options.epochs() && progress(totalSteps) < 1; epoch++) {
      if (epoch > 1) {
        batches = LengthBuckets.shuffled(corpus.training(), options.batchTokens(), random);
        // A shuffle may cut a batch more or less than the first did.
        totalSteps = step + (long) batches.size() * (options.epochs() - epoch + 1);
      }
      for (List<TrainingSequence> batch : batches) {
        if (progress(totalSteps) >= 1) {
          break;
        }
        double learningRate = learningRate(progress(totalSteps));
        Losses losses = model.accumulate(batch(batch, model.config()));
        model.update(learningRate);
        step++;
        long batchTokens = batch.stream().mapToLong(s -> s.tokenIds().length).sum();
        tokens += batchTokens;
        meter.tokens += batchTokens;
        meter.objective += losses.objective();
        meter.steps++;
        if (step % options.validationEverySteps() == 0) {
          best = validate(model, corpus.validation(), best);
        }
        if (System.nanoTime() - meter.nanos >= REPORT_EVERY.toNanos()) {
          report(meter, epoch, totalSteps, learningRate);
          meter = new Meter();
        }
      }
    }
    best = validate(model, corpus.validation(), best);
    report(meter, options.epochs(), step, learningRate(1));
    return best;
  }

  private Batch batch(List<TrainingSequence> sequences, ModelConfig config) {
    return new Batch(sequences, config.vocabularySize());
  }

  private Best validate(TrainableModel model, List<TrainingSequence> validation, Best best) {
    if (validation.isEmpty()) {
      return new Best(model.export(), step, OptionalDouble.empty(), OptionalDouble.empty());
    }
    Losses losses = Losses.NONE;
    for (List<TrainingSequence> part : LengthBuckets.cut(validation, options.batchTokens())) {
      losses = losses.plus(model.measure(batch(part, model.config())));
    }
    validationLoss = OptionalDouble.of(losses.meanCrossEntropy());
    validationAccuracy = OptionalDouble.of(losses.accuracy());
    boolean better = best.loss.isEmpty() || losses.meanCrossEntropy() < best.loss.getAsDouble();
    return better ? new Best(model.export(), step, validationLoss, validationAccuracy) : best;
  }

  private void report(Meter meter, int epoch, long totalSteps, double learningRate) {
    Duration elapsed = elapsed();
    double done = Math.max(progress(totalSteps), 1e-9);
    double remaining = seconds(elapsed) * (1 - Math.min(1, done)) / done;
    double interval = (System.nanoTime() - meter.nanos) / 1e9;
    listener.accept(
        new PretrainProgress(
            step,
            totalSteps,
            epoch,
            meter.steps == 0 ? 0 : meter.objective / meter.steps,
            learningRate,
            meter.tokens / Math.max(1e-9, interval),
            elapsed,
            Duration.ofMillis((long) (remaining * 1000)),
            validationLoss,
            validationAccuracy));
  }

  /** Share of the work that is done: by steps or by time, whichever ends first. */
  private double progress(long totalSteps) {
    double bySteps = (double) step / totalSteps;
    double byTime =
        options.budget().map(budget -> seconds(elapsed()) / seconds(budget)).orElse(0.0);
    return Math.max(bySteps, byTime);
  }

  private double learningRate(double progress) {
    double warmUp = options.warmUpShare();
    if (progress < warmUp) {
      // Never quite zero: the first step should count.
      return options.learningRate() * Math.max(0.01, progress / warmUp);
    }
    double decay = Math.min(1, (progress - warmUp) / (1 - warmUp));
    double cosine = (1 + Math.cos(Math.PI * decay)) / 2;
    return options.learningRate()
        * (LAST_LEARNING_RATE_SHARE + (1 - LAST_LEARNING_RATE_SHARE) * cosine);
  }

  private Tokenizer trainTokenizer(List<PromptResponse> exchanges) {
    BpeVocabulary vocabulary =
        BpeTrainer.train(
            exchanges.stream()
                .flatMap(exchange -> Stream.of(exchange.prompt(), exchange.response()))
                .iterator(),
            options.shape().vocabularySize().orElseThrow(),
            OwnChat.SPECIAL_TOKENS);
    vocabulary.write(directory, OwnChat.ROLES);
    return Tokenizer.load(directory);
  }

  private ModelConfig config(Tokenizer tokenizer, int end) {
    Shape asked = options.shape();
    // The text may not hold as many pairs as ids were asked for.
    Shape shape =
        new Shape(
            OptionalInt.empty(),
            asked.hiddenSize(),
            asked.layers(),
            asked.heads(),
            asked.keyValueHeads(),
            asked.headSize(),
            asked.intermediateSize(),
            asked.maxPositions(),
            asked.tiedEmbeddings());
    return shape.config(tokenizer.vocabularySize(), OptionalInt.empty(), List.of(end));
  }

  private Corpus corpus(List<PromptResponse> exchanges, Tokenizer tokenizer, int end) {
    ChatTemplate template = ChatTemplate.load(directory).orElseThrow();
    List<TrainingSequence> training = new ArrayList<>();
    List<TrainingSequence> validation = new ArrayList<>();
    int skipped = 0;
    for (PromptResponse exchange : exchanges) {
      String text = template.render(List.of(ChatMessage.user(exchange.prompt())), true);
      int[] prompt = tokenizer.encode(text, false);
      int[] response = tokenizer.encode(exchange.response(), false);
      if (prompt.length + response.length + 1 > options.shape().maxPositions()) {
        skipped++;
        continue;
      }
      boolean held = isHeldBack(exchange.prompt());
      if (!held) {
        training.add(sequence(prompt, response, end, (float) options.promptWeight()));
      } else if (validation.size() < MAX_VALIDATION_EXCHANGES) {
        validation.add(sequence(prompt, response, end, 0));
      }
    }
    if (training.isEmpty()) {
      throw new ModelException(
          "exchanges: %d, of them %d longer than the context (expected: some to train on)"
              .formatted(exchanges.size(), skipped));
    }
    return new Corpus(training, validation, skipped);
  }

  private static TrainingSequence sequence(
      int[] prompt, int[] response, int end, float promptWeight) {
    int[] ids = Arrays.copyOf(prompt, prompt.length + response.length + 1);
    System.arraycopy(response, 0, ids, prompt.length, response.length);
    ids[ids.length - 1] = end;
    if (promptWeight == 0) {
      return new TrainingSequence(ids, prompt.length, null, null, Objective.CROSS_ENTROPY, null);
    }
    float[] weights = new float[ids.length - 1];
    Arrays.fill(weights, 0, prompt.length - 1, promptWeight);
    Arrays.fill(weights, prompt.length - 1, weights.length, 1);
    return new TrainingSequence(ids, 1, null, weights, Objective.CROSS_ENTROPY, null);
  }

  private boolean isHeldBack(String prompt) {
    long mixed = (prompt.hashCode() + 0x632BE59BD9B4E019L) * 0x9E3779B97F4A7C15L;
    return (mixed >>> 40) / (double) (1 << 24) < options.validationShare();
  }

  private Duration elapsed() {
    return Duration.ofNanos(System.nanoTime() - startNanos);
  }

  private static double seconds(Duration duration) {
    return duration.toNanos() / 1e9;
  }
}
