package io.reflux.model.runtime;

import java.util.List;

/**
 * A finished continuation.
 *
 * @param tokens in order, the stop token included when one came
 * @param cachedPromptTokens tokens of the prompt that were not read again, because a prompt before
 *     began alike
 */
public record Generation(List<Token> tokens, FinishReason finishReason, int cachedPromptTokens) {
  /** Why it ended. */
  public enum FinishReason {
    STOP,
    LENGTH,
    CANCELLED
  }

  /**
   * One token of it.
   *
   * @param logprob of the token, of the distribution it was drawn from after temperature, before
   *     top-p and top-k; at temperature 0 of the plain distribution
   * @param topIds likeliest alternatives of the plain distribution, likeliest first
   * @param topLogprobs their log-probs
   */
  public record Token(int id, float logprob, int[] topIds, float[] topLogprobs) {}

  /** Of a prompt that was read as a whole. */
  public Generation(List<Token> tokens, FinishReason finishReason) {
    this(tokens, finishReason, 0);
  }

  /** Ids alone. */
  public int[] tokenIds() {
    return tokens.stream().mapToInt(Token::id).toArray();
  }
}
