package io.reflux.devstack.registry;

import io.reflux.schemas.service.RefluxException;
import java.util.Objects;
import java.util.Optional;

/**
 * How an {@link EmbeddedRegistry} listens.
 *
 * @param host the address to bind
 * @param port 0 for any free one
 * @param username with {@code password}: every request must carry them (basic authentication)
 */
public record RegistryOptions(
    String host, int port, Optional<String> username, Optional<String> password) {
  /** Validates. */
  public RegistryOptions {
    Objects.requireNonNull(host, "host");
    if (port < 0 || port > 65_535) {
      throw new RefluxException(
          "registry port: " + port + " (expected: 1 to 65535, or 0 for any free one)");
    }
    if (username.isPresent() != password.isPresent()) {
      throw new RefluxException("registry username and password (expected: both or neither)");
    }
  }

  /** Listens on the loopback address, without authentication. */
  public static RegistryOptions loopback(int port) {
    return new RegistryOptions("127.0.0.1", port, Optional.empty(), Optional.empty());
  }

  /** The same with basic authentication. */
  public RegistryOptions withBasicAuth(String user, String secret) {
    return new RegistryOptions(host, port, Optional.of(user), Optional.of(secret));
  }
}
