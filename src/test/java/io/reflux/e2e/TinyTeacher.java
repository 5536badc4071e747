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
    List<PromptResponse> lines = new ArrayList<>();
    for (int i = 0; i < 300; i++) {
      lines.add(
          new PromptResponse(prompt(i), "the " + THINGS.get(i % THINGS.size()) + " is over there"));
    }
    Files.createDirectories(folder);
    Pretrainer.run(
        lines,
        PretrainOptions.of(Shape.parse("vocab=300,hidden=32,layers=1,heads=2,kv-heads=1,ffn=64"))
            .withEpochs(3),
        folder,
        progress -> {});
    return folder;
  }
}
