package io.reflux.bench.recipe;

import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.trainer.nn.Objective;
import io.reflux.trainer.nn.Targets;
import io.reflux.trainer.nn.TrainingSequence;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Students that learn to answer: from references, from the teacher, and from their own text. */
final class AnswerArms {
  static final String REFERENCE = "references";
  static final String TEACHER_ANSWERS = "teacher's answers";
  static final String FORWARD = "forward KL";
  static final String REVERSE = "reverse KL";
  static final String JSD = "JSD 0.5";
  static final String THEN_FORWARD = "then on-policy forward KL";
  static final String THEN_REVERSE = "then on-policy reverse KL";
  static final String THEN_JSD = "then on-policy JSD 0.5";

  /** Second stages that are told apart, by name and objective. */
  static final List<Map.Entry<String, String>> SECOND_STAGES =
      List.of(
          Map.entry(THEN_FORWARD, "forward-kl"),
          Map.entry(THEN_REVERSE, "reverse-kl"),
          Map.entry(THEN_JSD, "jsd:0.5"));

  /** As the trainer's own default. */
  static final double CROSS_ENTROPY_SHARE = 0.1;

  private static final double FIRST_STAGE = 0.6;
  private static final double ON_POLICY_SHARE = 0.5;
  private static final int REFRESH_PROMPTS = 512;

  /** Keeps the second stage's order of data apart from the first's. */
  private static final long DATA_SEED = 1_000;

  private final RecipeSize size;
  private final Teaching teaching;
  private final ModelConfig student;
  private final List<Line> lines;
  private final int maxTokens;
  private final Map<String, List<TrainingSequence>> sequences = new LinkedHashMap<>();

  AnswerArms(
      RecipeSize size,
      Teaching teaching,
      ModelConfig student,
      List<Line> lines,
      List<int[]> teacherAnswers,
      int maxTokens) {
    this.size = size;
    this.teaching = teaching;
    this.student = student;
    this.lines = lines;
    this.maxTokens = maxTokens;
    List<Targets> labels = teaching.labels(lines, LabelKind.topK(LabelKind.WIDE), false, 0);
    sequences.put(REFERENCE, Teaching.lessons(lines, null, Objective.CROSS_ENTROPY));
    List<Line> answered = new ArrayList<>();
    for (int i = 0; i < lines.size(); i++) {
      answered.add(lines.get(i).withAnswer(teacherAnswers.get(i)));
    }
    sequences.put(TEACHER_ANSWERS, Teaching.lessons(answered, null, Objective.CROSS_ENTROPY));
    sequences.put(FORWARD, soft(labels, "forward-kl"));
    sequences.put(REVERSE, soft(labels, "reverse-kl"));
    sequences.put(JSD, soft(labels, "jsd:0.5"));
  }

  /** What a way of learning is called whose learning rate is chosen for it. */
  static List<String> families() {
    return List.of(REFERENCE, FORWARD, REVERSE, JSD);
  }

  /** Held-out figures after a part of the budget, for a learning rate. */
  Map<String, Double> probe(String family, double learningRate, Examination validation) {
    try (Student one = new Student(student, learningRate, size.tokens() * size.probeShare(), 0)) {
      one.train(data(family, size.batchTokens(), 0), 1);
      return validation.of(student, one.weights()).figures();
    }
  }

  /** One way of learning from data, to the end. */
  Map<String, Double> onData(String way, double learningRate, long seed, Examination test) {
    try (Student one = new Student(student, learningRate, size.tokens(), seed)) {
      one.train(data(way, size.batchTokens(), seed), 1);
      return test.of(student, one.weights()).figures();
    }
  }

  /** Forward KL to the end, and from its middle on with text of its own. */
  Map<String, Map<String, Double>> stages(double learningRate, long seed, Examination test) {
    Map<String, Map<String, Double>> outcome = new LinkedHashMap<>();
    try (Student one = new Student(student, learningRate, size.tokens(), seed)) {
      Student.Feed data = data(FORWARD, size.batchTokens(), seed);
      one.train(data, FIRST_STAGE);
      Student.Point middle = one.point();
      one.train(data, 1);
      outcome.put(FORWARD, test.of(student, one.weights()).figures());
      for (Map.Entry<String, String> second : SECOND_STAGES) {
        one.goBack(middle);
        OnPolicyFeed.Settings settings =
            new OnPolicyFeed.Settings(
                Objective.parse(second.getValue(), 0),
                size.batchTokens(),
                ON_POLICY_SHARE,
                REFRESH_PROMPTS,
                maxTokens);
        int rest = (int) (size.batchTokens() * (1 - ON_POLICY_SHARE));
        try (OnPolicyFeed feed =
            new OnPolicyFeed(
                teaching, lines, settings, data(FORWARD, rest, seed + DATA_SEED), seed)) {
          one.train(feed, 1);
        }
        outcome.put(second.getKey(), test.of(student, one.weights()).figures());
      }
    }
    return outcome;
  }

  private List<TrainingSequence> soft(List<Targets> labels, String objective) {
    return Teaching.lessons(lines, labels, Objective.parse(objective, CROSS_ENTROPY_SHARE));
  }

  private Student.Feed data(String way, int batchTokens, long seed) {
    return new DataFeed(sequences.get(way), batchTokens, seed);
  }
}
