package io.reflux.devstack;

import io.reflux.schemas.service.RefluxException;
import java.util.Map;
import java.util.Objects;

/**
 * How an {@link EmbeddedBroker} listens.
 *
 * @param host the address to bind, and the one that clients are told; a wildcard such as {@code
 *     0.0.0.0} needs an {@code advertised.listeners} in {@code overrides}
 * @param port 0 chooses a free port at the first start and keeps it in the data directory
 * @param overrides broker settings that win over the embedded ones
 */
public record BrokerOptions(String host, int port, Map<String, String> overrides) {
  /** The loopback address: nothing outside this machine reaches the broker. */
  public static final String LOOPBACK = "127.0.0.1";

  /** Validates and copies. */
  public BrokerOptions {
    Objects.requireNonNull(host, "host");
    overrides = Map.copyOf(overrides);
    Ports.requireValid("broker port", port);
    if (host.isBlank()) {
      throw new RefluxException("broker host: \"\" (expected: an address or a host name)");
    }
  }

  /** Listens on the loopback address. */
  public static BrokerOptions loopback(int port) {
    return new BrokerOptions(LOOPBACK, port, Map.of());
  }
}
