package io.reflux.trainer.pretrain;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.reference.ReferenceForward;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PretrainerTest {
  private static final List<String> COLOURS = List.of("red", "green", "blue", "black");

  @TempDir private Path directory;

  @Test
  void learnsASmallSetByHeart() {
    List<PretrainProgress> progress = new ArrayList<>();
    PretrainOptions options =
        options().withEpochs(300).withLearningRate(5e-3).withValidation(0, 50);
    PretrainReport report = Pretrainer.run(exchanges(), options, directory, progress::add);

    assertThat(progress).isNotEmpty();
    assertThat(progress.get(progress.size() - 1).step()).isEqualTo(report.steps());
    assertThat(report.validationLoss()).isEmpty();
    assertThat(report.trainingExchanges()).isEqualTo(exchanges().size());
    LanguageModel model = LanguageModel.load(directory);
    assertThat(model.config().vocabularySize()).isEqualTo(report.vocabularySize());
    assertThat(model.weights().tensors()).extracting(TensorInfo::dtype).containsOnly(DType.BF16);
    assertThat(model.stopIds()).hasSize(1);
    for (PromptResponse exchange : exchanges()) {
      assertThat(answer(model, exchange.prompt())).isEqualTo(exchange.response());
    }
  }

  @Test
  void validatesOnPromptsItDoesNotTrainOnAndRepeatsItself() throws IOException {
    PretrainOptions options = options().withEpochs(4).withValidation(0.3, 2);
    PretrainReport first =
        Pretrainer.run(exchanges(), options, directory.resolve("a"), progress -> {});
    PretrainReport second =
        Pretrainer.run(exchanges(), options, directory.resolve("b"), progress -> {});

    assertThat(first.validationExchanges()).isPositive();
    assertThat(first.trainingExchanges() + first.validationExchanges())
        .isEqualTo(exchanges().size());
    assertThat(first.validationLoss()).isPresent();
    assertThat(first.validationLoss()).isEqualTo(second.validationLoss());
    for (String file : List.of("model.safetensors", "tokenizer.json", "config.json")) {
      assertThat(directory.resolve("a").resolve(file))
          .hasSameBinaryContentAs(directory.resolve("b").resolve(file));
    }
  }

  @Test
  void endsInTime() {
    PretrainOptions options = options().withEpochs(100_000).withBudget(Duration.ofSeconds(1));
    PretrainReport report = Pretrainer.run(exchanges(), options, directory, progress -> {});
    assertThat(report.elapsed()).isBetween(Duration.ofSeconds(1), Duration.ofSeconds(20));
    assertThat(report.steps()).isPositive();
  }

  @Test
  void namesTheLineThatIsWrong() throws IOException {
    Path file = directory.resolve("data.jsonl");
    Files.writeString(file, "{\"prompt\": \"a\", \"response\": \"b\"}\n\n{\"prompt\": \"c\"}\n");
    assertThatThrownBy(() -> PromptResponse.read(file))
        .isInstanceOf(ModelException.class)
        .hasMessage(file + ":3: response: null (expected: a text)");
    Files.writeString(file, "nonsense\n");
    assertThatThrownBy(() -> PromptResponse.read(file))
        .isInstanceOf(ModelException.class)
        .hasMessageStartingWith(file + ":1: ")
        .hasMessageNotContaining("\n");
    assertThatThrownBy(() -> PromptResponse.read(directory.resolve("none.jsonl")))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("none.jsonl");
  }

  @Test
  void readsExchanges() throws IOException {
    Path file = directory.resolve("data.jsonl");
    Files.writeString(file, "{\"prompt\": \"a\", \"response\": \"é\", \"more\": 1}\n");
    assertThat(PromptResponse.read(file)).containsExactly(new PromptResponse("a", "é"));
  }

  @Test
  void refusesExchangesThatNoneFits() {
    assertThatThrownBy(() -> Pretrainer.run(List.of(), options(), directory, progress -> {}))
        .hasMessage("exchanges: none (expected: at least one)");
    PretrainOptions narrow =
        PretrainOptions.of(Shape.parse("vocab=300,hidden=16,layers=1,heads=2,context=8"));
    assertThatThrownBy(() -> Pretrainer.run(exchanges(), narrow, directory, progress -> {}))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("longer than the context");
  }

  private static PretrainOptions options() {
    return PretrainOptions.of(
            Shape.parse("vocab=320,hidden=48,layers=2,heads=4,kv-heads=2,ffn=96,context=64"))
        .withBatchTokens(512);
  }

  private static List<PromptResponse> exchanges() {
    List<PromptResponse> exchanges = new ArrayList<>();
    for (int i = 0; i < 40; i++) {
      String colour = COLOURS.get(i % COLOURS.size());
      exchanges.add(
          new PromptResponse("paint house " + i + " " + colour, "house is " + colour + "!"));
    }
    return exchanges;
  }

  private static String answer(LanguageModel model, String prompt) {
    int[] ids = model.promptIds(prompt);
    int promptLength = ids.length;
    for (int i = 0; i < 20; i++) {
      double[][] logits = ReferenceForward.logits(model.config(), model.weights(), ids);
      int next = ReferenceForward.argmax(logits[ids.length - 1]);
      if (model.stopIds().contains(next)) {
        break;
      }
      ids = Arrays.copyOf(ids, ids.length + 1);
      ids[ids.length - 1] = next;
    }
    return model.tokenizer().decode(Arrays.copyOfRange(ids, promptLength, ids.length), true);
  }
}
