package io.reflux.producers;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.reflux.producers.redact.Finding;
import io.reflux.producers.redact.Redaction;
import io.reflux.producers.redact.RedactionKind;
import io.reflux.producers.redact.Redactor;
import java.nio.charset.StandardCharsets;
import java.security.InvalidKeyException;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** A redactor over all that a request carries, within one budget of time. For one thread. */
final class RequestRedaction {
  /** What a name that holds something begins with, instead of itself. */
  static final String REDACTED_NAME = "redacted-";

  private static final String HASH = "HmacSHA256";
  private static final int ID_DIGITS = 24;

  private final Redactor redactor;
  private final Duration budget;
  private final Map<RedactionKind, Counter> redacted = new EnumMap<>(RedactionKind.class);

  /** Of this process alone: a hash that anybody can make of a known address would not hide it. */
  private final byte[] salt = new byte[32];

  RequestRedaction(Redactor redactor, Duration budget, MeterRegistry meters) {
    this.redactor = redactor;
    this.budget = budget;
    for (RedactionKind kind : RedactionKind.values()) {
      redacted.put(kind, meters.counter("redacted_total", "kind", kind.code()));
    }
    new SecureRandom().nextBytes(salt);
  }

  /** The request without what must not leave the process; empty if the time ran out. */
  Optional<MirrorRequest> of(MirrorRequest request) {
    Reading reading = new Reading(System.nanoTime() + budget.toNanos());
    List<MirrorRequest.Turn> messages = new ArrayList<>();
    for (MirrorRequest.Turn turn : request.messages()) {
      messages.add(new MirrorRequest.Turn(reading.text(turn.role()), reading.text(turn.content())));
    }
    Map<String, String> tags = new LinkedHashMap<>();
    request.tags().forEach((key, value) -> tags.put(reading.text(key), reading.text(value)));
    Optional<String> prompt = request.prompt().map(reading::text);
    Optional<String> response = request.response().map(reading::text);
    Optional<String> segment = request.segment().map(reading::text);
    Optional<String> requestId = request.requestId().map(reading::id);
    Optional<String> conversationId = request.conversationId().map(reading::id);
    if (!reading.complete) {
      return Optional.empty();
    }
    reading.findings.forEach(finding -> redacted.get(finding.kind()).increment());
    return Optional.of(
        new MirrorRequest(
            requestId,
            conversationId,
            request.receivedAt(),
            segment,
            tags,
            prompt,
            messages,
            response,
            request.maxTokens()));
  }

  /** All texts of one request. */
  private final class Reading {
    private final long deadlineNanos;
    private final List<Finding> findings = new ArrayList<>();
    private boolean complete = true;

    Reading(long deadlineNanos) {
      this.deadlineNanos = deadlineNanos;
    }

    String text(String text) {
      if (!complete) {
        return "";
      }
      Redaction redaction = redactor.redact(text, deadlineNanos);
      complete = redaction.complete();
      findings.addAll(redaction.findings());
      return complete ? redaction.text() : "";
    }

    /** What names something has to go on naming it: requests of a conversation stay together. */
    String id(String id) {
      String text = text(id);
      return text.equals(id) ? id : REDACTED_NAME + hash(id);
    }
  }

  private String hash(String text) {
    try {
      Mac mac = Mac.getInstance(HASH);
      mac.init(new SecretKeySpec(salt, HASH));
      byte[] digest = mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest).substring(0, ID_DIGITS);
    } catch (NoSuchAlgorithmException | InvalidKeyException e) {
      throw new IllegalStateException(HASH + ": every Java has it", e);
    }
  }
}
