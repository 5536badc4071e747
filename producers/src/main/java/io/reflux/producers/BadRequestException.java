package io.reflux.producers;

/** Input that is no request; the message is one line: {@code name: value (expected: …)}. */
final class BadRequestException extends Exception {
  private static final long serialVersionUID = 1L;

  BadRequestException(String message) {
    super(message);
  }
}
