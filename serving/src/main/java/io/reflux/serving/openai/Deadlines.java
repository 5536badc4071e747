package io.reflux.serving.openai;

import com.linecorp.armeria.common.RequestHeaders;
import java.time.Duration;

/** How long a client waits for its answer. */
final class Deadlines {
  /** Milliseconds from the request's arrival to the last token. */
  static final String HEADER = "reflux-deadline-ms";

  /**
   * Seconds that the official clients wait for a response's head, so for the whole of an answer.
   */
  private static final String CLIENT_TIMEOUT = "x-stainless-timeout";

  private static final long MILLIS = 1000;

  private Deadlines() {}

  /**
   * The shortest of the limit and what the client says.
   *
   * @throws ApiException with 400 when it says no positive number
   */
  static Duration of(RequestHeaders headers, CompletionCall call, Duration limit) {
    long millis = limit.toMillis();
    String asked = headers.get(HEADER);
    if (asked != null) {
      millis = Math.min(millis, positive(asked));
    }
    // A stream's head goes out at once, and the client has no further clock.
    String client = call.stream() ? null : headers.get(CLIENT_TIMEOUT);
    if (client != null && client.matches("[1-9]\\d{0,9}")) {
      millis = Math.min(millis, Long.parseLong(client) * MILLIS);
    }
    return Duration.ofMillis(millis);
  }

  private static long positive(String text) {
    if (!text.strip().matches("0*[1-9]\\d{0,17}")) {
      throw ApiException.invalid(HEADER, "'" + text + "' (expected: milliseconds, above 0)");
    }
    return Long.parseLong(text.strip());
  }
}
