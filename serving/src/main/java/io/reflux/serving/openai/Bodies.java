package io.reflux.serving.openai;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.reflux.model.runtime.Generation;
import io.reflux.model.tokenizer.Tokenizer;
import io.reflux.serving.openai.ChoiceText.PlacedToken;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The JSON of answers to one request. */
final class Bodies {
  /** What stands for minus infinity, which JSON has not. */
  private static final double LOWEST_LOGPROB = -9999;

  private final CompletionCall call;
  private final Tokenizer tokenizer;
  private final String id;
  private final long created;
  private final String modelName;
  private final String fingerprint;

  Bodies(
      CompletionCall call,
      Tokenizer tokenizer,
      String id,
      long createdEpochSeconds,
      String modelName,
      String fingerprint) {
    this.call = call;
    this.tokenizer = tokenizer;
    this.id = id;
    this.created = createdEpochSeconds;
    this.modelName = modelName;
    this.fingerprint = fingerprint;
  }

  /** A whole answer, or a part of a stream. */
  ObjectNode answer(boolean part, ArrayNode choices) {
    ObjectNode body = Json.object();
    body.put("id", id);
    body.put("object", objectName(part));
    body.put("created", created);
    body.put("model", modelName);
    body.put("system_fingerprint", fingerprint);
    body.set("choices", choices);
    return body;
  }

  private String objectName(boolean part) {
    if (!call.chat()) {
      return "text_completion";
    }
    return part ? "chat.completion.chunk" : "chat.completion";
  }

  ObjectNode wholeChoice(int index, String text, List<PlacedToken> tokens, String finishReason) {
    ObjectNode choice = Json.object();
    choice.put("index", index);
    if (call.chat()) {
      choice.putObject("message").put("role", "assistant").put("content", text).putNull("refusal");
    } else {
      choice.put("text", text);
    }
    putLogprobs(choice, tokens);
    choice.put("finish_reason", finishReason);
    return choice;
  }

  /**
   * @param finishReason null while there is more to come
   */
  ObjectNode partialChoice(int index, String text, List<PlacedToken> tokens, String finishReason) {
    ObjectNode choice = Json.object();
    choice.put("index", index);
    if (call.chat()) {
      ObjectNode delta = choice.putObject("delta");
      if (!text.isEmpty()) {
        delta.put("content", text);
      }
    } else {
      choice.put("text", text);
    }
    putLogprobs(choice, tokens);
    choice.put("finish_reason", finishReason);
    return choice;
  }

  /** What a chat's stream begins with. */
  ObjectNode roleChoice(int index) {
    ObjectNode choice = Json.object();
    choice.put("index", index);
    choice.putObject("delta").put("role", "assistant").put("content", "");
    choice.putNull("logprobs");
    choice.putNull("finish_reason");
    return choice;
  }

  static ObjectNode usage(CompletionRun.Usage usage) {
    ObjectNode node =
        Json.object()
            .put("prompt_tokens", usage.promptTokens())
            .put("completion_tokens", usage.completionTokens())
            .put("total_tokens", usage.promptTokens() + usage.completionTokens());
    node.putObject("prompt_tokens_details").put("cached_tokens", usage.cachedTokens());
    return node;
  }

  private void putLogprobs(ObjectNode choice, List<PlacedToken> tokens) {
    if (!call.wantsLogprobs() || tokens.isEmpty()) {
      choice.putNull("logprobs");
    } else if (call.chat()) {
      chatLogprobs(choice.putObject("logprobs"), tokens);
    } else {
      completionLogprobs(choice.putObject("logprobs"), tokens);
    }
  }

  private void chatLogprobs(ObjectNode logprobs, List<PlacedToken> tokens) {
    ArrayNode content = logprobs.putArray("content");
    for (PlacedToken placed : tokens) {
      Generation.Token token = placed.token();
      ObjectNode entry = content.addObject();
      putToken(entry, token.id(), token.logprob());
      ArrayNode top = entry.putArray("top_logprobs");
      for (int i = 0; i < Math.min(call.topLogprobs(), token.topIds().length); i++) {
        putToken(top.addObject(), token.topIds()[i], token.topLogprobs()[i]);
      }
    }
    logprobs.putNull("refusal");
  }

  private void putToken(ObjectNode entry, int tokenId, float logprob) {
    String text = text(tokenId);
    entry.put("token", text);
    entry.put("logprob", finite(logprob));
    ArrayNode bytes = entry.putArray("bytes");
    for (byte one : text.getBytes(StandardCharsets.UTF_8)) {
      bytes.add(one & 0xFF);
    }
  }

  private void completionLogprobs(ObjectNode logprobs, List<PlacedToken> tokens) {
    ArrayNode texts = logprobs.putArray("tokens");
    ArrayNode values = logprobs.putArray("token_logprobs");
    ArrayNode tops = call.topLogprobs() > 0 ? logprobs.putArray("top_logprobs") : Json.array();
    ArrayNode offsets = logprobs.putArray("text_offset");
    for (PlacedToken placed : tokens) {
      Generation.Token token = placed.token();
      texts.add(text(token.id()));
      values.add(finite(token.logprob()));
      offsets.add(placed.textOffset());
      ObjectNode top = tops.addObject();
      for (int i = 0; i < Math.min(call.topLogprobs(), token.topIds().length); i++) {
        // Tokens that are parts of characters may look the same: the likeliest keeps the name.
        String name = text(token.topIds()[i]);
        if (!top.has(name)) {
          top.put(name, finite(token.topLogprobs()[i]));
        }
      }
    }
    if (call.topLogprobs() == 0) {
      logprobs.putNull("top_logprobs");
    }
  }

  private String text(int tokenId) {
    return tokenizer.decode(new int[] {tokenId}, false);
  }

  private static double finite(float logprob) {
    return Math.max(LOWEST_LOGPROB, logprob);
  }
}
