package io.reflux.serving.openai;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
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
  private final Frame[] frames;
  private final ByteArrayOutputStream pending = new ByteArrayOutputStream();

  /**
   * @param writer that has its headers already
   */
  StreamedAnswer(Bodies bodies, CompletionCall call, HttpResponseWriter writer) {
    this.bodies = bodies;
    this.call = call;
    this.writer = writer;
    this.frames = new Frame[call.totalChoices()];
  }

  /** The event that carries a choice's text and nothing else that changes, written once. */
  private final class Frame {
    private static final String PLACE = "\u0001";
    private static final String WRITTEN_PLACE = "\\u0001";

    private final byte[] before;
    private final byte[] after;

    Frame(int choice) {
      ObjectNode part = part(bodies.partialChoice(choice, PLACE, List.of(), null));
      String event = new String(Json.bytes(part), StandardCharsets.UTF_8);
      int place = event.lastIndexOf(WRITTEN_PLACE);
      before = event.substring(0, place).getBytes(StandardCharsets.UTF_8);
      after = event.substring(place + WRITTEN_PLACE.length()).getBytes(StandardCharsets.UTF_8);
    }

    void write(String text) {
      pending.writeBytes(PREFIX);
      pending.writeBytes(before);
      pending.writeBytes(JsonStringEncoder.getInstance().quoteAsUTF8(text));
      pending.writeBytes(after);
      pending.writeBytes(SUFFIX);
    }
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
    if (call.wantsLogprobs()) {
      send(bodies.partialChoice(choice, piece.text(), piece.tokens(), null));
    } else if (!piece.text().isEmpty()) {
      if (frames[choice] == null) {
        frames[choice] = new Frame(choice);
      }
      frames[choice].write(piece.text());
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
    event(Json.bytes(part(choice)));
  }

  private ObjectNode part(ObjectNode choice) {
    ObjectNode part = bodies.answer(true, Json.array().add(choice));
    if (call.includeUsage()) {
      part.putNull("usage");
    }
    return part;
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
