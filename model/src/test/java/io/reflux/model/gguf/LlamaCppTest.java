package io.reflux.model.gguf;

import static org.assertj.core.api.Assertions.assertThat;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.GenerationRequest;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.model.runtime.SamplingOptions;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What llama.cpp makes of our files, against what we make of the checkpoint. */
class LlamaCppTest {
  private static final int TOKENS = 24;

  /** The product's teacher: a random model's likeliest tokens are too close to each other. */
  private static final Path TEACHER =
      Path.of("..", "deploy", "src", "main", "resources", "teacher");

  private static final List<String> PROMPTS =
      List.of("where is my card?", "I want to cancel my order 1234", "hello", "¿dónde está?  ok");

  @TempDir static Path folder;

  @ParameterizedTest
  @EnumSource(
      value = GgufModels.class,
      // This release of llama.cpp is older than the architecture.
      names = "QWEN3",
      mode = EnumSource.Mode.EXCLUDE)
  void everyArchitectureGivesTheSameTokens(GgufModels kind) {
    LanguageModel model = kind.save(folder.resolve(kind.name()));
    Path file = folder.resolve(kind + ".gguf");
    GgufWriter.write(file, model, GgufType.F32);

    try (LlamaCpp llama = new LlamaCpp(file, folder)) {
      for (String prompt : PROMPTS) {
        int[] ids = model.tokenizer().encode(prompt, true);
        assertThat(llama.encode(prompt))
            .as(prompt)
            .isEqualTo(model.tokenizer().encode(prompt, false));
        assertThat(llama.greedy(prompt, TOKENS))
            .as(prompt)
            .isEqualTo(texts(model, greedy(model.config(), model.weights(), ids, Set.of())));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(GgufType.class)
  void theTeacherAnswersTokenForToken(GgufType type) {
    LanguageModel model = LanguageModel.load(TEACHER);
    Path file = folder.resolve(type + ".gguf");
    GgufWriter.write(file, model, type);
    Checkpoint back = GgufCheckpoint.load(file);

    try (LlamaCpp llama = new LlamaCpp(file, folder)) {
      for (String prompt : PROMPTS) {
        int[] ids = model.promptIds(prompt);
        String text = "<|user|>" + prompt + "<|end|><|assistant|>";
        assertThat(llama.encode(text)).as(prompt).isEqualTo(ids);
        int[] answer = greedy(back.config(), back.weights(), ids, model.stopIds());
        int written = answer.length;
        boolean ended = model.stopIds().contains(answer[written - 1]);
        assertThat(llama.greedy(text, TOKENS))
            .as(prompt)
            .isEqualTo(texts(model, Arrays.copyOf(answer, ended ? written - 1 : written)));
      }
    }
  }

  @Test
  void readsTextAsASentencePieceTokenizerDoes() {
    Path directory = SentencePieceModel.save(folder.resolve("pieces"));
    LanguageModel model = LanguageModel.load(directory);
    Path file = folder.resolve("pieces.gguf");
    GgufWriter.write(file, model, GgufType.F16);

    try (LlamaCpp llama = new LlamaCpp(file, folder)) {
      for (String prompt : List.of("where is the card", "the  where there", "ö her?", "hh")) {
        assertThat(llama.encode(prompt))
            .as(prompt)
            .isEqualTo(model.tokenizer().encode(prompt, false));
      }
    }
  }

  private static int[] greedy(
      ModelConfig config, Weights weights, int[] promptIds, Set<Integer> stopIds) {
    try (GenerationEngine engine =
        new GenerationEngine(config, weights, new EngineOptions(1, 128), RuntimeOptions.DEFAULT)) {
      GenerationRequest request =
          new GenerationRequest(promptIds, TOKENS, SamplingOptions.GREEDY, stopIds, 0);
      return engine.submit(request, null).result().join().tokenIds();
    }
  }

  private static List<String> texts(LanguageModel model, int[] ids) {
    List<String> texts = new ArrayList<>();
    Arrays.stream(ids).forEach(id -> texts.add(model.tokenizer().decode(new int[] {id}, true)));
    return texts;
  }
}
