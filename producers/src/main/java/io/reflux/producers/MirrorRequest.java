package io.reflux.producers;

import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * A request to mirror: either a prompt or messages, and whatever else is known of it.
 *
 * @param requestId unique; empty lets the mirror name it
 * @param conversationId requests that share it stay in order, and are sampled together
 * @param receivedAt when production received it; empty for now
 * @param segment the slice that drift is reported by; empty for the mirror's default
 * @param tags for filtering only
 * @param prompt of a completion; empty when there are messages
 * @param messages of a chat, oldest first
 * @param response what production answered; empty asks the teacher to answer
 * @param maxTokens longest response asked for
 */
public record MirrorRequest(
    Optional<String> requestId,
    Optional<String> conversationId,
    Optional<Instant> receivedAt,
    Optional<String> segment,
    Map<String, String> tags,
    Optional<String> prompt,
    List<Turn> messages,
    Optional<String> response,
    OptionalInt maxTokens) {

  /** One message of a chat. */
  public record Turn(String role, String content) {}

  public MirrorRequest {
    tags = Map.copyOf(tags);
    messages = List.copyOf(messages);
    if (prompt.isPresent() == !messages.isEmpty()) {
      throw new IllegalArgumentException(
          prompt.isPresent()
              ? "prompt and messages: both given (expected: one of them)"
              : "prompt: missing (expected: a prompt, or messages)");
    }
  }

  /** A completion request. */
  public static Builder prompt(String prompt) {
    return new Builder(Optional.of(prompt), List.of());
  }

  /** A chat request. */
  public static Builder messages(List<Turn> messages) {
    return new Builder(Optional.empty(), messages);
  }

  /** Collects what is known of a request; absent parts stay absent, and null means absent. */
  public static final class Builder {
    private final Optional<String> prompt;
    private final List<Turn> messages;
    private Optional<String> requestId = Optional.empty();
    private Optional<String> conversationId = Optional.empty();
    private Optional<Instant> receivedAt = Optional.empty();
    private Optional<String> segment = Optional.empty();
    private Map<String, String> tags = Map.of();
    private Optional<String> response = Optional.empty();
    private OptionalInt maxTokens = OptionalInt.empty();

    private Builder(Optional<String> prompt, List<Turn> messages) {
      this.prompt = prompt;
      this.messages = messages;
    }

    public Builder requestId(String value) {
      requestId = Optional.ofNullable(value);
      return this;
    }

    public Builder conversationId(String value) {
      conversationId = Optional.ofNullable(value);
      return this;
    }

    public Builder receivedAt(Instant value) {
      receivedAt = Optional.ofNullable(value);
      return this;
    }

    public Builder segment(String value) {
      segment = Optional.ofNullable(value);
      return this;
    }

    public Builder tags(Map<String, String> value) {
      tags = value;
      return this;
    }

    public Builder response(String value) {
      response = Optional.ofNullable(value);
      return this;
    }

    public Builder maxTokens(Integer value) {
      maxTokens = value == null ? OptionalInt.empty() : OptionalInt.of(value);
      return this;
    }

    public MirrorRequest build() {
      return new MirrorRequest(
          requestId,
          conversationId,
          receivedAt,
          segment,
          tags,
          prompt,
          messages,
          response,
          maxTokens);
    }
  }

  /** The same request under another name. */
  public MirrorRequest named(String id) {
    return new MirrorRequest(
        Optional.of(id),
        conversationId,
        receivedAt,
        segment,
        tags,
        prompt,
        messages,
        response,
        maxTokens);
  }

  /** Length of all its text, in UTF-8 bytes: what it will take on the wire, nearly. */
  long textBytes() {
    long bytes = 0;
    for (Turn turn : messages) {
      bytes += utf8(turn.role()) + utf8(turn.content());
    }
    for (Map.Entry<String, String> tag : tags.entrySet()) {
      bytes += utf8(tag.getKey()) + utf8(tag.getValue());
    }
    return bytes
        + utf8(prompt)
        + utf8(response)
        + utf8(requestId)
        + utf8(conversationId)
        + utf8(segment);
  }

  private static long utf8(Optional<String> text) {
    return text.isPresent() ? utf8(text.get()) : 0;
  }

  private static long utf8(String text) {
    long bytes = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      // A surrogate is half of a four-byte character.
      bytes += c < 0x80 ? 1 : c < 0x800 || Character.isSurrogate(c) ? 2 : 3;
    }
    return bytes;
  }
}
