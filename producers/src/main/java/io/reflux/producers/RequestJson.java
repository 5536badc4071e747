package io.reflux.producers;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.reflux.producers.MirrorRequest.Turn;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Reads requests from JSON: our own form, and the bodies of OpenAI's completions and chats. */
final class RequestJson {
  private static final Set<String> FIELDS =
      new TreeSet<>(
          Set.of(
              "prompt",
              "messages",
              "response",
              "segment",
              "conversation_id",
              "request_id",
              "tags",
              "max_tokens"));
  private static final int LONGEST_QUOTE = 40;

  private static final JsonMapper JSON =
      JsonMapper.builder(
              com.fasterxml.jackson.core.JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxNestingDepth(64).build())
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private RequestJson() {}

  /** Our own form, where an unknown field is a mistake. */
  static MirrorRequest mirror(String text) throws BadRequestException {
    JsonNode body = object(text);
    for (var names = body.fieldNames(); names.hasNext(); ) {
      String name = names.next();
      if (!FIELDS.contains(name)) {
        throw new BadRequestException(
            quote(name) + ": unknown field (expected: one of " + FIELDS + ")");
      }
    }
    return read(body, true);
  }

  /**
   * A line of a file, where unknown fields are passed over.
   *
   * @param responses whether to keep the response
   */
  static MirrorRequest line(String text, boolean responses) throws BadRequestException {
    return read(object(text), responses);
  }

  /** The body of a completion; one request a prompt. */
  static List<MirrorRequest> completion(String text, Origin origin) throws BadRequestException {
    JsonNode body = object(text);
    JsonNode prompt = body.path("prompt");
    List<String> prompts = new ArrayList<>();
    if (prompt.isArray() && !prompt.isEmpty()) {
      for (JsonNode one : prompt) {
        prompts.add(nonEmpty("prompt", one));
      }
    } else {
      prompts.add(nonEmpty("prompt", prompt));
    }
    Integer maxTokens = maxTokens(body, "max_tokens");
    List<MirrorRequest> requests = new ArrayList<>();
    for (int i = 0; i < prompts.size(); i++) {
      String id =
          origin.requestId() == null || i == 0 ? origin.requestId() : origin.requestId() + "." + i;
      requests.add(finish(MirrorRequest.prompt(prompts.get(i)), origin, id, maxTokens));
    }
    return requests;
  }

  /** The body of a chat completion. */
  static MirrorRequest chat(String text, Origin origin) throws BadRequestException {
    JsonNode body = object(text);
    Integer maxTokens = maxTokens(body, "max_completion_tokens");
    if (maxTokens == null) {
      maxTokens = maxTokens(body, "max_tokens");
    }
    return finish(
        MirrorRequest.messages(messages(body.path("messages"))),
        origin,
        origin.requestId(),
        maxTokens);
  }

  /**
   * What the headers of a mirrored call say; any may be null.
   *
   * @param requestId unique name
   */
  record Origin(String requestId, String conversationId, String segment) {}

  private static MirrorRequest finish(
      MirrorRequest.Builder builder, Origin origin, String id, Integer maxTokens) {
    return builder
        .requestId(id)
        .conversationId(origin.conversationId())
        .segment(origin.segment())
        .maxTokens(maxTokens)
        .build();
  }

  private static JsonNode object(String text) throws BadRequestException {
    JsonNode body;
    try {
      body = JSON.readTree(text);
    } catch (JsonProcessingException e) {
      String where =
          e.getLocation() == null ? "" : " at column " + Math.max(1, e.getLocation().getColumnNr());
      throw new BadRequestException("body: no JSON" + where + " (expected: a JSON object)");
    }
    if (body == null || !body.isObject()) {
      throw new BadRequestException("body: " + kind(body) + " (expected: a JSON object)");
    }
    return body;
  }

  private static MirrorRequest read(JsonNode body, boolean responses) throws BadRequestException {
    boolean chat = body.hasNonNull("messages");
    if (chat && body.hasNonNull("prompt")) {
      throw new BadRequestException("prompt and messages: both given (expected: one of them)");
    }
    if (!chat && !body.hasNonNull("prompt")) {
      throw new BadRequestException("prompt: missing (expected: a string, or messages)");
    }
    MirrorRequest.Builder builder =
        chat
            ? MirrorRequest.messages(messages(body.get("messages")))
            : MirrorRequest.prompt(nonEmpty("prompt", body.get("prompt")));
    return builder
        .requestId(optional(body, "request_id"))
        .conversationId(optional(body, "conversation_id"))
        .segment(optional(body, "segment"))
        .tags(tags(body.path("tags")))
        .response(responses ? text(body, "response") : null)
        .maxTokens(maxTokens(body, "max_tokens"))
        .build();
  }

  private static List<Turn> messages(JsonNode messages) throws BadRequestException {
    if (!messages.isArray() || messages.isEmpty()) {
      throw new BadRequestException(
          "messages: " + kind(messages) + " (expected: an array of at least one message)");
    }
    List<Turn> turns = new ArrayList<>();
    for (int i = 0; i < messages.size(); i++) {
      JsonNode message = messages.get(i);
      String name = "messages[" + i + "]";
      turns.add(
          new Turn(
              nonEmpty(name + ".role", message.path("role")),
              content(name + ".content", message.path("content"))));
    }
    return turns;
  }

  /** A string, or OpenAI's list of text parts. */
  private static String content(String name, JsonNode content) throws BadRequestException {
    if (!content.isArray()) {
      return string(name, content);
    }
    StringBuilder text = new StringBuilder();
    for (JsonNode part : content) {
      if (!"text".equals(part.path("type").asText())) {
        throw new BadRequestException(
            name + ": part of type " + quote(part.path("type").asText()) + " (expected: text)");
      }
      text.append(string(name + ".text", part.path("text")));
    }
    return text.toString();
  }

  private static Map<String, String> tags(JsonNode tags) throws BadRequestException {
    if (tags.isMissingNode() || tags.isNull()) {
      return Map.of();
    }
    if (!tags.isObject()) {
      throw new BadRequestException("tags: " + kind(tags) + " (expected: an object of strings)");
    }
    Map<String, String> result = new LinkedHashMap<>();
    for (var entry : tags.properties()) {
      result.put(entry.getKey(), string("tags." + entry.getKey(), entry.getValue()));
    }
    return result;
  }

  private static Integer maxTokens(JsonNode body, String name) throws BadRequestException {
    JsonNode value = body.path(name);
    if (value.isMissingNode() || value.isNull()) {
      return null;
    }
    if (!value.isIntegralNumber() || !value.canConvertToInt() || value.intValue() < 1) {
      throw new BadRequestException(
          name + ": " + quote(value.toString()) + " (expected: a whole number, 1 or more)");
    }
    return value.intValue();
  }

  private static String optional(JsonNode body, String name) throws BadRequestException {
    return body.hasNonNull(name) ? nonEmpty(name, body.get(name)) : null;
  }

  private static String text(JsonNode body, String name) throws BadRequestException {
    return body.hasNonNull(name) ? string(name, body.get(name)) : null;
  }

  private static String nonEmpty(String name, JsonNode node) throws BadRequestException {
    String text = string(name, node);
    if (text.isEmpty()) {
      throw new BadRequestException(name + ": empty (expected: text)");
    }
    return text;
  }

  private static String string(String name, JsonNode node) throws BadRequestException {
    if (!node.isTextual()) {
      throw new BadRequestException(name + ": " + kind(node) + " (expected: a string)");
    }
    return node.textValue();
  }

  private static String kind(JsonNode node) {
    if (node == null || node.isMissingNode()) {
      return "missing";
    }
    return node.isContainerNode() && node.isEmpty()
        ? "empty " + node.getNodeType().name().toLowerCase(java.util.Locale.ROOT)
        : node.isContainerNode()
            ? node.getNodeType().name().toLowerCase(java.util.Locale.ROOT)
            : quote(node.toString());
  }

  private static String quote(String text) {
    String line = text.replaceAll("\\p{Cntrl}", " ");
    return line.length() <= LONGEST_QUOTE ? line : line.substring(0, LONGEST_QUOTE) + "…";
  }
}
