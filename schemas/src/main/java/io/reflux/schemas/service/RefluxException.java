package io.reflux.schemas.service;

/**
 * A failure whose message is one line for the person at the keyboard: it names the thing, the value
 * and what was expected. The launcher prints the message alone.
 */
public class RefluxException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public RefluxException(String message) {
    super(message);
  }

  public RefluxException(String message, Throwable cause) {
    super(message, cause);
  }
}
