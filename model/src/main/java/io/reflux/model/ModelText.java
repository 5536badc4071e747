package io.reflux.model;

import io.reflux.model.chat.ChatMessage;
import io.reflux.model.chat.ChatTemplate;
import io.reflux.model.chat.SpecialTokens;
import io.reflux.model.checkpoint.ModelConfig;
import io.reflux.model.checkpoint.TextConfig;
import io.reflux.model.tokenizer.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * What text is to a model: tokenizer, chat template, vocabulary, what ends a response. Needs no
 * weights and knows no architecture, so that it also stands for a model that runs elsewhere. Safe
 * for concurrent use.
 */
public final class ModelText {
  private final Path directory;
  private final int vocabularySize;
  private final OptionalInt maxPositions;
  private final String configFingerprint;
  private final Tokenizer tokenizer;
  private final Optional<ChatTemplate> chatTemplate;
  private final Set<Integer> stopIds;

  private ModelText(
      Path directory, int vocabularySize, OptionalInt maxPositions, List<Integer> eosTokenIds) {
    this.directory = directory;
    this.vocabularySize = vocabularySize;
    this.maxPositions = maxPositions;
    this.configFingerprint = TextConfig.fingerprint(directory);
    this.tokenizer = Tokenizer.load(directory);
    if (tokenizer.vocabularySize() > vocabularySize) {
      throw new ModelException(
          "%s: tokenizer.json has ids up to %d (expected: below config.json's vocab_size, %d)"
              .formatted(directory, tokenizer.vocabularySize() - 1, vocabularySize));
    }
    this.chatTemplate = ChatTemplate.load(directory);
    Set<Integer> ids = new LinkedHashSet<>(eosTokenIds);
    String eosToken = SpecialTokens.load(directory).get("eos_token");
    if (eosToken != null) {
      tokenizer.id(eosToken).ifPresent(ids::add);
    }
    this.stopIds = Set.copyOf(ids);
  }

  /**
   * Opens a model directory's config.json, tokenizer.json and chat template, and nothing else of
   * it.
   *
   * @throws ModelException one line that names what is missing or does not fit
   */
  public static ModelText load(Path directory) {
    if (!Files.isDirectory(directory)) {
      throw new ModelException(directory + ": no such directory (expected: a model directory)");
    }
    TextConfig config = TextConfig.load(directory);
    return new ModelText(
        directory, config.vocabularySize(), config.maxPositions(), config.eosTokenIds());
  }

  /** With a configuration that is read already. */
  static ModelText load(Path directory, ModelConfig config) {
    return new ModelText(
        directory,
        config.vocabularySize(),
        OptionalInt.of(config.maxPositions()),
        config.eosTokenIds());
  }

  /** Where it was loaded from. */
  public Path directory() {
    return directory;
  }

  /** Of the model's head; the tokenizer's own may be smaller. */
  public int vocabularySize() {
    return vocabularySize;
  }

  /** Longest sequence; empty where config.json does not say. */
  public OptionalInt maxPositions() {
    return maxPositions;
  }

  public Tokenizer tokenizer() {
    return tokenizer;
  }

  /** Empty for a model of plain text. */
  public Optional<ChatTemplate> chatTemplate() {
    return chatTemplate;
  }

  /** SHA-256 of config.json. */
  public String configFingerprint() {
    return configFingerprint;
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

  /** The token that ends a turn: the tokenizer's own where it has one, else the least stop id. */
  public OptionalInt turnEndId() {
    String token = SpecialTokens.load(directory).get("eos_token");
    OptionalInt id = token == null ? OptionalInt.empty() : tokenizer.id(token);
    return id.isPresent() ? id : stopIds.stream().mapToInt(Integer::intValue).min();
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

  /** Ids of a prompt with its response and the end of the turn, where there is one. */
  public int[] exchangeIds(String prompt, String response) {
    int[] promptIds = promptIds(prompt);
    int[] responseIds = tokenizer.encode(response, false);
    OptionalInt end = turnEndId();
    int length = promptIds.length + responseIds.length;
    int[] ids = Arrays.copyOf(promptIds, end.isPresent() ? length + 1 : length);
    System.arraycopy(responseIds, 0, ids, promptIds.length, responseIds.length);
    end.ifPresent(id -> ids[length] = id);
    return ids;
  }
}
