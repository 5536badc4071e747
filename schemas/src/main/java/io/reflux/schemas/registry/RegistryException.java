package io.reflux.schemas.registry;

import io.reflux.schemas.service.RefluxException;

/**
 * The registry did not do what was asked. The message is one line with the registry's address.
 *
 * <p>It says nothing of the record at hand: a record must not be given up because of it.
 */
public final class RegistryException extends RefluxException {
  private static final long serialVersionUID = 1L;

  private final int status;

  RegistryException(String message, int status, Throwable cause) {
    super(message, cause);
    this.status = status;
  }

  /** HTTP status of the answer, or 0 when there was none. */
  public int status() {
    return status;
  }

  /** True when the same call may succeed later: no answer, or an answer that blames the server. */
  public boolean isTransient() {
    return status == 0 || status == 429 || status >= 500;
  }
}
