package io.reflux.producers;

/** Fails the delivery of a request that was dropped; never thrown by {@link TrafficMirror}. */
public final class MirrorDropException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final DropReason reason;

  MirrorDropException(DropReason reason, String message, Throwable cause) {
    // Without a stack trace: drops come in thousands when Kafka is away.
    super(message, cause, false, false);
    this.reason = reason;
  }

  /** Why it was dropped. */
  public DropReason reason() {
    return reason;
  }
}
