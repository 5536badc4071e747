package io.reflux.devstack.registry;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.Base64;

/** A bare HTTP client, so that the tests see what is on the wire. */
final class Rest {
  static final ObjectMapper MAPPER = new ObjectMapper();

  private final HttpClient http =
      HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
  private final String url;
  private final String authorization;

  Rest(String url) {
    this(url, null);
  }

  private Rest(String url, String authorization) {
    this.url = url;
    this.authorization = authorization;
  }

  Rest as(String user, String password) {
    byte[] credentials = (user + ":" + password).getBytes(StandardCharsets.UTF_8);
    return new Rest(url, "Basic " + Base64.getEncoder().encodeToString(credentials));
  }

  record Answer(int status, String contentType, String text) {
    JsonNode json() {
      try {
        return MAPPER.readTree(text);
      } catch (IOException e) {
        throw new UncheckedIOException(text, e);
      }
    }

    Answer is(String expected) {
      assertThat(status).as(text).isEqualTo(200);
      try {
        assertThat(json()).isEqualTo(MAPPER.readTree(expected));
      } catch (IOException e) {
        throw new UncheckedIOException(expected, e);
      }
      return this;
    }

    Answer fails(int expectedStatus, int code) {
      assertThat(status).as(text).isEqualTo(expectedStatus);
      assertThat(contentType).isEqualTo("application/vnd.schemaregistry.v1+json");
      assertThat(json().path("error_code").asInt()).as(text).isEqualTo(code);
      assertThat(json().path("message").asText()).isNotBlank().doesNotContain("\tat ");
      return this;
    }
  }

  Answer get(String path) {
    return send("GET", path, null);
  }

  Answer delete(String path) {
    return send("DELETE", path, null);
  }

  Answer put(String path, String body) {
    return send("PUT", path, body);
  }

  Answer post(String path, String body) {
    return send("POST", path, body);
  }

  /** Registers and returns the id. */
  int register(String subject, String schema) {
    Answer answer = post("/subjects/" + subject + "/versions", body(schema));
    assertThat(answer.status()).as(answer.text()).isEqualTo(200);
    return answer.json().get("id").asInt();
  }

  static String body(String schema) {
    ObjectNode node = MAPPER.createObjectNode();
    return node.put("schema", schema).toString();
  }

  private Answer send(String method, String path, String body) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(url + path))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json")
            .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofString(body));
    if (authorization != null) {
      request.header("Authorization", authorization);
    }
    try {
      HttpResponse<String> response = http.send(request.build(), BodyHandlers.ofString());
      return new Answer(
          response.statusCode(),
          response.headers().firstValue("content-type").orElse(""),
          response.body());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }
}
