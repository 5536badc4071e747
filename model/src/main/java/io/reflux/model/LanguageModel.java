package io.reflux.model;

import io.reflux.model.chat.ChatMessage;
import io.reflux.model.chat.ChatTemplate;
import io.reflux.model.chat.SpecialTokens;
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
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
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
  private final Tokenizer tokenizer;
  private final Optional<ChatTemplate> chatTemplate;
  private final Set<Integer> stopIds;
  private volatile String fingerprint;

  private LanguageModel(
      Path directory,
      Checkpoint checkpoint,
      Tokenizer tokenizer,
      Optional<ChatTemplate> chatTemplate,
      Set<Integer> stopIds) {
    this.directory = directory;
    this.config = checkpoint.config();
    this.weights = checkpoint.weights();
    this.tokenizer = tokenizer;
    this.chatTemplate = chatTemplate;
    this.stopIds = stopIds;
  }

  /**
   * Opens a model directory. Weights stay in their files until they are asked for.
   *
   * @throws ModelException one line that names what is missing or does not fit
   */
  public static LanguageModel load(Path directory) {
    Checkpoint checkpoint = Checkpoints.load(directory);
    Tokenizer tokenizer = Tokenizer.load(directory);
    int vocabulary = checkpoint.config().vocabularySize();
    if (tokenizer.vocabularySize() > vocabulary) {
      throw new ModelException(
          "%s: tokenizer.json has ids up to %d (expected: below config.json's vocab_size, %d)"
              .formatted(directory, tokenizer.vocabularySize() - 1, vocabulary));
    }
    Set<Integer> stopIds = new LinkedHashSet<>(checkpoint.config().eosTokenIds());
    String eosToken = SpecialTokens.load(directory).get("eos_token");
    if (eosToken != null) {
      OptionalInt id = tokenizer.id(eosToken);
      id.ifPresent(stopIds::add);
    }
    return new LanguageModel(
        directory, checkpoint, tokenizer, ChatTemplate.load(directory), Set.copyOf(stopIds));
  }

  /**
   * Writes a model directory that {@link #load} and any Hugging Face library can open. The same
   * input gives the same bytes.
   *
   * @param directory made if need be; files of the same names are replaced
   * @param dtype of the weights; I8 keeps 8-bit matrices as they are
   * @param tokenizerSource a directory with the tokenizer's files, which are copied
   */
  public static void save(
      Path directory, ModelConfig config, Weights weights, DType dtype, Path tokenizerSource) {
    if (!Files.exists(tokenizerSource.resolve("tokenizer.json"))) {
      throw new ModelException(tokenizerSource.resolve("tokenizer.json") + ": no such file");
    }
    Checkpoints.save(directory, config, weights, dtype);
    try {
      for (String name : TOKENIZER_FILES) {
        Path source = tokenizerSource.resolve(name);
        Path target = directory.resolve(name);
        boolean sameFile =
            Files.exists(target) && Files.exists(source) && Files.isSameFile(source, target);
        if (Files.exists(source) && !sameFile) {
          Files.copy(source, target, StandardCopyOption.REPLACE_EXISTING);
        }
      }
    } catch (IOException e) {
      throw new ModelException(directory + ": cannot be written: " + e.getMessage(), e);
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

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** Empty for a model of plain text. */
  public Optional<ChatTemplate> chatTemplate() {
    return chatTemplate;
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

  /** SHA-256 of tokenizer.json. */
  public String tokenizerFingerprint() {
    return tokenizer.fingerprint();
  }

  /** SHA-256 of the chat template and its special tokens; "" when there is none. */
  public String chatTemplateFingerprint() {
    return chatTemplate.map(ChatTemplate::fingerprint).orElse("");
  }

  /**
   * Any of these ends a response: the ids of config.json and generation_config.json, and the
   * tokenizer's own end token, which in chat models is that of a turn.
   */
  public Set<Integer> stopIds() {
    return stopIds;
  }

  /**
   * Ids of a prompt: one user turn by the chat template, or without one the plain text, with BOS if
   * the tokenizer adds it.
   */
  public int[] promptIds(String prompt) {
    return chatTemplate.isPresent()
        ? promptIds(List.of(ChatMessage.user(prompt)))
        : tokenizer.encode(prompt, true);
  }

  /**
   * Ids of a conversation, the assistant's next turn opened.
   *
   * @throws ModelException if the model has no chat template, or its template refuses the messages
   */
  public int[] promptIds(List<ChatMessage> messages) {
    ChatTemplate template =
        chatTemplate.orElseThrow(
            () ->
                new ModelException(
                    directory + ": no chat template (expected: one, to prompt with messages)"));
    // The template writes BOS itself where the model wants it.
    return tokenizer.encode(template.render(messages, true), false);
  }
}
