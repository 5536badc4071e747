package io.reflux.bench.serve;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

/** Asks a server for streams, and reads them as cheaply as can be: it runs beside what it times. */
final class StreamingClient {
  private static final byte[] END = "data: [DONE]\n\n".getBytes(StandardCharsets.UTF_8);
  private static final String OK = "HTTP/1.1 200";

  private final int port;

  StreamingClient(int port) {
    this.port = port;
  }

  /**
   * Reads a whole answer, on a connection of its own.
   *
   * @param prompt of letters, digits and blanks
   */
  void complete(String prompt, int tokens) throws IOException {
    byte[] body =
        "{\"prompt\":\"%s\",\"temperature\":0,\"stream\":true,\"max_tokens\":%d}"
            .formatted(prompt, tokens)
            .getBytes(StandardCharsets.UTF_8);
    String head =
        "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            + "content-length: "
            + body.length
            + "\r\n\r\n";
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      socket.setTcpNoDelay(true);
      socket.getOutputStream().write(head.getBytes(StandardCharsets.US_ASCII));
      socket.getOutputStream().write(body);
      read(socket.getInputStream());
    }
  }

  private static void read(InputStream in) throws IOException {
    byte[] buffer = new byte[1 << 16];
    boolean first = true;
    int matched = 0;
    while (matched < END.length) {
      int count = in.read(buffer);
      if (count < 0) {
        throw new EOFException("stream: ended early");
      }
      if (first) {
        String start = new String(buffer, 0, count, StandardCharsets.UTF_8);
        if (!start.startsWith(OK)) {
          throw new IOException("server: " + start);
        }
        first = false;
      }
      for (int i = 0; i < count && matched < END.length; i++) {
        if (buffer[i] == END[matched]) {
          matched++;
        } else {
          matched = buffer[i] == END[0] ? 1 : 0;
        }
      }
    }
  }
}
