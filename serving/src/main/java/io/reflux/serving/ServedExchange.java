package io.reflux.serving;

import io.reflux.model.chat.ChatMessage;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * A request with the answer that was served; each choice is an exchange of its own.
 *
 * @param requestId unique
 * @param prompt of a completion; empty when there are messages
 * @param messages of a chat, oldest first; empty when there is a prompt
 * @param response the student's text
 * @param maxTokens longest response that was asked for, or the server's default
 * @param segment that the client named
 * @param channel that served it
 * @param version of the snapshot that served it
 */
public record ServedExchange(
    String requestId,
    Instant receivedAt,
    Optional<String> prompt,
    List<ChatMessage> messages,
    String response,
    int maxTokens,
    Optional<String> segment,
    String channel,
    long version) {}
