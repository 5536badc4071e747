package io.reflux.bench.score;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.ModelConfig.Architecture;
import io.reflux.model.checkpoint.RandomModel;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;

/** Models that have learned nothing, of sizes that people use. */
final class RandomTeachers {
  private RandomTeachers() {}

  /**
   * A shape; tied embeddings.
   *
   * @param positions longest sequence
   */
  record Size(
      int vocabulary,
      int hidden,
      int inner,
      int layers,
      int heads,
      int keyValueHeads,
      int positions) {
    /** 100.1 million weights. */
    static final Size HUNDRED_MILLION = new Size(32_000, 768, 2048, 12, 12, 4, 1024);

    ModelConfig config(List<Integer> eosTokenIds) {
      return new ModelConfig(
          Architecture.LLAMA,
          vocabulary,
          hidden,
          inner,
          layers,
          heads,
          keyValueHeads,
          hidden / heads,
          positions,
          1e-5,
          10_000,
          null,
          true,
          false,
          false,
          OptionalInt.empty(),
          OptionalInt.empty(),
          eosTokenIds);
    }
  }

  /**
   * Writes one.
   *
   * @param tokenizer a model whose tokenizer it takes, of a vocabulary that is not larger
   */
  static Path write(Path directory, Size size, LanguageModel tokenizer, long seed) {
    ModelConfig config = size.config(tokenizer.config().eosTokenIds());
    LanguageModel.save(
        directory, config, RandomModel.weights(config, seed), DType.F32, tokenizer.directory());
    return directory;
  }
}
