package io.reflux.model.chat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.reflux.model.ModelException;
import io.reflux.model.checkpoint.JsonFiles;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Clock;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The template by which a model's makers turn a conversation into its prompt: Jinja as transformers
 * runs it. The renderer is our own, because a prompt that is almost right trains and serves wrong
 * without a word, and because a template must not reach anything but the messages. Safe for
 * concurrent use.
 */
public final class ChatTemplate {
  private static final long MAX_BYTES = 16 << 20;

  private final String source;
  private final List<Node.Statement> statements;
  private final SortedMap<String, String> specialTokens;
  private final Clock clock;

  private ChatTemplate(String source, SortedMap<String, String> specialTokens, Clock clock) {
    this.source = source;
    this.statements = TemplateParser.parse(source);
    this.specialTokens = specialTokens;
    this.clock = clock;
  }

  /**
   * A template in Jinja.
   *
   * @param specialTokens what the template may name, such as {@code bos_token}
   * @throws ModelException if the template cannot be parsed
   */
  public static ChatTemplate of(String source, Map<String, String> specialTokens) {
    return of(source, specialTokens, Clock.system(ZoneId.systemDefault()));
  }

  /** With the clock that {@code strftime_now} reads. */
  static ChatTemplate of(String source, Map<String, String> specialTokens, Clock clock) {
    return new ChatTemplate(source, new TreeMap<>(specialTokens), clock);
  }

  /**
   * The template of a model directory: chat_template.jinja, or chat_template of
   * tokenizer_config.json, where of several named ones it is "default".
   *
   * @return empty when the model has none
   */
  public static Optional<ChatTemplate> load(Path directory) {
    Path configFile = directory.resolve("tokenizer_config.json");
    JsonNode config =
        Files.exists(configFile)
            ? JsonFiles.readObject(configFile, MAX_BYTES)
            : JsonNodeFactory.instance.objectNode();
    Path templateFile = directory.resolve("chat_template.jinja");
    Optional<String> source =
        Files.exists(templateFile)
            ? Optional.of(
                new String(JsonFiles.readBytes(templateFile, MAX_BYTES), StandardCharsets.UTF_8))
            : fromConfig(configFile, config.path("chat_template"));
    return source.map(text -> of(text, SpecialTokens.load(directory)));
  }

  /**
   * The prompt of a conversation.
   *
   * @param addGenerationPrompt whether to open the assistant's turn
   * @throws ModelException if the template refuses the conversation
   */
  public String render(List<ChatMessage> messages, boolean addGenerationPrompt) {
    Map<String, Object> context = new HashMap<>(Functions.all(clock));
    context.putAll(specialTokens);
    context.put(
        "messages",
        messages.stream()
            .map(
                message -> {
                  Map<String, Object> map = new LinkedHashMap<>();
                  map.put("role", message.role());
                  map.put("content", message.content());
                  return map;
                })
            .toList());
    context.put("add_generation_prompt", addGenerationPrompt);
    return Interpreter.run(statements, context);
  }

  /** The template as it is written, in Jinja. */
  public String source() {
    return source;
  }

  /** SHA-256 of the template and its special tokens in lower-case hex. */
  public String fingerprint() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(source.getBytes(StandardCharsets.UTF_8));
      specialTokens.forEach(
          (name, token) ->
              digest.update(("\0" + name + "\0" + token).getBytes(StandardCharsets.UTF_8)));
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  private static Optional<String> fromConfig(Path file, JsonNode template) {
    if (template.isMissingNode() || template.isNull()) {
      return Optional.empty();
    }
    if (template.isTextual()) {
      return Optional.of(template.textValue());
    }
    for (JsonNode named : template) {
      if (named.path("name").asText().equals("default") && named.path("template").isTextual()) {
        return Optional.of(named.get("template").textValue());
      }
    }
    throw new ModelException(
        file + ": chat_template: no default (expected: a text, or a list with one named default)");
  }
}
