package io.reflux.model.evaluate;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.runtime.RuntimeOptions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalDouble;

/** Holds a model against reference answers, and against its teacher. */
public final class Evaluation {
  private Evaluation() {}

  /**
   * How to evaluate.
   *
   * @param maxTokens longest response; a longer one counts as it stands there
   * @param slots prompts answered at the same time
   */
  public record Options(int maxTokens, int slots, RuntimeOptions runtime) {
    /** Short answers on one thread. */
    public static final Options DEFAULT =
        new Options(64, TeacherReference.SLOTS, RuntimeOptions.DEFAULT);

    public Options {
      if (maxTokens < 1) {
        throw new ModelException("max tokens: " + maxTokens + " (expected: at least 1)");
      }
    }
  }

  /**
   * What came out. Shares are from 0 to 1.
   *
   * @param n examples
   * @param accuracy share of greedy responses that are the reference answer, white space around
   *     both left out
   * @param teacherAccuracy the same of the teacher; empty without one
   * @param agreement share of positions of the teacher's greedy responses where the model, shown
   *     the response so far, likes the same token best; empty without a teacher
   * @param exactMatch share of greedy responses that are the teacher's, token for token; empty
   *     without a teacher
   * @param responseTokens tokens that the model wrote, stop tokens included
   * @param tokensPerSecond the model's own, prompts included in the time
   */
  public record Report(
      int n,
      double accuracy,
      OptionalDouble teacherAccuracy,
      OptionalDouble agreement,
      OptionalDouble exactMatch,
      long responseTokens,
      double tokensPerSecond) {}

  /**
   * Evaluates.
   *
   * @param teacher null for none; otherwise of the same tokenizer and chat template
   * @param examples at least one
   * @throws ModelException if model and teacher do not read text alike; it names both fingerprints
   */
  public static Report run(
      LanguageModel model, LanguageModel teacher, List<Example> examples, Options options) {
    if (examples.isEmpty()) {
      throw new ModelException("examples: none (expected: at least one)");
    }
    if (teacher != null) {
      requireSame("tokenizer", model.tokenizerFingerprint(), teacher.tokenizerFingerprint());
      requireSame(
          "chat template", model.chatTemplateFingerprint(), teacher.chatTemplateFingerprint());
    }
    List<int[]> promptIds = new ArrayList<>(examples.size());
    for (Example example : examples) {
      promptIds.add(model.promptIds(example.prompt()));
    }
    long started = System.nanoTime();
    List<int[]> responses =
        GreedyResponses.of(
            model, promptIds, options.maxTokens(), options.slots(), options.runtime());
    double seconds = (System.nanoTime() - started) / 1e9;
    long tokens = responses.stream().mapToLong(response -> response.length).sum();
    double accuracy = accuracy(model, responses, examples);
    if (teacher == null) {
      return new Report(
          examples.size(),
          accuracy,
          OptionalDouble.empty(),
          OptionalDouble.empty(),
          OptionalDouble.empty(),
          tokens,
          tokens / seconds);
    }
    TeacherReference reference =
        TeacherReference.prepare(
            teacher, promptIds, options.maxTokens(), options.slots(), options.runtime());
    Agreement agreement = reference.agreement(model.config(), model.weights());
    List<int[]> teacherResponses = reference.responses();
    int same = 0;
    for (int i = 0; i < responses.size(); i++) {
      same += Arrays.equals(responses.get(i), teacherResponses.get(i)) ? 1 : 0;
    }
    return new Report(
        examples.size(),
        accuracy,
        OptionalDouble.of(accuracy(teacher, teacherResponses, examples)),
        OptionalDouble.of(agreement.rate()),
        OptionalDouble.of((double) same / examples.size()),
        tokens,
        tokens / seconds);
  }

  private static double accuracy(
      LanguageModel model, List<int[]> responses, List<Example> examples) {
    int right = 0;
    for (int i = 0; i < responses.size(); i++) {
      String text = model.tokenizer().decode(responses.get(i), true).strip();
      right += text.equals(examples.get(i).response().strip()) ? 1 : 0;
    }
    return (double) right / examples.size();
  }

  private static void requireSame(String what, String model, String teacher) {
    if (!model.equals(teacher)) {
      throw new ModelException(
          "%s: %s (expected: the teacher's, %s)"
              .formatted(
                  what, model.isEmpty() ? "none" : model, teacher.isEmpty() ? "none" : teacher));
    }
  }
}
