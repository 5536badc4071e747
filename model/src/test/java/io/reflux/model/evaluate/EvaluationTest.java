package io.reflux.model.evaluate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.reference.ReferenceForward;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class EvaluationTest {
  private static final Evaluation.Options OPTIONS =
      new Evaluation.Options(6, 3, RuntimeOptions.DEFAULT);
  private static final List<String> PROMPTS =
      List.of("where is my card", "cancel", "a refund, please!", "hello there", "42");

  @TempDir Path directory;

  private LanguageModel teacher;
  private LanguageModel student;

  @BeforeEach
  void setUp() {
    Path tokenizer = directory.resolve("tokenizer");
    BpeVocabulary vocabulary = BpeTrainer.train(PROMPTS.iterator(), 300, List.of("<|end|>"));
    vocabulary.write(tokenizer, BpeVocabulary.Roles.endingWith("<|end|>"));
    ModelConfig config = config(vocabulary.size());
    Weights weights = RandomModel.variedWeights(config, 1);
    teacher = saved("teacher", config, weights, tokenizer);
    student = saved("student", config, disturbed(weights), tokenizer);
  }

  @Test
  void teacherAgreesWithItself() {
    Evaluation.Report report = Evaluation.run(teacher, teacher, examples(teacher), OPTIONS);

    assertThat(report.n()).isEqualTo(PROMPTS.size());
    assertThat(report.accuracy()).isEqualTo(1);
    assertThat(report.teacherAccuracy()).hasValue(1);
    assertThat(report.agreement()).hasValue(1);
    assertThat(report.exactMatch()).hasValue(1);
    assertThat(report.responseTokens()).isPositive();
    assertThat(report.tokensPerSecond()).isPositive();
  }

  @Test
  void studentIsHeldAgainstTheTeachersOwnWords() {
    Evaluation.Report report = Evaluation.run(student, teacher, examples(teacher), OPTIONS);

    List<int[]> prompts = PROMPTS.stream().map(teacher::promptIds).toList();
    int positions = 0;
    int agreements = 0;
    int same = 0;
    for (int[] prompt : prompts) {
      int[] response = greedy(teacher, prompt);
      int agreed = 0;
      for (int i = 0; i < response.length; i++) {
        int[] soFar = joined(prompt, Arrays.copyOf(response, i));
        agreed += next(student, soFar) == response[i] ? 1 : 0;
      }
      positions += response.length;
      agreements += agreed;
      same += Arrays.equals(greedy(student, prompt), response) ? 1 : 0;
    }
    assertThat(agreements).isBetween(1, positions - 1);
    assertThat(report.agreement().getAsDouble())
        .isCloseTo((double) agreements / positions, within(1e-12));
    assertThat(report.exactMatch().getAsDouble())
        .isCloseTo((double) same / prompts.size(), within(1e-12));
    assertThat(report.teacherAccuracy()).hasValue(1);
    assertThat(report.accuracy()).isLessThan(1);

    TeacherReference reference =
        TeacherReference.prepare(teacher, prompts, 6, RuntimeOptions.DEFAULT);
    Agreement once = reference.agreement(student.config(), student.weights());
    assertThat(once)
        .isEqualTo(new Agreement(prompts.size(), positions, agreements, same))
        .isEqualTo(reference.agreement(student.config(), student.weights()));
    assertThat(reference.agreement(teacher.config(), teacher.weights()).wholeRate()).isEqualTo(1);
  }

  @Test
  void withoutATeacherOnlyAccuracyIsKnown() {
    List<Example> examples = new ArrayList<>(examples(student));
    examples.set(0, new Example(PROMPTS.get(0), "not what it says"));

    Evaluation.Report report = Evaluation.run(student, null, examples, OPTIONS);

    assertThat(report.accuracy()).isCloseTo(0.8, within(1e-12));
    assertThat(report.teacherAccuracy()).isEmpty();
    assertThat(report.agreement()).isEmpty();
    assertThat(report.exactMatch()).isEmpty();
  }

  @Test
  void anotherTokenizerIsRefusedWithBothFingerprints() {
    Path tokenizer = directory.resolve("other");
    BpeVocabulary vocabulary = BpeTrainer.train(PROMPTS.iterator(), 260, List.of("<|stop|>"));
    vocabulary.write(tokenizer, BpeVocabulary.Roles.endingWith("<|stop|>"));
    LanguageModel other = saved("foreign", student.config(), student.weights(), tokenizer);

    assertThatThrownBy(() -> Evaluation.run(other, teacher, examples(teacher), OPTIONS))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining(other.tokenizerFingerprint())
        .hasMessageContaining(teacher.tokenizerFingerprint());
  }

  @Test
  void promptsThatDoNotFitAreNamed() {
    List<Example> tooLong = List.of(new Example("card ".repeat(200), "x"));

    assertThatThrownBy(() -> Evaluation.run(student, null, tooLong, OPTIONS))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("(expected: fewer than the model's 64 positions)");
    assertThatThrownBy(() -> Evaluation.run(student, null, List.of(), OPTIONS))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("examples: none");
  }

  /** Whose right answers are what the model says. */
  private static List<Example> examples(LanguageModel model) {
    return PROMPTS.stream()
        .map(
            prompt -> {
              int[] response = greedy(model, model.promptIds(prompt));
              return new Example(prompt, "  " + model.tokenizer().decode(response, true) + "\n");
            })
        .toList();
  }

  private static int[] greedy(LanguageModel model, int[] prompt) {
    int[] sequence = prompt;
    while (sequence.length < prompt.length + 6) {
      int next = next(model, sequence);
      sequence = joined(sequence, new int[] {next});
      if (model.stopIds().contains(next)) {
        break;
      }
    }
    return Arrays.copyOfRange(sequence, prompt.length, sequence.length);
  }

  private static int next(LanguageModel model, int[] sequence) {
    double[][] logits = ReferenceForward.logits(model.config(), model.weights(), sequence);
    return ReferenceForward.argmax(logits[logits.length - 1]);
  }

  private static int[] joined(int[] first, int[] second) {
    int[] joined = Arrays.copyOf(first, first.length + second.length);
    System.arraycopy(second, 0, joined, first.length, second.length);
    return joined;
  }

  private static Weights disturbed(Weights weights) {
    Random random = new Random(5);
    MemoryWeights.Builder builder = MemoryWeights.builder();
    for (TensorInfo tensor : weights.tensors()) {
      float[] floats = weights.floats(tensor.name());
      for (int i = 0; i < floats.length; i++) {
        floats[i] *= (float) (1 + 0.25 * random.nextGaussian());
      }
      builder.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    return builder.build();
  }

  private LanguageModel saved(String name, ModelConfig config, Weights weights, Path tokenizer) {
    Path target = directory.resolve(name);
    LanguageModel.save(target, config, weights, DType.F32, tokenizer);
    return LanguageModel.load(target);
  }

  private static ModelConfig config(int vocabulary) {
    return new ModelConfig(
        Architecture.LLAMA,
        vocabulary,
        32,
        48,
        2,
        4,
        2,
        8,
        64,
        1e-6,
        10_000,
        null,
        false,
        false,
        false,
        OptionalInt.empty(),
        OptionalInt.empty(),
        List.of(0));
  }
}
