package io.reflux.monitor.drift;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.registry.RegistryConfig;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;

/** Just enough of a registry for codecs, where a test has no broker. */
final class StubRegistry implements AutoCloseable {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final List<String> schemas = new CopyOnWriteArrayList<>();
  private final HttpServer server;

  StubRegistry() throws IOException {
    server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext("/", this::answer);
    server.start();
  }

  KafkaClients clients() {
    String url = "http://127.0.0.1:" + server.getAddress().getPort();
    return new KafkaClients(new Kafka(), new Registry(url));
  }

  @Override
  public void close() {
    server.stop(0);
  }

  private void answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getPath();
    byte[] body;
    if (exchange.getRequestMethod().equals("POST")) {
      String schema = JSON.readTree(exchange.getRequestBody()).get("schema").asText();
      if (!schemas.contains(schema)) {
        schemas.add(schema);
      }
      body = JSON.writeValueAsBytes(Map.of("id", schemas.indexOf(schema) + 1));
    } else {
      int id = Integer.parseInt(path.substring(path.lastIndexOf('/') + 1));
      body = JSON.writeValueAsBytes(Map.of("schema", schemas.get(id - 1)));
    }
    exchange.getResponseHeaders().add("Content-Type", "application/json; charset=utf-8");
    exchange.sendResponseHeaders(200, body.length);
    exchange.getResponseBody().write(body);
    exchange.close();
  }

  private record Kafka() implements KafkaConfig {
    @Override
    public String bootstrapServers() {
      return "localhost:1";
    }

    @Override
    public String prefix() {
      return "test.";
    }

    @Override
    public short replicationFactor() {
      return 1;
    }

    @Override
    public Map<String, String> properties() {
      return Map.of();
    }
  }

  private record Registry(String url) implements RegistryConfig {
    @Override
    public Optional<String> username() {
      return Optional.empty();
    }

    @Override
    public Optional<String> password() {
      return Optional.empty();
    }

    @Override
    public Optional<Path> truststore() {
      return Optional.empty();
    }

    @Override
    public Optional<String> truststorePassword() {
      return Optional.empty();
    }
  }
}
