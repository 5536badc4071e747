package io.reflux.model;

/**
 * A model that cannot be read or run. The message is one line that names the file or tensor, the
 * offending value and what was expected.
 */
public class ModelException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  public ModelException(String message) {
    super(message);
  }

  public ModelException(String message, Throwable cause) {
    super(message, cause);
  }
}
