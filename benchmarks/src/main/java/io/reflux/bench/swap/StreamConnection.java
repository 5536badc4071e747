package io.reflux.bench.swap;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.reflux.serving.openai.OpenAiApi;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/**
 * A connection to a server that is kept open over many streams, and times what comes. One thread at
 * a time.
 */
final class StreamConnection implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int BUFFER_BYTES = 1 << 16;
  private static final int PATIENCE_MILLIS = 60_000;
  private static final String DATA = "data: ";
  private static final String DONE = "data: [DONE]";

  private final Socket socket;
  private final InputStream in;
  private final byte[] buffer = new byte[BUFFER_BYTES];
  private int position;
  private int limit;

  /** Of the chunk of the body that is being read; -1 outside of a body. */
  private long chunkLeft = -1;

  private final Gaps gaps;

  StreamConnection(int port, Gaps gaps) throws IOException {
    this.socket = new Socket(InetAddress.getLoopbackAddress(), port);
    this.in = socket.getInputStream();
    this.gaps = gaps;
    socket.setTcpNoDelay(true);
    socket.setSoTimeout(PATIENCE_MILLIS);
  }

  /**
   * A whole answer.
   *
   * @param version that answered, by the header, the body of every event and nothing else
   */
  record Answer(long version, String text) {}

  /**
   * Asks for a greedy stream of so many tokens, and reads it to its end.
   *
   * @param prompt of letters, digits and blanks
   * @throws IOException in one line, if anything is not as it has to be
   */
  Answer complete(String prompt, int tokens) throws IOException {
    long asked = System.nanoTime();
    send(prompt, tokens);
    long version = readHead();
    StringBuilder text = new StringBuilder();
    String finishReason = null;
    int counted = -1;
    long last = 0;
    chunkLeft = 0;
    for (String line = readLine(); !line.equals(DONE); line = readLine()) {
      if (!line.startsWith(DATA)) {
        continue;
      }
      long now = System.nanoTime();
      JsonNode event = JSON.readTree(line.substring(DATA.length()));
      if (!event.path("system_fingerprint").asText().startsWith("reflux-" + version + "-")) {
        throw new IOException("version " + version + ": event of another: " + line);
      }
      JsonNode choice = event.path("choices").path(0);
      if (choice.path("finish_reason").isTextual()) {
        finishReason = choice.path("finish_reason").asText();
      } else if (!choice.isMissingNode()) {
        text.append(choice.path("text").asText());
        gaps.add(
            last == 0 ? Gaps.Kind.FIRST_TOKEN : Gaps.Kind.TOKEN, last == 0 ? asked : last, now);
        last = now;
      }
      counted = event.path("usage").path("completion_tokens").asInt(counted);
    }
    readEnd();
    if (!"length".equals(finishReason) || counted != tokens) {
      throw new IOException(
          "version %d: %d tokens, finish_reason %s (expected: %d, length)"
              .formatted(version, counted, finishReason, tokens));
    }
    return new Answer(version, text.toString());
  }

  private void send(String prompt, int tokens) throws IOException {
    byte[] body =
        ("{\"prompt\":\"%s\",\"temperature\":0,\"stream\":true,\"max_tokens\":%d,"
                + "\"stream_options\":{\"include_usage\":true}}")
            .formatted(prompt, tokens)
            .getBytes(StandardCharsets.UTF_8);
    String head =
        "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            + "content-length: "
            + body.length
            + "\r\n\r\n";
    ByteArrayOutputStream request = new ByteArrayOutputStream();
    request.writeBytes(head.getBytes(StandardCharsets.US_ASCII));
    request.writeBytes(body);
    request.writeTo(socket.getOutputStream());
  }

  /** Returns the version that the header names. */
  private long readHead() throws IOException {
    chunkLeft = -1;
    String status = readLine();
    long version = -1;
    boolean chunked = false;
    for (String line = readLine(); !line.isEmpty(); line = readLine()) {
      String header = line.toLowerCase(Locale.ROOT);
      if (header.startsWith(OpenAiApi.VERSION_HEADER + ":")) {
        version = Long.parseLong(value(header));
      }
      chunked |= header.startsWith("transfer-encoding:") && value(header).equals("chunked");
    }
    if (!status.startsWith("HTTP/1.1 200") || version < 1 || !chunked) {
      throw new IOException(
          "server: %s, version %d, chunked %s (expected: 200, a version, a stream)"
              .formatted(status, version, chunked));
    }
    return version;
  }

  private static String value(String header) {
    return header.substring(header.indexOf(':') + 1).strip();
  }

  /** The chunk of no bytes behind the last event, after which the next answer begins. */
  private void readEnd() throws IOException {
    while (chunkLeft >= 0) {
      int next = readBody();
      if (next >= 0 && next != '\n') {
        throw new IOException("stream: '" + (char) next + "' after its end (expected: nothing)");
      }
    }
  }

  /** Without its end, of the head or of the body. */
  private String readLine() throws IOException {
    ByteArrayOutputStream line = new ByteArrayOutputStream();
    while (true) {
      int next = chunkLeft < 0 ? readByte() : readBody();
      if (next < 0) {
        throw new EOFException("stream: ended early");
      }
      if (next == '\n') {
        return line.toString(StandardCharsets.UTF_8).stripTrailing();
      }
      line.write(next);
    }
  }

  /** A byte of a chunked body; -1 after the last. */
  private int readBody() throws IOException {
    if (chunkLeft == 0) {
      StringBuilder size = new StringBuilder();
      for (int next = readByte(); size.length() == 0 || next != '\n'; next = readByte()) {
        if (next > ' ') {
          size.append((char) next);
        }
      }
      chunkLeft = Long.parseLong(size.toString(), 16);
      if (chunkLeft == 0) {
        while (readByte() != '\n') {
          // the line end that follows the last chunk
        }
        chunkLeft = -1;
        return -1;
      }
    }
    chunkLeft--;
    return readByte();
  }

  private int readByte() throws IOException {
    if (position == limit) {
      limit = in.read(buffer);
      position = 0;
      if (limit < 0) {
        limit = 0;
        throw new EOFException("connection: ended early");
      }
    }
    return buffer[position++] & 0xff;
  }

  @Override
  public void close() throws IOException {
    socket.close();
  }
}
