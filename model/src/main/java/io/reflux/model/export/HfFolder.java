package io.reflux.model.export;

import io.reflux.model.LanguageModel;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.DType;
import java.nio.file.Path;

/**
 * A model as a plain checkpoint of Hugging Face's, for servers that know nothing of how Reflux
 * stores few bits: every weight widened and rounded to bfloat16.
 */
public final class HfFolder {
  private HfFolder() {}

  /**
   * Writes config.json, model.safetensors and the tokenizer's files.
   *
   * @param folder made if need be; files of the same names are replaced
   * @throws ModelException one line, if it cannot be written
   */
  public static void write(Path folder, LanguageModel model) {
    LanguageModel.save(folder, model.config(), model.weights(), DType.BF16, model.directory());
  }
}
