package io.reflux.bench.recipe;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationHandle;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.Batch;
import io.reflux.trainer.nn.Losses;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Targets;
import io.reflux.trainer.nn.TrainableModel;
import io.reflux.trainer.nn.TrainingSequence;
import io.reflux.trainer.pretrain.LengthBuckets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntFunction;
import java.util.stream.IntStream;

/** Lines that a model is held against the teacher on, with all that the teacher says of them. */
public final class Examination {
  private static final int BATCH_TOKENS = 4096;
  private static final int SLOTS = 32;
  private static final int BINS = 15;

  private final Teaching teaching;
  private final LanguageModel teacher;
  private final List<Line> lines;
  private final boolean whole;
  private final int maxTokens;
  private final List<TrainingSequence> labelled;
  private final double teacherCrossEntropy;
  private final List<int[]> teacherAnswers;

  /**
   * What came out.
   *
   * @param crossEntropy nats a token of the reference text
   * @param gap of it to the teacher's own
   * @param kl KL(teacher‖student), nats a token
   * @param klOwn the same on answers that the student drew itself; NaN for whole text
   * @param agreement share of tokens where both like the same one best
   * @param accuracy share of whole greedy answers that are the reference; NaN for whole text
   * @param sameAnswer share of whole greedy answers that are the teacher's; NaN for whole text
   * @param calibrationError expected, of the likeliest token against the one that stands, in 15
   *     bins; NaN for answers alone
   */
  public record Marks(
      double crossEntropy,
      double gap,
      double kl,
      double klOwn,
      double agreement,
      double accuracy,
      double sameAnswer,
      double calibrationError) {

    /** By key, without those that are not numbers. */
    public Map<String, Double> figures() {
      Map<String, Double> figures = new LinkedHashMap<>();
      figures.put("accuracy", accuracy);
      figures.put("same_answer", sameAnswer);
      figures.put("agreement", agreement);
      figures.put("kl", kl);
      figures.put("kl_own", klOwn);
      figures.put("cross_entropy", crossEntropy);
      figures.put("gap", gap);
      figures.put("calibration_error", calibrationError);
      figures.values().removeIf(value -> value.isNaN());
      return figures;
    }
  }

  private Examination(Teaching teaching, List<Line> lines, boolean whole, int maxTokens) {
    this.teaching = teaching;
    this.teacher = teaching.teacher();
    this.lines = lines;
    this.whole = whole;
    this.maxTokens = maxTokens;
    this.labelled = labelled(lines);
    this.teacherCrossEntropy = losses(teacher.config(), teacher.weights()).meanCrossEntropy();
    this.teacherAnswers =
        whole ? List.of() : answers(teacher.config(), teacher.weights(), teacher.stopIds());
  }

  /** On answers: the prompt is given. */
  public static Examination ofAnswers(Teaching teaching, List<Line> lines, int maxTokens) {
    return new Examination(teaching, lines, false, maxTokens);
  }

  /** On every token of the text, against the teacher's whole distributions. */
  static Examination ofText(Teaching teaching, List<Line> lines) {
    return new Examination(teaching, lines, true, 0);
  }

  /** The teacher itself. */
  public Marks teacher() {
    return of(teacher.config(), teacher.weights());
  }

  /** The divergence alone, which takes no generating. */
  public Losses losses(ModelConfig config, Weights weights) {
    return losses(config, weights, labelled);
  }

  private static Losses losses(
      ModelConfig config, Weights weights, List<TrainingSequence> sequences) {
    Losses losses = Losses.NONE;
    try (TrainableModel model =
        new TrainableModel(config, weights, AdamW.DEFAULT, ModelOptions.DEFAULT)) {
      for (List<TrainingSequence> part : LengthBuckets.cut(sequences, BATCH_TOKENS)) {
        losses = losses.plus(model.measure(new Batch(part, config.vocabularySize())));
      }
    }
    return losses;
  }

  /** Everything. */
  public Marks of(ModelConfig config, Weights weights) {
    Losses losses = losses(config, weights);
    double gap = losses.meanCrossEntropy() - teacherCrossEntropy;
    if (whole) {
      return new Marks(
          losses.meanCrossEntropy(),
          gap,
          losses.meanKl(),
          Double.NaN,
          losses.agreement(),
          Double.NaN,
          Double.NaN,
          calibrationError(config, weights));
    }
    List<int[]> answers = answers(config, weights, teacher.stopIds());
    int right = 0;
    int same = 0;
    for (int i = 0; i < answers.size(); i++) {
      String text = teacher.tokenizer().decode(answers.get(i), true).strip();
      right += text.equals(lines.get(i).answer().strip()) ? 1 : 0;
      same += Arrays.equals(answers.get(i), teacherAnswers.get(i)) ? 1 : 0;
    }
    return new Marks(
        losses.meanCrossEntropy(),
        gap,
        losses.meanKl(),
        losses(config, weights, labelled(written(config, weights))).meanKl(),
        losses.agreement(),
        (double) right / lines.size(),
        (double) same / lines.size(),
        Double.NaN);
  }

  /** With all that the teacher says of them. */
  private List<TrainingSequence> labelled(List<Line> some) {
    LabelKind kind = whole ? new LabelKind(LabelKind.Way.FULL, 0) : LabelKind.topK(LabelKind.WIDE);
    List<Targets> labels = teaching.labels(some, kind, whole, 0);
    List<TrainingSequence> sequences = new ArrayList<>();
    for (int i = 0; i < some.size(); i++) {
      Line line = some.get(i);
      sequences.add(
          new TrainingSequence(
              line.ids(),
              Teaching.first(line, whole),
              labels.get(i),
              null,
              Objective.forwardKl(0),
              null));
    }
    return sequences;
  }

  /** The prompts with answers drawn from a model. */
  private List<Line> written(ModelConfig config, Weights weights) {
    List<int[]> drawn =
        answers(
            config,
            weights,
            lines,
            maxTokens,
            teacher.stopIds(),
            i -> new SamplingOptions(1, 1, 0, i));
    return IntStream.range(0, lines.size())
        .mapToObj(i -> lines.get(i).withAnswer(drawn.get(i)))
        .toList();
  }

  private List<int[]> answers(ModelConfig config, Weights weights, Set<Integer> stopIds) {
    return answers(config, weights, lines, maxTokens, stopIds);
  }

  /** Greedy answers. */
  static List<int[]> answers(
      ModelConfig config, Weights weights, List<Line> lines, int maxTokens, Set<Integer> stopIds) {
    return answers(config, weights, lines, maxTokens, stopIds, i -> SamplingOptions.GREEDY);
  }

  private static List<int[]> answers(
      ModelConfig config,
      Weights weights,
      List<Line> lines,
      int maxTokens,
      Set<Integer> stopIds,
      IntFunction<SamplingOptions> sampling) {
    int longest = lines.stream().mapToInt(Line::promptLength).max().orElseThrow();
    EngineOptions room =
        new EngineOptions(SLOTS, Math.min(config.maxPositions(), longest + maxTokens));
    List<int[]> answers = new ArrayList<>();
    try (GenerationEngine engine =
        new GenerationEngine(config, weights, room, RuntimeOptions.DEFAULT)) {
      List<GenerationHandle> handles = new ArrayList<>();
      for (int i = 0; i < lines.size(); i++) {
        handles.add(
            engine.submit(
                new GenerationRequest(
                    lines.get(i).promptIds(), maxTokens, sampling.apply(i), stopIds, 0),
                null));
      }
      for (GenerationHandle handle : handles) {
        answers.add(handle.result().join().tokenIds());
      }
    }
    return answers;
  }

  /** Expected calibration error: confidence against how often it is justified, by bins. */
  private double calibrationError(ModelConfig config, Weights weights) {
    double[] confidence = new double[BINS];
    double[] hits = new double[BINS];
    int[] rows = new int[1];
    try (Scorer scorer =
        new Scorer(config, weights, ScorerOptions.topK(1), RuntimeOptions.DEFAULT)) {
      List<ScoreRequest> requests =
          lines.stream().map(line -> ScoreRequest.of(line.ids(), 1)).toList();
      Teaching.score(
          scorer,
          requests,
          (i, scores) -> {
            for (int row = 0; row < scores.rows(); row++) {
              double top = Math.exp(scores.topLogprobs()[row]);
              int bin = Math.min(BINS - 1, (int) (top * BINS));
              confidence[bin] += top;
              hits[bin] += scores.topIds()[row] == requests.get(i).tokenIds()[row + 1] ? 1 : 0;
              rows[0]++;
            }
          });
    }
    double error = 0;
    for (int bin = 0; bin < BINS; bin++) {
      error += Math.abs(confidence[bin] - hits[bin]);
    }
    return error / rows[0];
  }
}
