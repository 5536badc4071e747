package io.reflux.bench;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import io.reflux.model.tokenizer.BpeTrainer;
import io.reflux.model.tokenizer.BpeVocabulary;
import io.reflux.traffic.SupportDeskLanguage;
import io.reflux.traffic.TrafficMix;
import io.reflux.traffic.TrafficStream;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Stream;

/** A random model with a tokenizer of the support desk's words, small enough for tests. */
public final class TinyTeacher {
  private static final String END = "<|end|>";

  private TinyTeacher() {}

  /** Writes it into a folder. */
  public static Path write(Path directory) {
    TrafficStream stream = SupportDeskLanguage.standard().stream(TrafficMix.uniform(), 1);
    BpeVocabulary vocabulary =
        BpeTrainer.train(
            Stream.generate(stream::next)
                .limit(50)
                .map(e -> e.prompt() + " " + e.response())
                .iterator(),
            400,
            List.of(END));
    vocabulary.write(
        directory, new BpeVocabulary.Roles(Optional.empty(), Optional.of(END), Optional.empty()));
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
            256,
            1e-5,
            10_000,
            null,
            true,
            false,
            false,
            OptionalInt.empty(),
            OptionalInt.empty(),
            List.of(vocabulary.specialId(END)));
    LanguageModel.save(
        directory, config, RandomModel.variedWeights(config, 1), DType.F32, directory);
    return directory;
  }
}
