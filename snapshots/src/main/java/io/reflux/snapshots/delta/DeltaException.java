package io.reflux.snapshots.delta;

/**
 * A block that cannot be what it should be. The message has no coordinates: the caller adds them.
 */
public final class DeltaException extends Exception {
  private static final long serialVersionUID = 1L;

  public DeltaException(String message) {
    super(message);
  }
}
