package io.reflux.serving.openai;

import com.fasterxml.jackson.databind.node.ObjectNode;
import com.linecorp.armeria.common.HttpStatus;
import java.time.Duration;

/** A request that is not answered, in the form that OpenAI's clients read. */
final class ApiException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;
  private final String type;
  private final String param;
  private final String code;
  private final long retryAfterSeconds;

  private ApiException(
      HttpStatus status,
      String type,
      String param,
      String code,
      long retryAfterSeconds,
      String message) {
    super(message);
    this.status = status.code();
    this.type = type;
    this.param = param;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  /**
   * @param param the field at fault; null for none
   */
  static ApiException badRequest(String param, String code, String message) {
    return new ApiException(
        HttpStatus.BAD_REQUEST, "invalid_request_error", param, code, 0, message);
  }

  static ApiException invalid(String param, String message) {
    return badRequest(param, "invalid_value", param + ": " + message);
  }

  static ApiException unsupported(String param, String message) {
    return badRequest(param, "unsupported_parameter", param + ": " + message);
  }

  static ApiException unknownModel(String name, String known) {
    return new ApiException(
        HttpStatus.NOT_FOUND,
        "invalid_request_error",
        "model",
        "model_not_found",
        0,
        "model: '" + name + "' does not exist (expected: '" + known + "')");
  }

  static ApiException overloaded(long retryAfterSeconds, String message) {
    return new ApiException(
        HttpStatus.TOO_MANY_REQUESTS,
        "rate_limit_error",
        null,
        "queue_full",
        retryAfterSeconds,
        message);
  }

  static ApiException unavailable(String code, String message) {
    return new ApiException(HttpStatus.SERVICE_UNAVAILABLE, "server_error", null, code, 1, message);
  }

  static ApiException expired(Duration deadline) {
    return new ApiException(
        HttpStatus.GATEWAY_TIMEOUT,
        "server_error",
        null,
        "deadline_exceeded",
        0,
        "no whole answer in " + deadline.toMillis() + " ms");
  }

  static ApiException slowRequest() {
    return new ApiException(
        HttpStatus.REQUEST_TIMEOUT,
        "invalid_request_error",
        null,
        "request_timeout",
        0,
        "the request did not arrive in time");
  }

  static ApiException internal(String message) {
    return new ApiException(
        HttpStatus.INTERNAL_SERVER_ERROR, "server_error", null, "internal_error", 0, message);
  }

  static ApiException of(HttpStatus status, String message) {
    return new ApiException(
        status,
        status.isServerError() ? "server_error" : "invalid_request_error",
        null,
        null,
        0,
        message);
  }

  HttpStatus status() {
    return HttpStatus.valueOf(status);
  }

  /** 0 for none. */
  long retryAfterSeconds() {
    return retryAfterSeconds;
  }

  ObjectNode body() {
    ObjectNode body = Json.object();
    body.putObject("error")
        .put("message", getMessage())
        .put("type", type)
        .put("param", param)
        .put("code", code);
    return body;
  }
}
