package io.reflux.serving;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A plain HTTP client of one server. */
final class Client {
  static final ObjectMapper JSON = new ObjectMapper();

  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final String url;

  Client(ServerService server) {
    this.url = server.url();
  }

  record Answer(
      int status,
      JsonNode body,
      String version,
      String retryAfter,
      String channel,
      String requestId,
      String shouldRetry) {
    String text() {
      JsonNode choice = body.path("choices").path(0);
      return choice.has("text")
          ? choice.path("text").asText()
          : choice.path("message").path("content").asText();
    }

    String finishReason() {
      return body.path("choices").path(0).path("finish_reason").asText();
    }

    String errorCode() {
      return body.path("error").path("code").asText();
    }
  }

  /**
   * Posts.
   *
   * @param headers names and values in turns
   */
  Answer post(String path, String json, String... headers) {
    HttpRequest.Builder request =
        request(path)
            .header("content-type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(json.replace('\'', '"')));
    return answer((headers.length == 0 ? request : request.headers(headers)).build());
  }

  Answer get(String path) {
    return answer(request(path).GET().build());
  }

  Answer complete(String json, String... headers) {
    return post("/v1/completions", json, headers);
  }

  Answer chat(String json) {
    return post("/v1/chat/completions", json);
  }

  /** The events of a stream, without the last, which must be {@code [DONE]}. */
  List<JsonNode> stream(String path, String json) {
    try (Stream<String> lines = open(path, json).body()) {
      List<JsonNode> events = new ArrayList<>();
      boolean done = false;
      for (String line : (Iterable<String>) lines::iterator) {
        if (line.equals("data: [DONE]")) {
          done = true;
        } else if (line.startsWith("data: ")) {
          events.add(parse(line.substring("data: ".length())));
        }
      }
      if (!done) {
        throw new AssertionError("stream ended without [DONE]: " + events);
      }
      return events;
    }
  }

  /** A stream's events as an array, however it ended. */
  Answer raw(String path, String json, String... headers) {
    return send(
        request(path)
            .headers(headers)
            .POST(HttpRequest.BodyPublishers.ofString(json.replace('\'', '"')))
            .build(),
        body ->
            body.lines()
                .filter(line -> line.startsWith("data: {"))
                .map(line -> line.substring("data: ".length()))
                .collect(Collectors.joining(",", "[", "]")));
  }

  HttpResponse<Stream<String>> open(String path, String json) {
    try {
      return http.send(
          request(path).POST(HttpRequest.BodyPublishers.ofString(json.replace('\'', '"'))).build(),
          HttpResponse.BodyHandlers.ofLines());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  private HttpRequest.Builder request(String path) {
    return HttpRequest.newBuilder(URI.create(url + path)).timeout(Duration.ofSeconds(60));
  }

  private Answer answer(HttpRequest request) {
    return send(request, UnaryOperator.identity());
  }

  private Answer send(HttpRequest request, UnaryOperator<String> toJson) {
    try {
      HttpResponse<String> response = http.send(request, HttpResponse.BodyHandlers.ofString());
      return new Answer(
          response.statusCode(),
          parse(toJson.apply(response.body())),
          response.headers().firstValue("reflux-snapshot-version").orElse(null),
          response.headers().firstValue("retry-after").orElse(null),
          response.headers().firstValue("reflux-channel").orElse(null),
          response.headers().firstValue("x-request-id").orElse(null),
          response.headers().firstValue("x-should-retry").orElse(null));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }

  static JsonNode parse(String json) {
    try {
      return JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new AssertionError(json, e);
    }
  }
}
