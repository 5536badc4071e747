package io.reflux.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.model.chat.ChatMessage;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.WeightFormat;
import io.reflux.model.compress.Quantiser;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LanguageModelTest {
  private static final String TEMPLATE =
      "{{ bos_token }}{% for m in messages %}<|user|>{{ m.content }}{% endfor %}"
          + "{% if add_generation_prompt %}<|reply|>{% endif %}";

  @TempDir Path directory;

  private Path tokenizer;
  private ModelConfig config;

  @BeforeEach
  void setUp() {
    tokenizer = directory.resolve("tokenizer");
    BpeVocabulary vocabulary =
        BpeTrainer.train(
            List.of("where is my card? where is my order?").iterator(),
            300,
            List.of("<|begin|>", "<|end|>", "<|user|>", "<|reply|>"));
    vocabulary.write(
        tokenizer,
        new BpeVocabulary.Roles(
            Optional.of("<|begin|>"), Optional.of("<|end|>"), Optional.of(TEMPLATE)));
    config = config(vocabulary.size(), List.of(7));
  }

  @Test
  void promptsByTheChatTemplate() {
    LanguageModel model = saved("model", DType.F32);

    int[] ids = model.promptIds("where?");

    assertThat(model.tokenizer().decode(ids, false)).isEqualTo("<|begin|><|user|>where?<|reply|>");
    assertThat(ids).startsWith(0, 2).endsWith(3);
    int[] exchange = model.text().exchangeIds("where?", "here.");
    assertThat(model.tokenizer().decode(exchange, false))
        .isEqualTo("<|begin|><|user|>where?<|reply|>here.<|end|>");
    assertThat(model.promptIds(List.of(ChatMessage.user("where?")))).isEqualTo(ids);
    assertThat(model.chatTemplateFingerprint()).hasSize(64);
  }

  @Test
  void promptsInPlainTextWithoutATemplate() throws IOException {
    Path file = tokenizer.resolve("tokenizer_config.json");
    Files.writeString(file, "{\"eos_token\":\"<|end|>\"}");
    LanguageModel model = saved("model", DType.F32);

    assertThat(model.tokenizer().decode(model.promptIds("where?"), false))
        .isEqualTo("<|begin|>where?");
    assertThat(model.chatTemplateFingerprint()).isEmpty();
    assertThatThrownBy(() -> model.promptIds(List.of(ChatMessage.user("where?"))))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("no chat template");
  }

  @Test
  void stopsAtEveryEndOfConfigGenerationConfigAndTokenizer() throws IOException {
    Files.writeString(tokenizer.resolve("generation_config.json"), "{\"eos_token_id\":[9]}");

    assertThat(saved("model", DType.F32).stopIds()).containsExactlyInAnyOrder(7, 9, 1);
  }

  @Test
  void savingIsStableToTheByte() throws IOException {
    LanguageModel first = saved("first", DType.BF16);
    Path second = directory.resolve("second");
    LanguageModel.save(second, first.config(), first.weights(), DType.BF16, first.directory());

    assertThat(contents(second)).isEqualTo(contents(first.directory()));
    LanguageModel reloaded = LanguageModel.load(second);
    assertThat(reloaded.fingerprint()).isEqualTo(first.fingerprint()).hasSize(64);
    assertThat(reloaded.tokenizerFingerprint()).isEqualTo(first.tokenizerFingerprint());
    assertThat(reloaded.chatTemplateFingerprint()).isEqualTo(first.chatTemplateFingerprint());
  }

  @Test
  void savingOverItselfKeepsTheTokenizer() {
    LanguageModel model = saved("model", DType.F32);
    String fingerprint = model.fingerprint();

    LanguageModel.save(
        model.directory(),
        model.config(),
        RandomModel.weights(config, 99),
        DType.F32,
        model.directory());

    LanguageModel changed = LanguageModel.load(model.directory());
    assertThat(changed.tokenizerFingerprint()).isEqualTo(model.tokenizerFingerprint());
    assertThat(changed.fingerprint()).isNotEqualTo(fingerprint);
  }

  @Test
  void snapshotOfEightBitMatricesIsAModelDirectoryToo() {
    var int8 = Quantiser.of(WeightFormat.INT8).quantise(config, RandomModel.weights(config, 1));
    Path snapshot = directory.resolve("snapshot");

    LanguageModel.save(snapshot, config, int8, DType.I8, tokenizer);

    LanguageModel loaded = LanguageModel.load(snapshot);
    assertThat(loaded.config()).isEqualTo(config);
    assertThat(loaded.weights().fingerprint()).isEqualTo(int8.fingerprint());
    assertThat(loaded.weights().quantised("model.embed_tokens.weight")).isPresent();
  }

  @Test
  void tokenizerLargerThanTheModelIsRefused() {
    ModelConfig small = config(100, List.of(1));
    LanguageModel.save(
        directory.resolve("small"), small, RandomModel.weights(small, 1), DType.F32, tokenizer);

    assertThatThrownBy(() -> LanguageModel.load(directory.resolve("small")))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("expected: below config.json's vocab_size, 100");
  }

  @Test
  void savingNeedsATokenizer() {
    assertThatThrownBy(
            () ->
                LanguageModel.save(
                    directory.resolve("x"),
                    config,
                    RandomModel.weights(config, 1),
                    DType.F32,
                    directory))
        .isInstanceOf(ModelException.class)
        .hasMessageContaining("tokenizer.json: no such file");
  }

  private LanguageModel saved(String name, DType dtype) {
    Path target = directory.resolve(name);
    LanguageModel.save(target, config, RandomModel.weights(config, 1), dtype, tokenizer);
    return LanguageModel.load(target);
  }

  private static Map<String, String> contents(Path folder) throws IOException {
    Map<String, String> contents = new TreeMap<>();
    try (var files = Files.list(folder)) {
      for (Path file : files.toList()) {
        contents.put(file.getFileName().toString(), Arrays.toString(Files.readAllBytes(file)));
      }
    }
    return contents;
  }

  private static ModelConfig config(int vocabulary, List<Integer> ends) {
    return new ModelConfig(
        Architecture.LLAMA,
        vocabulary,
        32,
        64,
        1,
        4,
        2,
        8,
        128,
        1e-6,
        10_000,
        null,
        true,
        false,
        false,
        OptionalInt.empty(),
        OptionalInt.of(0),
        ends);
  }
}
