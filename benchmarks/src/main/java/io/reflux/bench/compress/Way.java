package io.reflux.bench.compress;

import io.reflux.model.LanguageModel;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.gguf.GgufCheckpoint;
import io.reflux.model.gguf.GgufType;
import io.reflux.model.gguf.GgufWriter;
import java.nio.file.Path;
import java.util.Optional;

/**
 * One way to make a model smaller.
 *
 * @param name of its row
 * @param family ways that are drawn alike
 * @param small what it makes of the model
 * @param dtype that it is stored in; null for GGUF
 * @param gguf the type of its GGUF file; empty for safetensors
 */
record Way(String name, String family, Checkpoint small, DType dtype, Optional<GgufType> gguf) {
  static Way stored(String name, String family, Checkpoint small, DType dtype) {
    return new Way(name, family, small, dtype, Optional.empty());
  }

  static Way gguf(String name, Checkpoint small, GgufType type) {
    return new Way(name, "GGUF", small, null, Optional.of(type));
  }

  /**
   * Writes it, and reads it again.
   *
   * @param folder with nothing in it
   */
  Checkpoint write(LanguageModel original, Path folder) {
    if (gguf.isPresent()) {
      Path file = folder.resolve("model.gguf");
      GgufWriter.write(file, small.config(), small.weights(), original.text(), gguf.get());
      return GgufCheckpoint.load(file);
    }
    LanguageModel.save(folder, small.config(), small.weights(), dtype, original.directory());
    LanguageModel written = LanguageModel.load(folder);
    return new Checkpoint(written.config(), written.weights());
  }
}
