package io.reflux.bench.recipe;

import io.reflux.bench.Result;
import io.reflux.model.checkpoint.ModelConfig;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Means and spreads of arms, side by side. */
record RecipeReport(RecipeSize size, Arms arms, Map<String, Double> rates) {
  private static final List<String> ANSWER_KEYS =
      List.of("accuracy", "same_answer", "agreement", "kl", "kl_own", "cross_entropy", "gap");
  private static final List<String> TEXT_KEYS =
      List.of("kl", "gap", "cross_entropy", "agreement", "calibration_error");
  private static final List<String> DRIFT_KEYS =
      List.of(
          "kl_served",
          "agreement_served",
          "kl_first_group_when_learnt",
          "kl_first_group_at_end",
          "kl_forgotten",
          "agreement_forgotten",
          "kl_all_groups_at_end",
          "agreement_all_groups_at_end");

  /** In the order of a table. */
  static List<String> answerArms() {
    List<String> all =
        new ArrayList<>(
            List.of(
                AnswerArms.REFERENCE,
                AnswerArms.TEACHER_ANSWERS,
                AnswerArms.FORWARD,
                AnswerArms.REVERSE,
                AnswerArms.JSD));
    AnswerArms.SECOND_STAGES.forEach(second -> all.add(second.getKey()));
    return all;
  }

  Result result(
      Corpus corpus,
      Teaching teaching,
      ModelConfig student,
      Examination.Marks teacher,
      Examination.Marks teacherOnText,
      Result.Table sharpness,
      int seeds) {
    Result.Builder result = new Result.Builder("recipe");
    result
        .sample("teacher_accuracy", teacher.accuracy(), "")
        .sample("teacher_cross_entropy", teacher.crossEntropy(), "nats")
        .sample("teacher_text_cross_entropy", teacherOnText.crossEntropy(), "nats")
        .sample("teacher_text_calibration_error", teacherOnText.calibrationError(), "");
    samples(result, "sft", AnswerArms.REFERENCE, "accuracy", "gap", "agreement", "kl");
    samples(result, "kd", AnswerArms.FORWARD, "accuracy", "gap", "agreement", "kl");
    samples(result, "two_stage", AnswerArms.THEN_FORWARD, "accuracy", "gap", "agreement", "kl");
    ratio(result, "kl_own_ratio_two_stage", AnswerArms.THEN_FORWARD, AnswerArms.FORWARD, "kl_own");
    ratio(result, "gap_ratio_kd_sft", AnswerArms.FORWARD, AnswerArms.REFERENCE, "gap");
    ratio(result, "kl_ratio_kd_sft", AnswerArms.FORWARD, AnswerArms.REFERENCE, "kl");
    ratio(result, "kl_ratio_two_stage", AnswerArms.THEN_FORWARD, AnswerArms.FORWARD, "kl");
    ratio(
        result,
        "kl_ratio_continual_periodic",
        DriftArms.CONTINUAL,
        DriftArms.PERIODIC_ON,
        "kl_served");
    samples(result, "replay", DriftArms.CONTINUAL, "kl_forgotten");
    samples(result, "no_replay", DriftArms.NO_REPLAY, "kl_forgotten");
    result
        .table(table("answers", answerArms(), ANSWER_KEYS, seeds))
        .table(table("text_labels", TextArms.arms(), TEXT_KEYS, seeds))
        .table(table("drift", DriftArms.arms(), DRIFT_KEYS, seeds))
        .table(sharpness);
    conditions(result, corpus, teaching, student, seeds);
    return result.build();
  }

  private void samples(Result.Builder result, String prefix, String arm, String... keys) {
    for (String key : keys) {
      arms.values(arm, key).forEach(value -> result.sample(prefix + "_" + key, value, ""));
    }
  }

  /** Of two arms of one seed. */
  private void ratio(Result.Builder result, String key, String arm, String of, String figure) {
    List<Double> above = arms.values(arm, figure);
    List<Double> below = arms.values(of, figure);
    for (int i = 0; i < above.size(); i++) {
      result.sample(key, above.get(i) / below.get(i), "");
    }
  }

  private Result.Table table(String name, List<String> rowArms, List<String> keys, int seeds) {
    List<String> columns = new ArrayList<>(List.of("arm"));
    for (String key : keys) {
      columns.add(key);
      if (seeds > 1) {
        columns.add(key + "_sd");
      }
    }
    List<List<Object>> rows = new ArrayList<>();
    for (String arm : rowArms) {
      List<Object> row = new ArrayList<>(List.of(arm));
      for (String key : keys) {
        Spread spread = Spread.of(arms.values(arm, key));
        row.add(Double.isNaN(spread.mean()) ? null : spread.mean());
        if (seeds > 1) {
          row.add(Double.isNaN(spread.mean()) ? null : spread.deviation());
        }
      }
      rows.add(row);
    }
    return new Result.Table(name, columns, rows);
  }

  private void conditions(
      Result.Builder result, Corpus corpus, Teaching teaching, ModelConfig student, int seeds) {
    result
        .condition("data", corpus.name())
        .condition("training_lines", corpus.training().size())
        .condition("validation_lines", corpus.validation().size())
        .condition("test_lines", corpus.test().size())
        .condition("teacher", size.teacher())
        .condition("teacher_weights", teaching.teacher().config().parameters())
        .condition("student", size.student())
        .condition("student_weights", student.parameters())
        .condition("seeds", seeds)
        .condition(
            "compute",
            ("an arm of answers: 6 N x %,.0f, of text: 6 N x %,.0f; N the student's weights; a"
                    + " trained token counts 6 N, one read or written while generating 2 N; padding"
                    + " and the teacher not counted")
                .formatted(size.tokens(), size.textTokens()))
        .condition("learning_rates", rates.toString())
        .condition(
            "spread",
            "_sd is the standard deviation over seeds; a figure's own spread is its range");
  }
}
