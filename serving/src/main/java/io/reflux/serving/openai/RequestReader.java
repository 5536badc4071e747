package io.reflux.serving.openai;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.chat.ChatMessage;
import io.reflux.serving.openai.CompletionCall.Prompt;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.stream.Stream;

/** Reads the fields of a request, and refuses the ones that cannot be honoured. */
final class RequestReader {
  private static final int MOST_STOPS = 16;
  private static final int MOST_TOP_LOGPROBS = 20;
  private static final int MOST_CHOICES = 128;

  private final ObjectNode body;
  private final String modelName;
  private final int maxTokensLimit;

  private RequestReader(ObjectNode body, String modelName, int maxTokensLimit) {
    this.body = body;
    this.modelName = modelName;
    this.maxTokensLimit = maxTokensLimit;
  }

  static CompletionCall completion(ObjectNode body, String modelName, int maxTokensLimit) {
    return new RequestReader(body, modelName, maxTokensLimit).completion();
  }

  static CompletionCall chat(ObjectNode body, String modelName, int maxTokensLimit) {
    return new RequestReader(body, modelName, maxTokensLimit).chat();
  }

  private CompletionCall completion() {
    checkModel();
    if (flag("echo")) {
      throw ApiException.unsupported(
          "echo", "true is not supported (expected: false; prepend the prompt yourself)");
    }
    refuse("suffix", "text is not supported (expected: null)");
    int choices = choices();
    integer("best_of")
        .ifPresent(
            best -> {
              if (best != choices) {
                throw ApiException.unsupported(
                    "best_of", best + " is not supported (expected: absent, or equal to n)");
              }
            });
    refuseWhatChangesAnswers();
    OptionalLong logprobs = integer("logprobs", 0, MOST_TOP_LOGPROBS);
    return call(
        false,
        prompts(),
        choices,
        tokens("max_tokens"),
        logprobs.isPresent() ? (int) logprobs.getAsLong() : -1);
  }

  private CompletionCall chat() {
    checkModel();
    refuseWhatChangesAnswers();
    refuse("tools", "tools are not supported (expected: absent)");
    refuse("functions", "functions are not supported (expected: absent)");
    JsonNode format = body.path("response_format").path("type");
    if (!format.isMissingNode() && !format.asText().equals("text")) {
      throw ApiException.unsupported(
          "response_format", format + " is not supported (expected: text)");
    }
    OptionalLong top = integer("top_logprobs", 0, MOST_TOP_LOGPROBS);
    boolean logprobs = flag("logprobs");
    if (top.isPresent() && top.getAsLong() > 0 && !logprobs) {
      throw ApiException.invalid(
          "top_logprobs", top.getAsLong() + " without logprobs (expected: logprobs true)");
    }
    OptionalInt maxTokens = tokens("max_completion_tokens");
    return call(
        true,
        List.of(new Prompt.Chat(messages())),
        choices(),
        maxTokens.isPresent() ? maxTokens : tokens("max_tokens"),
        logprobs ? (int) top.orElse(0) : -1);
  }

  private CompletionCall call(
      boolean chat, List<Prompt> prompts, int choices, OptionalInt maxTokens, int topLogprobs) {
    boolean stream = flag("stream");
    JsonNode streamOptions = body.path("stream_options");
    boolean includeUsage = streamOptions.path("include_usage").asBoolean(false);
    if (!stream && streamOptions.isObject()) {
      throw ApiException.invalid("stream_options", "without stream (expected: stream true)");
    }
    return new CompletionCall(
        chat,
        prompts,
        choices,
        maxTokens,
        number("temperature", 1, 0, 2),
        topP(),
        stops(),
        integer("seed"),
        topLogprobs,
        stream,
        includeUsage,
        user());
  }

  /** Newer clients have two names for what was one. */
  private Optional<String> user() {
    return Stream.of("safety_identifier", "user", "prompt_cache_key")
        .map(body::path)
        .filter(JsonNode::isTextual)
        .map(JsonNode::textValue)
        .filter(text -> !text.isBlank())
        .findFirst();
  }

  private void checkModel() {
    JsonNode model = body.path("model");
    if (absent(model)) {
      return;
    }
    if (!model.isTextual()) {
      throw ApiException.invalid("model", model + " (expected: a string)");
    }
    if (!model.textValue().equals(modelName)) {
      throw ApiException.unknownModel(model.textValue(), modelName);
    }
  }

  /** Ignoring these would give another answer than the one asked for. */
  private void refuseWhatChangesAnswers() {
    refuse("logit_bias", "biases are not supported (expected: absent, or empty)");
    for (String penalty : List.of("frequency_penalty", "presence_penalty")) {
      if (number(penalty, 0, -2, 2) != 0) {
        throw ApiException.unsupported(
            penalty, body.path(penalty) + " is not supported (expected: 0)");
      }
    }
  }

  private void refuse(String field, String message) {
    JsonNode value = body.path(field);
    boolean empty =
        absent(value)
            || (value.isContainerNode() && value.isEmpty())
            || (value.isTextual() && value.textValue().isEmpty());
    if (!empty) {
      throw ApiException.unsupported(field, message);
    }
  }

  private List<Prompt> prompts() {
    JsonNode prompt = body.path("prompt");
    if (prompt.isTextual()) {
      return List.of(new Prompt.Text(prompt.textValue()));
    }
    if (prompt.isArray() && !prompt.isEmpty()) {
      if (prompt.get(0).isNumber()) {
        return List.of(tokens(prompt));
      }
      List<Prompt> prompts = new ArrayList<>();
      for (JsonNode one : prompt) {
        if (one.isTextual()) {
          prompts.add(new Prompt.Text(one.textValue()));
        } else if (one.isArray()) {
          prompts.add(tokens(one));
        } else {
          throw invalidPrompt();
        }
      }
      return List.copyOf(prompts);
    }
    throw invalidPrompt();
  }

  private static Prompt tokens(JsonNode ids) {
    int[] tokens = new int[ids.size()];
    for (int i = 0; i < tokens.length; i++) {
      if (!ids.get(i).isIntegralNumber() || !ids.get(i).canConvertToInt()) {
        throw invalidPrompt();
      }
      tokens[i] = ids.get(i).intValue();
    }
    return new Prompt.Tokens(tokens);
  }

  private static ApiException invalidPrompt() {
    return ApiException.invalid(
        "prompt", "(expected: a string, an array of strings, token ids, or an array of those)");
  }

  private List<ChatMessage> messages() {
    JsonNode messages = body.path("messages");
    if (!messages.isArray() || messages.isEmpty()) {
      throw ApiException.invalid("messages", "(expected: an array of at least one message)");
    }
    List<ChatMessage> read = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      String name = "messages[" + i + "]";
      JsonNode role = messages.get(i).path("role");
      if (!role.isTextual() || role.textValue().isBlank()) {
        throw ApiException.invalid(
            name + ".role", "(expected: system, user, assistant or another role by name)");
      }
      read.add(
          new ChatMessage(
              role.textValue(), content(name + ".content", messages.get(i).path("content"))));
    }
    return List.copyOf(read);
  }

  private static String content(String name, JsonNode content) {
    if (content.isTextual()) {
      return content.textValue();
    }
    if (!content.isArray() || content.isEmpty()) {
      throw ApiException.invalid(name, "(expected: a string, or an array of text parts)");
    }
    StringBuilder text = new StringBuilder();
    for (JsonNode part : content) {
      if (!part.path("type").asText().equals("text") || !part.path("text").isTextual()) {
        throw ApiException.invalid(
            name,
            "part of type '"
                + part.path("type").asText()
                + "' (expected: parts of type text with a string)");
      }
      text.append(part.path("text").textValue());
    }
    return text.toString();
  }

  private List<String> stops() {
    JsonNode stop = body.path("stop");
    if (absent(stop)) {
      return List.of();
    }
    List<String> stops = new ArrayList<>();
    if (stop.isTextual()) {
      stops.add(stop.textValue());
    } else if (stop.isArray() && stop.size() <= MOST_STOPS) {
      for (JsonNode one : stop) {
        stops.add(one.isTextual() ? one.textValue() : "");
      }
    } else {
      throw ApiException.invalid(
          "stop", "(expected: a string, or an array of at most " + MOST_STOPS + ")");
    }
    if (stops.contains("")) {
      throw ApiException.invalid("stop", "(expected: strings of at least one character)");
    }
    return List.copyOf(stops);
  }

  private int choices() {
    return (int) integer("n", 1, MOST_CHOICES).orElse(1);
  }

  private OptionalInt tokens(String field) {
    OptionalLong value = integer(field, 1, maxTokensLimit);
    return value.isPresent() ? OptionalInt.of((int) value.getAsLong()) : OptionalInt.empty();
  }

  private double topP() {
    double value = number("top_p", 1, 0, 1);
    if (value == 0) {
      throw ApiException.invalid("top_p", "0 (expected: above 0, to 1)");
    }
    return value;
  }

  private boolean flag(String field) {
    JsonNode value = body.path(field);
    if (absent(value)) {
      return false;
    }
    if (!value.isBoolean()) {
      throw ApiException.invalid(field, value + " (expected: true or false)");
    }
    return value.booleanValue();
  }

  private double number(String field, double absent, double least, double most) {
    JsonNode value = body.path(field);
    if (absent(value)) {
      return absent;
    }
    double number = value.isNumber() ? value.doubleValue() : Double.NaN;
    if (!(number >= least && number <= most)) {
      throw ApiException.invalid(field, value + " (expected: " + least + " to " + most + ")");
    }
    return number;
  }

  private OptionalLong integer(String field) {
    JsonNode value = body.path(field);
    if (absent(value)) {
      return OptionalLong.empty();
    }
    if (!value.isIntegralNumber() || !value.canConvertToLong()) {
      throw ApiException.invalid(field, value + " (expected: an integer)");
    }
    return OptionalLong.of(value.longValue());
  }

  private OptionalLong integer(String field, long least, long most) {
    OptionalLong value = integer(field);
    if (value.isPresent() && (value.getAsLong() < least || value.getAsLong() > most)) {
      throw ApiException.invalid(
          field, value.getAsLong() + " (expected: " + least + " to " + most + ")");
    }
    return value;
  }

  private static boolean absent(JsonNode value) {
    return value.isMissingNode() || value.isNull();
  }
}
