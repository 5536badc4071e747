package io.reflux.e2e;

import io.reflux.trainer.pretrain.PretrainOptions;
import io.reflux.trainer.pretrain.Pretrainer;
import io.reflux.trainer.pretrain.PromptResponse;
import io.reflux.trainer.pretrain.Shape;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A teacher of a few thousand weights for tests that look at the loop, not at its quality. */
final class TinyTeacher {
  private static final List<String> THINGS =
      List.of("tea", "milk", "bread", "salt", "soap", "rice");

  private TinyTeacher() {}

  static String prompt(int i) {
    return "where is the " + THINGS.get(i % THINGS.size()) + " on shelf " + i;
  }

  static Path write(Path folder) throws IOException {
    return write(folder, 300);
  }

  /**
   * @param vocabulary ids of its tokenizer; another number, another tokenizer
   */
  static Path write(Path folder, int vocabulary) throws IOException {
    List<PromptResponse> lines = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      lines.add(
          new PromptResponse(prompt(i), "the " + THINGS.get(i % THINGS.size()) + " is over there"));
    }
    Files.createDirectories(folder);
    Pretrainer.run(
        lines,
        PretrainOptions.of(
                Shape.parse(
                    "vocab=" + vocabulary + ",hidden=32,layers=1,heads=2,kv-heads=1,ffn=64"))
            // Some hundred small steps: sure of what it says, and soon done.
            .withBatchTokens(512)
            .withLearningRate(0.01)
            .withEpochs(5),
        folder,
        progress -> {});
    return folder;
  }
}
