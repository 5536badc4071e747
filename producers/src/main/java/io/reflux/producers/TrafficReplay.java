package io.reflux.producers;

import io.reflux.schemas.service.RefluxException;
import io.reflux.traffic.HeldOutPrompts;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.atomic.AtomicLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends the lines of a JSONL file through a mirror at a steady rate. A line has prompt or messages,
 * and may have response, segment, conversation_id, tags and max_tokens; other fields are passed
 * over. Bad lines are counted, logged with their number, and skipped. While the mirror is nearly
 * full, lines wait.
 */
public final class TrafficReplay implements AutoCloseable {
  private static final Logger log = LoggerFactory.getLogger(TrafficReplay.class);

  private final TrafficMirror mirror;
  private final Options options;
  private final PacedFeeder feeder;
  // The file's lines repeat in every run, request ids must not.
  private final String run = UUID.randomUUID().toString().substring(0, 8);
  private final AtomicLong sent = new AtomicLong();
  private final AtomicLong heldOut = new AtomicLong();
  private final AtomicLong badLines = new AtomicLong();
  private BufferedReader reader;
  private int pass;
  private long line;
  private long usefulInPass;

  /**
   * What to replay.
   *
   * @param perSecond lines a second, above 0; infinity for as fast as the mirror takes them
   * @param loop start again at the end
   * @param responses send the file's responses too, instead of asking the teacher
   * @param heldOutFraction share of prompts, chosen by {@link HeldOutPrompts}, never sent
   */
  public record Options(
      Path file, double perSecond, boolean loop, boolean responses, double heldOutFraction) {
    /** Prompts only, everything, once. */
    public static Options of(Path file, double perSecond) {
      return new Options(file, perSecond, false, false, 0);
    }
  }

  /**
   * Opens the file.
   *
   * @throws RefluxException if it cannot be read
   */
  public TrafficReplay(TrafficMirror mirror, Options options) {
    this.mirror = mirror;
    this.options = options;
    open();
    this.feeder = new PacedFeeder("reflux-replay", options.perSecond(), this::step);
  }

  /** Starts sending. */
  public void start() {
    feeder.start();
  }

  /** Lines handed to the mirror. */
  public long sent() {
    return sent.get();
  }

  /** Lines kept back because their prompts are held out. */
  public long heldOut() {
    return heldOut.get();
  }

  /** Lines that could not be understood. */
  public long badLines() {
    return badLines.get();
  }

  /** Completes at the end of the file or when closed; exceptionally when reading failed. */
  public CompletionStage<Void> done() {
    return feeder.done();
  }

  /** Stops after the line under way. */
  @Override
  public void close() {
    feeder.close();
    closeFile();
  }

  private boolean step() {
    if (mirror.isNearlyFull()) {
      // Nothing is due sooner than the mirror can take it; without a rate this must not spin.
      Thread.onSpinWait();
      return true;
    }
    try {
      return sendNext();
    } catch (IOException e) {
      throw new UncheckedIOException(options.file() + ": line " + line + ": " + e.getMessage(), e);
    }
  }

  /** Sends the next good line that is not held out; false at the end. */
  private boolean sendNext() throws IOException {
    while (true) {
      String text = reader.readLine();
      if (text == null) {
        closeFile();
        // A file without one line to send would be read for ever.
        if (!options.loop() || usefulInPass == 0) {
          return false;
        }
        pass++;
        open();
        continue;
      }
      line++;
      if (!text.isBlank() && send(text)) {
        return true;
      }
    }
  }

  private boolean send(String text) {
    MirrorRequest request;
    try {
      request = RequestJson.line(text, options.responses());
    } catch (BadRequestException e) {
      if (pass == 0) {
        badLines.incrementAndGet();
        log.warn("{}: line {}: {}; skipped", options.file(), line, e.getMessage());
      }
      return false;
    }
    String prompt = PromptFile.text(request);
    if (HeldOutPrompts.isHeldOut(prompt, options.heldOutFraction())) {
      heldOut.incrementAndGet();
      return false;
    }
    usefulInPass++;
    sent.incrementAndGet();
    String id = "replay-" + run + "-" + pass + "-" + line;
    mirror.submit(request.named(id));
    return true;
  }

  private void open() {
    try {
      reader = Files.newBufferedReader(options.file());
    } catch (IOException e) {
      throw new RefluxException(
          options.file() + ": cannot be read: " + e + " (expected: a JSONL file)", e);
    }
    line = 0;
    usefulInPass = 0;
  }

  private void closeFile() {
    try {
      reader.close();
    } catch (IOException e) {
      log.warn("{}: closing failed: {}", options.file(), e.getMessage());
    }
  }
}
