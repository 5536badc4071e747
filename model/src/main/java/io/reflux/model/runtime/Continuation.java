package io.reflux.model.runtime;

import io.reflux.model.runtime.Generation.FinishReason;
import io.reflux.model.runtime.Generation.Token;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** A request on its way through the engine: only the engine's thread touches it once admitted. */
final class Continuation {
  private final GenerationRequest request;
  private final GenerationHandle handle;
  private final Consumer<Token> onToken;
  private final int[] prompt;
  private final int maxTokens;
  private final Sampler sampler;
  private final List<Token> tokens = new ArrayList<>();
  private int cached;
  private int reused;
  private boolean ended;

  /**
   * A request that has not begun.
   *
   * @param onToken null when nobody listens
   * @param maxTokens that fit, at most the request's
   */
  Continuation(
      GenerationRequest request, GenerationHandle handle, Consumer<Token> onToken, int maxTokens) {
    this.request = request;
    this.handle = handle;
    this.onToken = onToken;
    this.prompt = request.promptIds().clone();
    this.maxTokens = maxTokens;
    this.sampler = new Sampler(request.sampling(), request.topLogprobs());
  }

  GenerationHandle handle() {
    return handle;
  }

  int[] prompt() {
    return prompt;
  }

  /** Positions in the cache. */
  int cached() {
    return cached;
  }

  void cached(int positions) {
    cached = positions;
  }

  /** Notes that positions up to there were in the cache already. */
  void reused(int positions) {
    reused += positions - cached;
    cached = positions;
  }

  boolean ended() {
    return ended;
  }

  /** Whether the prompt is not in the cache yet. */
  boolean prefilling() {
    return !ended && cached < prompt.length;
  }

  boolean decoding() {
    return !ended && cached >= prompt.length;
  }

  int lastToken() {
    return tokens.get(tokens.size() - 1).id();
  }

  /** Draws the next token, tells the listener, and ends if it was the last. */
  void advance(float[] logprobs, double[] scratch) {
    try {
      Token token = sampler.draw(logprobs, scratch);
      tokens.add(token);
      if (onToken != null) {
        onToken.accept(token);
      }
      if (request.stopIds().contains(token.id())) {
        end(FinishReason.STOP);
      } else if (tokens.size() >= maxTokens) {
        end(FinishReason.LENGTH);
      }
    } catch (RuntimeException e) {
      // The model's or the listener's fault: this request's alone, and told to whoever waits.
      fail(e);
    }
  }

  void end(FinishReason reason) {
    ended = true;
    handle.result().complete(new Generation(List.copyOf(tokens), reason, reused));
  }

  void fail(Throwable cause) {
    ended = true;
    handle.result().completeExceptionally(cause);
  }
}
