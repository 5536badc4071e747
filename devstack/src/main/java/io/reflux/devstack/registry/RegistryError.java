package io.reflux.devstack.registry;

/** An answer of the protocol that is no success: HTTP status, Confluent's code and a sentence. */
final class RegistryError extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;
  private final int code;

  private RegistryError(int status, int code, String message, Throwable cause) {
    super(message, cause, false, false); // expected: nobody reads its stack trace
    this.status = status;
    this.code = code;
  }

  private RegistryError(int status, int code, String message) {
    this(status, code, message, null);
  }

  int status() {
    return status;
  }

  int code() {
    return code;
  }

  static RegistryError subjectNotFound(String subject) {
    return new RegistryError(404, 40401, "Subject '" + subject + "' not found.");
  }

  static RegistryError versionNotFound(int version) {
    return new RegistryError(404, 40402, "Version " + version + " not found.");
  }

  static RegistryError schemaNotFound() {
    return new RegistryError(404, 40403, "Schema not found");
  }

  static RegistryError schemaNotFound(int id) {
    return new RegistryError(404, 40403, "Schema " + id + " not found");
  }

  static RegistryError subjectSoftDeleted(String subject) {
    return new RegistryError(
        404,
        40404,
        "Subject '" + subject + "' was soft deleted. Set permanent=true to delete permanently");
  }

  static RegistryError subjectNotSoftDeleted(String subject) {
    return new RegistryError(
        404,
        40405,
        "Subject '" + subject + "' was not deleted first before being permanently deleted");
  }

  static RegistryError versionSoftDeleted(String subject, int version) {
    return new RegistryError(
        404,
        40406,
        "Subject '"
            + subject
            + "' Version "
            + version
            + " was soft deleted. Set permanent=true to delete permanently");
  }

  static RegistryError versionNotSoftDeleted(String subject, int version) {
    return new RegistryError(
        404,
        40407,
        "Subject '"
            + subject
            + "' Version "
            + version
            + " was not deleted first before being permanently deleted");
  }

  static RegistryError noSubjectConfig(String subject) {
    return new RegistryError(
        404,
        40408,
        "Subject '" + subject + "' does not have subject-level compatibility configured");
  }

  static RegistryError noSubjectMode(String subject) {
    return new RegistryError(
        404, 40409, "Subject '" + subject + "' does not have subject-level mode configured");
  }

  static RegistryError noResource(String path) {
    return new RegistryError(404, 404, "HTTP 404 Not Found: " + path);
  }

  static RegistryError incompatible(String message) {
    return new RegistryError(409, 409, message);
  }

  static RegistryError malformed(String message) {
    return new RegistryError(400, 400, message);
  }

  static RegistryError invalidSchema(String message) {
    return new RegistryError(422, 42201, message);
  }

  static RegistryError invalidVersion(String version) {
    return new RegistryError(
        422,
        42202,
        "The specified version '"
            + version
            + "' is not a valid version id. Allowed values are between [1, 2^31-1] and the string"
            + " \"latest\"");
  }

  static RegistryError invalidLevel(String level) {
    return new RegistryError(
        422,
        42203,
        "Invalid compatibility level "
            + level
            + ". Valid values are none, backward, forward, full, backward_transitive,"
            + " forward_transitive, and full_transitive");
  }

  static RegistryError invalidMode(String mode) {
    return new RegistryError(
        422,
        42204,
        "Invalid mode " + mode + ". This registry knows READWRITE, READONLY and READONLY_OVERRIDE");
  }

  static RegistryError notPermitted(String message) {
    return new RegistryError(422, 42205, message);
  }

  static RegistryError referenced(String subject, int version) {
    return new RegistryError(
        422,
        42206,
        "One or more references exist to the schema {subject="
            + subject
            + ",version="
            + version
            + "}.");
  }

  static RegistryError invalidSubject(String subject) {
    return new RegistryError(422, 42208, "The specified subject '" + subject + "' is not valid.");
  }

  static RegistryError unprocessable(String message) {
    return new RegistryError(422, 422, message);
  }

  static RegistryError storeFailed(String message, Throwable cause) {
    return new RegistryError(500, 50001, message, cause);
  }

  static RegistryError storeTimedOut(String message) {
    return new RegistryError(500, 50002, message);
  }
}
