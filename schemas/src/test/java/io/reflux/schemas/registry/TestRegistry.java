package io.reflux.schemas.registry;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.CopyOnWriteArrayList;

/** A registry of Confluent's protocol in memory, which can be told to misbehave. */
public final class TestRegistry implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private record Canned(int status, String body) {}

  private final HttpServer server;
  private final String scheme;
  private final List<String> schemas = new CopyOnWriteArrayList<>();
  private final Map<String, List<Integer>> subjects = new TreeMap<>();
  private final Deque<Canned> canned = new ConcurrentLinkedDeque<>();
  private final List<String> requests = new CopyOnWriteArrayList<>();
  private volatile String authorization;

  private TestRegistry(HttpServer server, String scheme) {
    this.server = server;
    this.scheme = scheme;
    server.createContext("/", this::handle);
    server.start();
  }

  public static TestRegistry start() {
    try {
      return on(HttpServer.create(loopback(), 0), "http");
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static TestRegistry on(HttpServer server, String scheme) {
    return new TestRegistry(server, scheme);
  }

  static InetSocketAddress loopback() {
    return new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
  }

  public String url() {
    return scheme + "://127.0.0.1:" + server.getAddress().getPort();
  }

  public RegistryConfig config() {
    return config(url());
  }

  public static RegistryConfig config(String url) {
    return new Config(url, Optional.empty(), Optional.empty(), Optional.empty(), Optional.empty());
  }

  record Config(
      String url,
      Optional<String> username,
      Optional<String> password,
      Optional<Path> truststore,
      Optional<String> truststorePassword)
      implements RegistryConfig {}

  /** Answers the next request with this, whatever it is. */
  public void answerNext(int status, String body) {
    canned.add(new Canned(status, body));
  }

  void requireAuthorization(String header) {
    this.authorization = header;
  }

  /** Method and path of every request so far. */
  public List<String> requests() {
    return requests;
  }

  /** Adds a schema as another writer would. */
  public int add(String subject, String schema) {
    int id = idOf(schema);
    if (id == 0) {
      schemas.add(schema);
      id = schemas.size();
    }
    List<Integer> versions = subjects.computeIfAbsent(subject, s -> new ArrayList<>());
    if (!versions.contains(id)) {
      versions.add(id);
    }
    return id;
  }

  private int idOf(String schema) {
    return schemas.indexOf(schema) + 1;
  }

  private void handle(HttpExchange exchange) throws IOException {
    try (exchange) {
      URI uri = exchange.getRequestURI();
      String request = exchange.getRequestMethod() + " " + uri.getRawPath();
      String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
      requests.add(request);
      Canned answer = canned.poll();
      if (answer == null) {
        answer = answer(exchange, request, body);
      }
      byte[] bytes = answer.body().getBytes(StandardCharsets.UTF_8);
      exchange.getResponseHeaders().set("Content-Type", "application/vnd.schemaregistry.v1+json");
      exchange.sendResponseHeaders(answer.status(), bytes.length == 0 ? -1 : bytes.length);
      exchange.getResponseBody().write(bytes);
    }
  }

  private Canned answer(HttpExchange exchange, String request, String body) throws IOException {
    if (authorization != null
        && !authorization.equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
      return error(401, 40101, "Unauthorized");
    }
    String[] path = exchange.getRequestURI().getRawPath().substring(1).split("/", -1);
    for (int i = 0; i < path.length; i++) {
      path[i] = URLDecoder.decode(path[i], StandardCharsets.UTF_8);
    }
    if (request.equals("GET /subjects")) {
      return new Canned(200, JSON.writeValueAsString(subjects.keySet()));
    }
    if (request.startsWith("GET /schemas/ids/")) {
      int id = Integer.parseInt(path[2]);
      return id < 1 || id > schemas.size()
          ? error(404, 40403, "Schema " + id + " not found")
          : new Canned(200, json("schema", schemas.get(id - 1)));
    }
    if (request.startsWith("PUT /config/")) {
      return new Canned(200, body);
    }
    JsonNode json = body.isEmpty() ? null : JSON.readTree(body);
    String subject = path[0].equals("subjects") ? path[1] : path[2];
    if (request.startsWith("POST /subjects/") && path.length == 3) {
      return new Canned(200, "{\"id\":" + add(subject, json.get("schema").asText()) + "}");
    }
    List<Integer> versions = subjects.get(subject);
    if (versions == null) {
      return error(404, 40401, "Subject '" + subject + "' not found.");
    }
    if (request.startsWith("POST /compatibility/")) {
      return new Canned(200, "{\"is_compatible\":false}");
    }
    if (request.startsWith("GET ")) {
      int id = versions.get(versions.size() - 1);
      return new Canned(
          200,
          "{\"subject\":\""
              + subject
              + "\",\"version\":"
              + versions.size()
              + ",\"id\":"
              + id
              + ","
              + json("schema", schemas.get(id - 1)).substring(1));
    }
    int id = idOf(json.get("schema").asText());
    return id == 0 || !versions.contains(id)
        ? error(404, 40403, "Schema not found")
        : new Canned(200, "{\"id\":" + id + "}");
  }

  private static String json(String name, String value) throws IOException {
    return JSON.writeValueAsString(Map.of(name, value));
  }

  static Canned error(int status, int code, String message) {
    return new Canned(status, "{\"error_code\":" + code + ",\"message\":\"" + message + "\"}");
  }

  @Override
  public void close() {
    server.stop(0);
  }
}
