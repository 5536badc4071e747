package io.reflux.model;

import io.reflux.model.chat.ChatMessage;
import io.reflux.model.chat.ChatTemplate;
import io.reflux.model.checkpoint.Checkpoint;
import io.reflux.model.checkpoint.Checkpoints;
import io.reflux.model.checkpoint.DType;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.Weights;
import io.reflux.model.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A model directory in the layout of Hugging Face, opened: shape, weights, tokenizer and chat
 * template. A snapshot is such a directory too. Safe for concurrent use.
 */
public final class LanguageModel {
  /** What belongs to the tokenizer, and goes along unchanged when weights are saved. */
  private static final List<String> TOKENIZER_FILES =
      List.of(
          "tokenizer.json",
          "tokenizer_config.json",
          "chat_template.jinja",
          "special_tokens_map.json",
          "generation_config.json");

  private final Path directory;
  private final ModelConfig config;
  private final Weights weights;
  private final ModelText text;
  private volatile String fingerprint;

  private LanguageModel(Path directory, Checkpoint checkpoint, ModelText text) {
    this.directory = directory;
    this.config = checkpoint.config();
    this.weights = checkpoint.weights();
    this.text = text;
  }

  /**
   * Opens a model directory. Weights stay in their files until they are asked for.
   *
   * @throws ModelException one line that names what is missing or does not fit
   */
  public static LanguageModel load(Path directory) {
    Checkpoint checkpoint = Checkpoints.load(directory);
    return new LanguageModel(directory, checkpoint, ModelText.load(directory, checkpoint.config()));
  }

  /**
   * Writes a model directory that {@link #load} and any Hugging Face library can open. The same
   * input gives the same bytes.
   *
   * @param directory made if need be; files of the same names are replaced
   * @param dtype of the weights, as {@link Checkpoints#save} takes it
   * @param tokenizerSource a directory with the tokenizer's files, which are copied
   */
  public static void save(
      Path directory, ModelConfig config, Weights weights, DType dtype, Path tokenizerSource) {
    if (!Files.exists(tokenizerSource.resolve("tokenizer.json"))) {
      throw new ModelException(tokenizerSource.resolve("tokenizer.json") + ": no such file");
    }
    Checkpoints.save(directory, config, weights, dtype);
    copyText(tokenizerSource, directory);
  }

  /**
   * Copies what belongs to the tokenizer, as far as it is there.
   *
   * @param to a directory; files of the same names are replaced
   */
  public static void copyText(Path from, Path to) {
    try {
      for (String name : TOKENIZER_FILES) {
        Path source = from.resolve(name);
        Path target = to.resolve(name);
        boolean sameFile =
            Files.exists(target) && Files.exists(source) && Files.isSameFile(source, target);
        if (Files.exists(source) && !sameFile) {
          Files.copy(source, target, StandardCopyOption.REPLACE_EXISTING);
        }
      }
    } catch (IOException e) {
      throw new ModelException(to + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /** Where it was loaded from. */
  public Path directory() {
    return directory;
  }

  public ModelConfig config() {
    return config;
  }

  public Weights weights() {
    return weights;
  }

  /** Its tokenizer, chat template and stop ids, apart from its weights. */
  public ModelText text() {
    return text;
  }

  public Tokenizer tokenizer() {
    return text.tokenizer();
  }

  /** Empty for a model of plain text. */
  public Optional<ChatTemplate> chatTemplate() {
    return text.chatTemplate();
  }

  /** SHA-256 of shape and weights. The first call reads all weights. */
  public String fingerprint() {
    String known = fingerprint;
    if (known == null) {
      known = Checkpoints.fingerprint(config, weights);
      fingerprint = known;
    }
    return known;
  }

  /** As {@link ModelText#tokenizerFingerprint}. */
  public String tokenizerFingerprint() {
    return text.tokenizerFingerprint();
  }

  /** As {@link ModelText#chatTemplateFingerprint}. */
  public String chatTemplateFingerprint() {
    return text.chatTemplateFingerprint();
  }

  /** As {@link ModelText#stopIds}. */
  public Set<Integer> stopIds() {
    return text.stopIds();
  }

  /** As {@link ModelText#promptIds(String)}. */
  public int[] promptIds(String prompt) {
    return text.promptIds(prompt);
  }

  /** As {@link ModelText#promptIds(List)}. */
  public int[] promptIds(List<ChatMessage> messages) {
    return text.promptIds(messages);
  }
}
