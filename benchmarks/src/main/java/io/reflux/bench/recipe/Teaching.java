package io.reflux.bench.recipe;

import io.reflux.model.LanguageModel;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.ScoreRequest;
import io.reflux.model.runtime.Scorer;
import io.reflux.model.runtime.ScorerOptions;
import io.reflux.model.runtime.Scores;
import io.reflux.trainer.nn.AdamW;
import io.reflux.trainer.nn.DenseTargets;
import io.reflux.trainer.nn.ModelOptions;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Targets;
import io.reflux.trainer.nn.TrainableModel;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;

/** What the teacher says of lines, as the scorer service would have it said. */
public final class Teaching {
  /** Tokens of a batch, padding included. */
  private static final int BATCH_TOKENS = 4096;

  private final LanguageModel teacher;

  public Teaching(LanguageModel teacher) {
    this.teacher = teacher;
  }

  /** Who teaches. */
  public LanguageModel teacher() {
    return teacher;
  }

  /**
   * Labels lines.
   *
   * @param whole whether prompts are labelled too
   * @param seed of the draws
   * @return one a line
   */
  List<Targets> labels(List<Line> lines, LabelKind kind, boolean whole, long seed) {
    if (kind.way() == LabelKind.Way.FULL) {
      return everything(lines, whole);
    }
    int vocabularySize = teacher.config().vocabularySize();
    ScorerOptions wanted =
        new ScorerOptions(Math.min(vocabularySize, kind.scoredIds()), kind.draws());
    Targets[] targets = new Targets[lines.size()];
    List<ScoreRequest> requests = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      requests.add(
          new ScoreRequest(
              lines.get(i).ids(), first(lines.get(i), whole), new int[0], 0, mixed(seed, i)));
    }
    score(requests, wanted, (i, scores) -> targets[i] = kind.targets(scores, vocabularySize));
    return List.of(targets);
  }

  /** Lines to learn the answers of, from labels and with an objective as they are by default. */
  public List<TrainingSequence> lessons(List<Line> lines) {
    return lessons(
        lines,
        labels(lines, LabelKind.topK(LabelKind.WIDE), false, 0),
        Objective.parse("forward-kl", AnswerArms.CROSS_ENTROPY_SHARE));
  }

  /**
   * The same from labels that are there.
   *
   * @param labels one a line; null to learn from the lines' tokens alone
   */
  static List<TrainingSequence> lessons(
      List<Line> lines, List<Targets> labels, Objective objective) {
    List<TrainingSequence> lessons = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      Line line = lines.get(i);
      lessons.add(
          new TrainingSequence(
              line.ids(),
              line.promptLength(),
              labels == null ? null : labels.get(i),
              null,
              objective,
              null));
    }
    return lessons;
  }

  /** Scores requests, those of like length together. */
  void score(List<ScoreRequest> requests, ScorerOptions wanted, BiConsumer<Integer, Scores> to) {
    try (Scorer scorer =
        new Scorer(teacher.config(), teacher.weights(), wanted, RuntimeOptions.DEFAULT)) {
      score(scorer, requests, to);
    }
  }

  /** Scores requests with a scorer that is open, those of like length together. */
  static void score(Scorer scorer, List<ScoreRequest> requests, BiConsumer<Integer, Scores> to) {
    List<Integer> order =
        IntStream.range(0, requests.size())
            .boxed()
            .sorted(Comparator.comparingInt(i -> requests.get(i).tokenIds().length))
            .toList();
    int from = 0;
    while (from < order.size()) {
      int until = from;
      while (until < order.size()
          && (until == from
              || (until + 1 - from) * requests.get(order.get(until)).tokenIds().length
                  <= BATCH_TOKENS)) {
        until++;
      }
      List<Integer> batch = order.subList(from, until);
      List<Scores> scores = scorer.score(batch.stream().map(requests::get).toList());
      for (int i = 0; i < batch.size(); i++) {
        to.accept(batch.get(i), scores.get(i));
      }
      from = until;
    }
  }

  /** Index of the first token that is predicted. */
  static int first(Line line, boolean whole) {
    return whole ? 1 : line.promptLength();
  }

  private List<Targets> everything(List<Line> lines, boolean whole) {
    int vocabularySize = teacher.config().vocabularySize();
    List<Targets> targets = new ArrayList<>();
    try (TrainableModel model =
        new TrainableModel(
            teacher.config(), teacher.weights(), AdamW.DEFAULT, ModelOptions.DEFAULT)) {
      for (Line line : lines) {
        float[] logits = model.logits(line.ids());
        int first = first(line, whole);
        int rows = line.ids().length - first;
        float[] logprobs = new float[rows * vocabularySize];
        for (int row = 0; row < rows; row++) {
          // The logits after a position are of the token that follows it.
          logSoftmax(logits, (first + row - 1) * vocabularySize, logprobs, row * vocabularySize);
        }
        targets.add(new DenseTargets(vocabularySize, logprobs, 1));
      }
    }
    return targets;
  }

  private void logSoftmax(float[] logits, int from, float[] logprobs, int to) {
    int vocabularySize = teacher.config().vocabularySize();
    double largest = Double.NEGATIVE_INFINITY;
    for (int id = 0; id < vocabularySize; id++) {
      largest = Math.max(largest, logits[from + id]);
    }
    double sum = 0;
    for (int id = 0; id < vocabularySize; id++) {
      sum += Math.exp(logits[from + id] - largest);
    }
    double scale = largest + Math.log(sum);
    for (int id = 0; id < vocabularySize; id++) {
      logprobs[to + id] = (float) (logits[from + id] - scale);
    }
  }

  private static long mixed(long seed, int line) {
    return (seed * 0x9E3779B97F4A7C15L) ^ (line * 0xBF58476D1CE4E5B9L);
  }
}
