package io.reflux.serving.openai;

import io.reflux.model.chat.ChatMessage;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * A request of either kind, checked as far as it can be without a model.
 *
 * @param choices continuations of each prompt
 * @param maxTokens empty when the request does not say
 * @param stops texts that end a continuation and are not part of it
 * @param seed empty for a different one each time
 * @param topLogprobs likeliest alternatives to report a token; -1 to report no logprobs at all
 * @param includeUsage whether a stream ends with the usage
 * @param user who asks
 */
record CompletionCall(
    boolean chat,
    List<Prompt> prompts,
    int choices,
    OptionalInt maxTokens,
    double temperature,
    double topP,
    List<String> stops,
    OptionalLong seed,
    int topLogprobs,
    boolean stream,
    boolean includeUsage,
    Optional<String> user) {

  /** What is to be continued. */
  sealed interface Prompt {
    /** Raw text, taken as it is. */
    record Text(String text) implements Prompt {}

    /** Ready token ids. */
    record Tokens(int[] ids) implements Prompt {}

    /** Turns for the chat template. */
    record Chat(List<ChatMessage> messages) implements Prompt {}
  }

  boolean wantsLogprobs() {
    return topLogprobs >= 0;
  }

  int totalChoices() {
    return prompts.size() * choices;
  }
}
