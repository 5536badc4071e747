package io.reflux.scorer;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** A random model with a real tokenizer and chat template, small enough for tests. */
public final class TinyTeacher {
  public static final int MAX_POSITIONS = 96;

  private static final String END = "<|end|>";
  private static final String TEMPLATE =
      "{% for message in messages %}{{ '<|' + message.role + '|>' + message.content + '"
          + END
          + "' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

  private static final List<String> TEXTS =
      List.of(
          "where is my order of one kettle",
          "your order is on its way and will be there soon",
          "can i return the toaster that came on Monday");

  private TinyTeacher() {}

  public static LanguageModel make(Path directory, long seed) {
    return make(directory, seed, TEXTS);
  }

  /** With a tokenizer that has learned from other texts. */
  public static LanguageModel make(Path directory, long seed, List<String> texts) {
    BpeVocabulary vocabulary =
        BpeTrainer.train(
            texts.iterator(), 300, List.of(END, "<|system|>", "<|user|>", "<|assistant|>"));
    vocabulary.write(
        directory,
        new BpeVocabulary.Roles(Optional.empty(), Optional.of(END), Optional.of(TEMPLATE)));
    ModelConfig config =
        new ModelConfig(
            Architecture.LLAMA,
            vocabulary.size(),
            32,
            64,
            2,
            4,
            2,
            8,
            MAX_POSITIONS,
            1e-5,
            10000,
            null,
            true,
            false,
            false,
            OptionalInt.empty(),
            OptionalInt.empty(),
            List.of(vocabulary.specialId(END)));
    LanguageModel.save(
        directory, config, RandomModel.variedWeights(config, seed), DType.F32, directory);
    return LanguageModel.load(directory);
  }
}
