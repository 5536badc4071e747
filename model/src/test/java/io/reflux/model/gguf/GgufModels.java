package io.reflux.model.gguf;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.MemoryWeights;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.ModelConfig.RopeScaling;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.checkpoint.TensorInfo;
import io.reflux.model.checkpoint.TensorNames;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** A random model for each thing that a file must say of one. */
@SuppressWarnings("ImmutableEnumChecker") // a configuration never changes
enum GgufModels {
  LLAMA(Architecture.LLAMA, 4, 2, 16, null, true, 0, true),
  LLAMA_WITH_LLAMA3_ROTATION(
      Architecture.LLAMA,
      4,
      1,
      32,
      new RopeScaling(RopeScaling.Kind.LLAMA3, 8, 1, 4, 16),
      false,
      0,
      false),
  LLAMA_WITH_LINEAR_ROTATION(
      Architecture.LLAMA,
      2,
      2,
      32,
      new RopeScaling(RopeScaling.Kind.LINEAR, 4, 0, 0, 0),
      false,
      0,
      true),
  MISTRAL(Architecture.MISTRAL, 4, 2, 16, null, false, 96, true),
  QWEN2(Architecture.QWEN2, 4, 2, 16, null, true, 0, false),
  QWEN3(Architecture.QWEN3, 4, 2, 32, null, false, 0, false);

  private static final String END = "<|end|>";
  private static final String BEGIN = "<|begin|>";

  private final Architecture architecture;
  private final int heads;
  private final int keyValueHeads;
  private final int headSize;
  private final RopeScaling scaling;
  private final boolean tied;
  private final int window;
  private final boolean begins;

  GgufModels(
      Architecture architecture,
      int heads,
      int keyValueHeads,
      int headSize,
      RopeScaling scaling,
      boolean tied,
      int window,
      boolean begins) {
    this.architecture = architecture;
    this.heads = heads;
    this.keyValueHeads = keyValueHeads;
    this.headSize = headSize;
    this.scaling = scaling;
    this.tied = tied;
    this.window = window;
    this.begins = begins;
  }

  /** Writes it into a folder; its vocabulary has ids that its tokenizer has not. */
  LanguageModel save(Path directory) {
    BpeVocabulary vocabulary =
        BpeTrainer.train(
            List.of("where is my card? where is my order? I want to cancel my order").iterator(),
            300,
            List.of(BEGIN, END));
    vocabulary.write(
        directory,
        new BpeVocabulary.Roles(
            begins ? Optional.of(BEGIN) : Optional.empty(), Optional.of(END), Optional.empty()));
    ModelConfig config = config(vocabulary.size() + 3);
    LanguageModel.save(
        directory, config, asciiOnly(config, vocabulary.tokens()), DType.F32, directory);
    return LanguageModel.load(directory);
  }

  private ModelConfig config(int vocabularySize) {
    return new ModelConfig(
        architecture,
        vocabularySize,
        64,
        96,
        2,
        heads,
        keyValueHeads,
        headSize,
        128,
        1e-5,
        10_000,
        scaling,
        tied,
        architecture == Architecture.QWEN2,
        architecture == Architecture.QWEN3,
        window == 0 ? OptionalInt.empty() : OptionalInt.of(window),
        begins ? OptionalInt.of(0) : OptionalInt.empty(),
        List.of(1));
  }

  /**
   * Tokens that are no ASCII text get no logit, so that they are never the likeliest: the binding
   * to llama.cpp ends the process over text that is not UTF-8.
   */
  private static Weights asciiOnly(ModelConfig config, List<String> tokens) {
    Weights random = RandomModel.variedWeights(config, 7);
    MemoryWeights.Builder weights = MemoryWeights.builder();
    for (TensorInfo tensor : random.tensors()) {
      float[] floats = random.floats(tensor.name());
      if (tensor.name().equals(TensorNames.head(config))) {
        int hidden = config.hiddenSize();
        for (int id = 0; id < config.vocabularySize(); id++) {
          // The byte-level alphabet writes a space as Ġ.
          String text = id < tokens.size() ? tokens.get(id).replace('Ġ', ' ') : "";
          if (id < 2 || !text.matches("[ -~]+")) {
            Arrays.fill(floats, id * hidden, (id + 1) * hidden, 0);
          }
        }
      }
      weights.floats(
          tensor.name(), tensor.shape().stream().mapToLong(Long::longValue).toArray(), floats);
    }
    return weights.build();
  }
}
