package io.reflux.schemas.labels;

/** Bytes that are not soft labels of this build's formats, or are damaged. */
public final class SoftLabelFormatException extends Exception {
  private static final long serialVersionUID = 1L;

  SoftLabelFormatException(String message) {
    super(message);
  }
}
