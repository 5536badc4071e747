package io.reflux.bench.recipe;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Targets;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Students that learn every token of the text, prompts too, from labels of different kinds. A
 * teacher is seldom sure of a prompt's next token, so much of its distribution lies beyond the
 * likeliest ids, as it does in the published comparisons (arXiv 2503.16870).
 */
final class TextArms {
  static final String TOKENS_ALONE = "tokens alone";

  /** In the order of a table; after tokens alone. */
  static final List<LabelKind> KINDS =
      List.of(
          new LabelKind(LabelKind.Way.RENORMALISED, 8),
          new LabelKind(LabelKind.Way.RENORMALISED, LabelKind.WIDE),
          LabelKind.topK(8),
          LabelKind.topK(25),
          LabelKind.topK(LabelKind.WIDE),
          new LabelKind(LabelKind.Way.SAMPLED, 50),
          new LabelKind(LabelKind.Way.FULL, 0));

  private final RecipeSize size;
  private final Teaching teaching;
  private final ModelConfig student;
  private final List<Line> lines;
  private final Map<String, List<TrainingSequence>> sequences = new LinkedHashMap<>();

  TextArms(RecipeSize size, Teaching teaching, ModelConfig student, List<Line> lines) {
    this.size = size;
    this.teaching = teaching;
    this.student = student;
    this.lines = lines;
  }

  static List<String> arms() {
    List<String> arms = new ArrayList<>(List.of(TOKENS_ALONE));
    KINDS.forEach(kind -> arms.add("text, " + kind));
    return arms;
  }

  Map<String, Double> run(
      String arm, double learningRate, double share, long seed, Examination test) {
    List<TrainingSequence> text = sequences(arm);
    try (Student one = new Student(student, learningRate, size.textTokens() * share, seed)) {
      one.train(new DataFeed(text, size.batchTokens(), seed), 1);
      return test.of(student, one.weights()).figures();
    }
  }

  private synchronized List<TrainingSequence> sequences(String arm) {
    return sequences.computeIfAbsent(arm, this::make);
  }

  private List<TrainingSequence> make(String arm) {
    List<Targets> labels =
        KINDS.stream()
            .filter(kind -> arm.equals("text, " + kind))
            .findFirst()
            .map(kind -> teaching.labels(lines, kind, true, 1))
            .orElse(null);
    Objective objective = labels == null ? Objective.CROSS_ENTROPY : Objective.forwardKl(0);
    List<TrainingSequence> made = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      made.add(
          new TrainingSequence(
              lines.get(i).ids(), 1, labels == null ? null : labels.get(i), null, objective, null));
    }
    return made;
  }
}
