package io.reflux.scorer;

/** A record that can never be labelled. */
final class RejectedException extends Exception {
  private static final long serialVersionUID = 1L;

  private final String reason;

  RejectedException(String reason, String message) {
    super(message);
    this.reason = reason;
  }

  Rejection rejection() {
    return new Rejection(reason, getMessage());
  }
}
