package io.reflux.snapshots;

import io.reflux.schemas.service.RefluxException;

/** A snapshot that cannot be published, found or trusted. The message is one line. */
public final class SnapshotException extends RefluxException {
  private static final long serialVersionUID = 1L;

  /** What is wrong, for code that has to tell the cases apart. */
  public enum Kind {
    /** No such version, or no pointer for the channel. */
    NOT_FOUND,
    /** The version is there, and not in the format that is asked for. */
    NOT_OFFERED,
    /** A manifest that cannot be read, contradicts itself, or is not the one that was named. */
    BAD_MANIFEST,
    /** A file name that points outside the snapshot. */
    UNSAFE_PATH,
    /** Unsigned, signed by a key that is not believed, or changed since it was signed. */
    UNTRUSTED,
    /** A chunk whose bytes are not those that were sent. */
    CORRUPT_CHUNK,
    /** Bytes that are not in their store, or no longer. */
    MISSING_CHUNK,
    /** A file whose size or SHA-256 is not the manifest's. */
    CORRUPT_FILE,
    /** Differences that are not from what they say, or not readable. */
    BAD_DELTA,
    /** The store of the bytes failed, refused, or is not one that this process reads. */
    STORE,
    /** The newest pointer of a channel cannot be read. */
    UNREADABLE_POINTER,
    /** A pointer would go back without an explicit rollback. */
    BACKWARDS,
    /** Another publisher has taken over. */
    FENCED,
    /** The local disk failed or is full. */
    STORAGE,
    /** What {@link SnapshotWatcher.Listener#moved} threw. */
    REFUSED,
    /** Kafka failed or did not answer in time. */
    KAFKA
  }

  private final Kind kind;

  public SnapshotException(Kind kind, String message) {
    super(message);
    this.kind = kind;
  }

  public SnapshotException(Kind kind, String message, Throwable cause) {
    super(message, cause);
    this.kind = kind;
  }

  /** What is wrong. */
  public Kind kind() {
    return kind;
  }
}
