package io.reflux.producers;

import io.reflux.producers.redact.Redaction;
import io.reflux.producers.redact.Redactor;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Shows what would leave the process of requests, and sends nothing. */
public final class MirrorPreview {
  private final Redactor redactor;
  private final long budgetNanos;

  /** Redacts as a mirror with these settings does. */
  public MirrorPreview(MirrorConfig config) {
    this.redactor = Redactors.of(config.redact());
    this.budgetNanos = config.redact().timeBudget().toNanos();
  }

  /**
   * A line of a file.
   *
   * @param mistake why it is no request; empty when it is one
   * @param fields with text, in the order of the record
   */
  public record Line(Optional<String> mistake, List<Field> fields) {}

  /**
   * One text of a request.
   *
   * @param name as in {@code messages[0].content}
   * @param before as it came
   * @param names whether it names the request or its conversation: a hash stands for all of it then
   */
  public record Field(String name, String before, Redaction redaction, boolean names) {
    /** What would leave; null if the time ran out. Where a hash would stand, three dots do. */
    public String after() {
      return isHashed() ? RequestRedaction.REDACTED_NAME + "…" : redaction.text();
    }

    /** Whether a hash stands for all of it. */
    public boolean isHashed() {
      return names && !redaction.findings().isEmpty();
    }
  }

  /** Looks through a line: a JSON object as the mirror takes it, or else a plain prompt. */
  public Line of(String line) {
    MirrorRequest request;
    try {
      request =
          line.stripLeading().startsWith("{")
              ? RequestJson.line(line, true)
              : MirrorRequest.prompt(line).build();
    } catch (BadRequestException e) {
      return new Line(Optional.of(e.getMessage()), List.of());
    }
    long deadline = System.nanoTime() + budgetNanos;
    List<Field> fields = new ArrayList<>();
    request.requestId().ifPresent(text -> add(fields, "request_id", text, true, deadline));
    request
        .conversationId()
        .ifPresent(text -> add(fields, "conversation_id", text, true, deadline));
    request.segment().ifPresent(text -> add(fields, "segment", text, deadline));
    request
        .tags()
        .forEach(
            (key, value) -> {
              add(fields, "tags", key, deadline);
              add(fields, "tags." + key, value, deadline);
            });
    request.prompt().ifPresent(text -> add(fields, "prompt", text, deadline));
    for (int i = 0; i < request.messages().size(); i++) {
      MirrorRequest.Turn turn = request.messages().get(i);
      add(fields, "messages[" + i + "].role", turn.role(), deadline);
      add(fields, "messages[" + i + "].content", turn.content(), deadline);
    }
    request.response().ifPresent(text -> add(fields, "response", text, deadline));
    return new Line(Optional.empty(), fields);
  }

  private void add(List<Field> fields, String name, String text, long deadline) {
    add(fields, name, text, false, deadline);
  }

  private void add(List<Field> fields, String name, String text, boolean names, long deadline) {
    fields.add(new Field(name, text, redactor.redact(text, deadline), names));
  }
}
