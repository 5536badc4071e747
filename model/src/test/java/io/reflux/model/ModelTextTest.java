package io.reflux.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelTextTest {
  private static final String END = "<|end|>";

  @TempDir Path directory;

  private BpeVocabulary tokenizer() {
    BpeVocabulary vocabulary =
        BpeTrainer.train(List.of("some text to learn from").iterator(), 280, List.of(END));
    vocabulary.write(
        directory,
        new BpeVocabulary.Roles(
            Optional.empty(),
            Optional.of(END),
            Optional.of("{% for m in messages %}{{ m.content }}" + END + "{% endfor %}")));
    return vocabulary;
  }

  private void config(String json) throws IOException {
    Files.writeString(directory.resolve("config.json"), json);
  }

  @Test
  void opensAModelOfAnotherArchitectureWithoutItsWeights() throws IOException {
    BpeVocabulary vocabulary = tokenizer();
    config(
        """
        {"architectures": ["SomethingVast"], "text_config":
          {"vocab_size": 1000, "max_position_embeddings": 4096, "eos_token_id": [7, 8]}}""");
    Files.writeString(directory.resolve("generation_config.json"), "{\"eos_token_id\": 9}");
    ModelText text = ModelText.load(directory);

    int end = vocabulary.specialId(END);
    assertThat(text.vocabularySize()).isEqualTo(1000);
    assertThat(text.maxPositions()).hasValue(4096);
    assertThat(text.stopIds()).containsExactlyInAnyOrder(7, 8, 9, end);
    assertThat(text.turnEndId()).hasValue(end);
    assertThat(text.promptIds("some text")).endsWith(end);
    assertThat(text.tokenizerFingerprint()).hasSize(64);
    assertThat(text.chatTemplateFingerprint()).hasSize(64);
  }

  @Test
  void saysWhatIsMissing() throws IOException {
    assertThatThrownBy(() -> ModelText.load(directory.resolve("none")))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("none: no such directory");
    tokenizer();
    config("{\"model_type\": \"x\"}");
    assertThatThrownBy(() -> ModelText.load(directory))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("config.json: vocab_size: ");
    config("{\"vocab_size\": 10}");
    assertThatThrownBy(() -> ModelText.load(directory))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("tokenizer.json has ids up to");
  }
}
