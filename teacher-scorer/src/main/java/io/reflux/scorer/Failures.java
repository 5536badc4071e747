package io.reflux.scorer;

import java.util.concurrent.CompletionException;

/** Reads what futures fail with. */
final class Failures {
  private Failures() {}

  /** What went wrong, without the wrapping of futures. */
  static Throwable cause(Throwable error) {
    Throwable cause = error;
    while (cause instanceof CompletionException && cause.getCause() != null) {
      cause = cause.getCause();
    }
    return cause;
  }

  static String oneLine(Throwable error) {
    String message = error.getMessage() == null ? error.toString() : error.getMessage();
    return message.lines().findFirst().orElse(message);
  }

  /** Goes on with an error that nobody here can deal with. */
  static RuntimeException rethrown(Throwable error) {
    if (error instanceof Error fatal) {
      throw fatal;
    }
    return error instanceof RuntimeException known
        ? known
        : new IllegalStateException(error.getMessage(), error);
  }
}
