package io.reflux.scorer.remote;

/** A call that gave no answer that can be used. The message is one line. */
final class ServerFault extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What went wrong, by who may be at fault. */
  enum Kind {
    /** Nobody there, or it says that it is busy, or that it does not know us. */
    AWAY,
    /** It took the call and failed or fell silent: its own fault, or that of what was asked. */
    FAILED,
    /** It says that what was asked is wrong. */
    REFUSED,
    /** An answer that ends early or is not JSON. */
    MALFORMED,
    /** An answer that is JSON and cannot be right. */
    WRONG
  }

  private final Kind kind;
  private final int status;

  private ServerFault(Kind kind, int status, String message, Throwable cause) {
    super(message, cause);
    this.kind = kind;
    this.status = status;
  }

  static ServerFault of(Kind kind, String message, Throwable cause) {
    return new ServerFault(kind, 0, message, cause);
  }

  static ServerFault status(Kind kind, int status, String message) {
    return new ServerFault(kind, status, message, null);
  }

  /** Of an answer that cannot be right. */
  static ServerFault wrong(String message) {
    return new ServerFault(Kind.WRONG, 0, message, null);
  }

  Kind kind() {
    return kind;
  }

  /** Of HTTP; 0 where there was none. */
  int status() {
    return status;
  }
}
