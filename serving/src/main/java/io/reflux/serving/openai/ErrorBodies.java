package io.reflux.serving.openai;

import com.linecorp.armeria.common.AggregatedHttpResponse;
import com.linecorp.armeria.common.HttpData;
import com.linecorp.armeria.common.HttpHeaderNames;
import com.linecorp.armeria.common.HttpResponse;
import com.linecorp.armeria.common.HttpStatus;
import com.linecorp.armeria.common.MediaType;
import com.linecorp.armeria.common.RequestHeaders;
import com.linecorp.armeria.common.ResponseHeaders;
import com.linecorp.armeria.common.ResponseHeadersBuilder;
import com.linecorp.armeria.server.HttpStatusException;
import com.linecorp.armeria.server.RequestTimeoutException;
import com.linecorp.armeria.server.ServerErrorHandler;
import com.linecorp.armeria.server.ServiceConfig;
import com.linecorp.armeria.server.ServiceRequestContext;
import java.util.function.Consumer;

/** Gives every error the body that OpenAI's clients read, also those of the HTTP layer. */
final class ErrorBodies implements ServerErrorHandler {
  /** OpenAI's own, read by its clients. */
  private static final String RETRY_HEADER = "x-should-retry";

  private final Consumer<ResponseHeadersBuilder> decorator;

  /**
   * @param decorator adds headers to every response
   */
  ErrorBodies(Consumer<ResponseHeadersBuilder> decorator) {
    this.decorator = decorator;
  }

  static HttpResponse response(ApiException e, Consumer<ResponseHeadersBuilder> decorator) {
    return aggregated(e, decorator).toHttpResponse();
  }

  static AggregatedHttpResponse aggregated(
      ApiException e, Consumer<ResponseHeadersBuilder> decorator) {
    return AggregatedHttpResponse.of(headers(e, decorator), HttpData.wrap(Json.bytes(e.body())));
  }

  @Override
  public HttpResponse onServiceException(ServiceRequestContext ctx, Throwable cause) {
    if (cause instanceof ApiException known) {
      return response(known, decorator);
    }
    if (cause instanceof HttpStatusException status) {
      return response(
          ApiException.of(status.httpStatus(), status.httpStatus().reasonPhrase()), decorator);
    }
    if (cause instanceof RequestTimeoutException) {
      return response(ApiException.slowRequest(), decorator);
    }
    // Armeria's own, such as a body that is too long, become renderStatus.
    return null;
  }

  @Override
  public AggregatedHttpResponse renderStatus(
      ServiceRequestContext ctx,
      ServiceConfig config,
      RequestHeaders headers,
      HttpStatus status,
      String description,
      Throwable cause) {
    ApiException e =
        cause instanceof RequestTimeoutException
            ? ApiException.slowRequest()
            : ApiException.of(
                status, description == null ? status.reasonPhrase() : description.strip());
    return aggregated(e, decorator);
  }

  private static ResponseHeaders headers(
      ApiException e, Consumer<ResponseHeadersBuilder> decorator) {
    ResponseHeadersBuilder headers =
        ResponseHeaders.builder(e.status()).contentType(MediaType.JSON);
    if (e.status() == HttpStatus.GATEWAY_TIMEOUT) {
      // The official clients would ask again for what has just taken too long.
      headers.set(RETRY_HEADER, "false");
    }
    if (e.retryAfterSeconds() > 0) {
      headers.setLong(HttpHeaderNames.RETRY_AFTER, e.retryAfterSeconds());
    }
    decorator.accept(headers);
    return headers.build();
  }
}
