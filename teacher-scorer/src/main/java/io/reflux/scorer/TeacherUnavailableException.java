package io.reflux.scorer;

/** The teacher cannot be asked for now; what was asked is not at fault. */
final class TeacherUnavailableException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * @param message one line for people
   */
  TeacherUnavailableException(String message) {
    super(message);
  }

  TeacherUnavailableException(String message, Throwable cause) {
    super(message, cause);
  }
}
