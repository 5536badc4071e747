package io.reflux.scorer.remote;

/** The server cannot be asked for now; what was asked is not at fault. */
public final class ServerUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  ServerUnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
