package io.reflux.serving.openai;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpResponseWriter;
import io.reflux.serving.openai.ChoiceText.Piece;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** Sends an answer as server-sent events while it is made, those known at once in one piece. */
final class StreamedAnswer implements CompletionRun.Sink {
  private static final byte[] PREFIX = "data: ".getBytes(StandardCharsets.UTF_8);
  private static final byte[] SUFFIX = "\n\n".getBytes(StandardCharsets.UTF_8);

  private final Bodies bodies;
  private final CompletionCall call;
  private final HttpResponseWriter writer;
  private final ByteArrayOutputStream pending = new ByteArrayOutputStream();

  /**
   * @param writer that has its headers already
   */
  StreamedAnswer(Bodies bodies, CompletionCall call, HttpResponseWriter writer) {
    this.bodies = bodies;
    this.call = call;
    this.writer = writer;
  }

  /** Before any piece. */
  synchronized void begin() {
    if (call.chat()) {
      for (int i = 0; i < call.totalChoices(); i++) {
        send(bodies.roleChoice(i));
      }
    }
    flush();
  }

  @Override
  public synchronized void piece(int choice, Piece piece) {
    if (!piece.text().isEmpty() || call.wantsLogprobs()) {
      send(bodies.partialChoice(choice, piece.text(), piece.tokens(), null));
    }
  }

  @Override
  public synchronized void finished(int choice, String finishReason) {
    send(bodies.partialChoice(choice, "", List.of(), finishReason));
  }

  synchronized void end(CompletionRun.Usage usage) {
    if (call.includeUsage()) {
      ObjectNode last = bodies.answer(true, Json.array());
      last.set("usage", Bodies.usage(usage));
      event(Json.bytes(last));
    }
    event("[DONE]".getBytes(StandardCharsets.UTF_8));
    flush();
    writer.close();
  }

  /** The status has gone out as 200 already, so the error goes in the stream. */
  synchronized void fail(ApiException e) {
    event(Json.bytes(e.body()));
    flush();
    writer.close();
  }

  private void send(ObjectNode choice) {
    ArrayNode choices = Json.array().add(choice);
    ObjectNode part = bodies.answer(true, choices);
    if (call.includeUsage()) {
      part.putNull("usage");
    }
    event(Json.bytes(part));
  }

  private void event(byte[] data) {
    pending.writeBytes(PREFIX);
    pending.writeBytes(data);
    pending.writeBytes(SUFFIX);
  }

  @Override
  public synchronized void flush() {
    if (pending.size() == 0) {
      return;
    }
    // False when the client has gone; then the run is being cancelled already.
    boolean taken = writer.tryWrite(HttpData.wrap(pending.toByteArray()));
    assert taken || !writer.isOpen();
    pending.reset();
  }
}
