package io.reflux.devstack;

import io.reflux.devstack.registry.EmbeddedRegistry;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.registry.RegistryConfig;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;

/**
 * A broker and a registry that keeps its schemas in it: all that Reflux needs from outside.
 *
 * <p>Both ports are kept in the data directory, so that the next start has the same addresses.
 */
public final class DevStack implements AutoCloseable {
  private static final String REGISTRY_PORT = "registry.port";

  private final DataDirectory directory;
  private final EmbeddedBroker broker;
  private final EmbeddedRegistry registry;

  private DevStack(DataDirectory directory, EmbeddedBroker broker, EmbeddedRegistry registry) {
    this.directory = directory;
    this.broker = broker;
    this.registry = registry;
  }

  /** Starts on the ports of the last time, or on free ones. */
  public static DevStack start(Path dataDir) {
    return start(dataDir, 0, 0);
  }

  /**
   * Returns once both answer.
   *
   * @param brokerPort 0 for the port of the last time, or a free one
   * @param registryPort 0 for the port of the last time, or a free one
   * @throws RefluxException if the directory is in use or not writable, or a port is taken; nothing
   *     is left running then
   */
  public static DevStack start(Path dataDir, int brokerPort, int registryPort) {
    Ports.requireValid("registry port", registryPort);
    DataDirectory directory = null;
    EmbeddedBroker broker = null;
    EmbeddedRegistry registry = null;
    DevStack stack = null;
    try {
      directory = DataDirectory.open(dataDir, "registry");
      int port = chooseRegistryPort(directory, registryPort); // before the broker takes its time
      broker = EmbeddedBroker.start(dataDir, brokerPort);
      registry = EmbeddedRegistry.start(broker.bootstrapServers(), port);
      directory.put(REGISTRY_PORT, Integer.toString(registry.port()));
      stack = new DevStack(directory, broker, registry);
      return stack;
    } finally {
      if (stack == null) {
        if (registry != null) {
          registry.close();
        }
        if (broker != null) {
          broker.close();
        }
        if (directory != null) {
          directory.close();
        }
      }
    }
  }

  private static int chooseRegistryPort(DataDirectory directory, int wanted) {
    if (wanted != 0) {
      Ports.requireFree("registry port", BrokerOptions.LOOPBACK, wanted, "");
      return wanted;
    }
    int kept = directory.port(REGISTRY_PORT);
    if (kept != 0) {
      Ports.requireFree(
          "registry port", BrokerOptions.LOOPBACK, kept, ", kept in " + directory.file());
      return kept;
    }
    return Ports.free(BrokerOptions.LOOPBACK);
  }

  /** The broker. */
  public EmbeddedBroker broker() {
    return broker;
  }

  /** The registry. */
  public EmbeddedRegistry registry() {
    return registry;
  }

  /** How to reach the broker, with the default prefix. */
  public KafkaConfig kafkaConfig() {
    return kafkaConfig("reflux.");
  }

  /**
   * How to reach the broker.
   *
   * @param prefix put before topics, groups and transactional ids; several loops, or tests, share
   *     the broker under different ones
   */
  public KafkaConfig kafkaConfig(String prefix) {
    return new EmbeddedKafkaConfig(broker.bootstrapServers(), prefix);
  }

  /** How to reach the registry. */
  public RegistryConfig registryConfig() {
    return new EmbeddedRegistryConfig(registry.url());
  }

  /** Clients of both, with the default prefix. */
  public KafkaClients clients() {
    return clients("reflux.");
  }

  /**
   * Clients of both.
   *
   * @param prefix as in {@link #kafkaConfig(String)}
   */
  public KafkaClients clients(String prefix) {
    return new KafkaClients(kafkaConfig(prefix), registryConfig());
  }

  /** Stops both; safe to call twice. */
  @Override
  public void close() {
    try {
      registry.close();
    } finally {
      try {
        broker.close();
      } finally {
        directory.close();
      }
    }
  }

  private record EmbeddedKafkaConfig(String bootstrapServers, String prefix)
      implements KafkaConfig {
    @Override
    public short replicationFactor() {
      return 1;
    }

    @Override
    public Map<String, String> properties() {
      return Map.of();
    }
  }

  private record EmbeddedRegistryConfig(String url) implements RegistryConfig {
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
