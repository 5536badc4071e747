package io.reflux.schemas.registry;

import java.util.Locale;

/** A record's value that cannot be read, now or later. */
public final class DecodeException extends Exception {
  private static final long serialVersionUID = 1L;

  /** What is wrong with the bytes. */
  public enum Reason {
    /** No value at all. */
    EMPTY,
    /** The first byte is not 0: not Confluent's wire format. */
    BAD_MAGIC,
    /** The registry knows no schema of that id, or one that is not Avro. */
    UNKNOWN_SCHEMA,
    /** Fewer bytes than the schema or a length inside asks for. */
    TRUNCATED,
    /** More bytes than the schema asks for. */
    TRAILING_BYTES,
    /** Another record than the topic holds. */
    WRONG_RECORD,
    /** The writer's schema cannot be resolved to ours. */
    INCOMPATIBLE_SCHEMA,
    /** The bytes contradict the schema they name. */
    MALFORMED;

    /** Lower-case name for dead letters and metrics. */
    public String code() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private final Reason reason;

  DecodeException(Reason reason, String message) {
    super(message);
    this.reason = reason;
  }

  DecodeException(Reason reason, String message, Throwable cause) {
    super(message, cause);
    this.reason = reason;
  }

  /** What is wrong. */
  public Reason reason() {
    return reason;
  }
}
