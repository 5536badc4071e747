package io.reflux.devstack;

import io.reflux.schemas.service.RefluxException;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.storage.Formatter;
import org.apache.kafka.server.common.Feature;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A real Kafka broker and its KRaft controller, one node, inside this JVM.
 *
 * <p>Everything it knows is in the data directory: cluster id and ports in {@code
 * broker.properties}, records under {@code kafka/}. A start on the same directory goes on where the
 * last one ended, also after the process was killed: what was acknowledged is there. (After a power
 * cut the last seconds may be missing, as with any single Kafka broker.)
 *
 * <p>Topics are not created by being used; Kafka logs through slf4j.
 */
public final class EmbeddedBroker implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(EmbeddedBroker.class);
  private static final int NODE = 1;
  private static final String CLUSTER_ID = "cluster.id";
  private static final String PORT = "broker.port";
  private static final String CONTROLLER_PORT = "controller.port";

  private final DataDirectory directory;
  private final KafkaRaftServer server;
  private final String bootstrapServers;
  private final String clusterId;
  private final AtomicBoolean closed = new AtomicBoolean();

  private EmbeddedBroker(
      DataDirectory directory, KafkaRaftServer server, String bootstrapServers, String clusterId) {
    this.directory = directory;
    this.server = server;
    this.bootstrapServers = bootstrapServers;
    this.clusterId = clusterId;
  }

  /** Starts on the loopback address; see {@link #start(Path, BrokerOptions)}. */
  public static EmbeddedBroker start(Path dataDir, int port) {
    return start(dataDir, BrokerOptions.loopback(port));
  }

  /**
   * Returns once the broker answers.
   *
   * @throws RefluxException if the directory is not writable or is in use, or the port is taken; no
   *     thread and no lock is left behind then
   */
  public static EmbeddedBroker start(Path dataDir, BrokerOptions options) {
    DataDirectory directory = DataDirectory.open(dataDir, "broker");
    EmbeddedBroker broker = null;
    try {
      broker = start(directory, options);
      return broker;
    } finally {
      if (broker == null) {
        directory.close();
      }
    }
  }

  private static EmbeddedBroker start(DataDirectory directory, BrokerOptions options) {
    int port = choosePort(directory, options);
    int controllerPort = chooseControllerPort(directory, port);
    String clusterId =
        directory
            .get(CLUSTER_ID)
            .orElseGet(
                () -> {
                  String id = Uuid.randomUuid().toString();
                  directory.put(CLUSTER_ID, id);
                  return id;
                });
    Path logs = directory.path().resolve("kafka");
    Map<String, String> settings = settings(options, port, controllerPort, logs);
    format(logs, clusterId, settings);

    KafkaRaftServer server = null;
    boolean started = false;
    try {
      server = new KafkaRaftServer(KafkaConfig.fromProps(properties(settings), false), Time.SYSTEM);
      server.startup();
      started = true;
    } catch (RuntimeException e) {
      throw new RefluxException("broker in " + logs + " does not start: " + rootMessage(e), e);
    } finally {
      if (!started && server != null) {
        stop(server);
      }
    }
    directory.put(PORT, Integer.toString(port));
    directory.put(CONTROLLER_PORT, Integer.toString(controllerPort));
    return new EmbeddedBroker(directory, server, options.host() + ":" + port, clusterId);
  }

  /** {@code host:port} for clients. */
  public String bootstrapServers() {
    return bootstrapServers;
  }

  /** Kafka's id of this cluster, made at the first start. */
  public String clusterId() {
    return clusterId;
  }

  /** Where the broker keeps everything. */
  public Path dataDirectory() {
    return directory.path();
  }

  /** Stops in well under two seconds; safe to call twice. */
  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      try {
        stop(server);
      } finally {
        directory.close();
      }
    }
  }

  private static void stop(KafkaRaftServer server) {
    server.shutdown();
    server.awaitShutdown();
  }

  private static int choosePort(DataDirectory directory, BrokerOptions options) {
    if (options.port() != 0) {
      Ports.requireFree("broker port", options.host(), options.port(), "");
      return options.port();
    }
    int kept = directory.port(PORT);
    if (kept != 0) {
      Ports.requireFree("broker port", options.host(), kept, ", kept in " + directory.file());
      return kept;
    }
    return Ports.free(options.host());
  }

  /** Nobody outside this JVM is told the controller's port, so a taken one is just replaced. */
  private static int chooseControllerPort(DataDirectory directory, int brokerPort) {
    int kept = directory.port(CONTROLLER_PORT);
    if (kept != 0 && kept != brokerPort && Ports.isFree(BrokerOptions.LOOPBACK, kept)) {
      return kept;
    }
    int port = Ports.free(BrokerOptions.LOOPBACK);
    while (port == brokerPort) {
      port = Ports.free(BrokerOptions.LOOPBACK);
    }
    return port;
  }

  private static void format(Path logs, String clusterId, Map<String, String> settings) {
    ByteArrayOutputStream said = new ByteArrayOutputStream();
    try (PrintStream stream = new PrintStream(said, true, StandardCharsets.UTF_8)) {
      Files.createDirectories(logs);
      new Formatter()
          .setPrintStream(stream)
          .setNodeId(NODE)
          .setClusterId(clusterId)
          .setDirectories(List.of(logs.toString()))
          .setMetadataLogDirectory(logs.toString())
          .setControllerListenerName(settings.get("controller.listener.names"))
          .setSupportedFeatures(Feature.PRODUCTION_FEATURES)
          .setIgnoreFormatted(true)
          .run();
    } catch (Exception e) { // the formatter declares no narrower type
      throw new RefluxException(
          "data directory: "
              + logs
              + " (expected: writable, empty or written by this broker): "
              + rootMessage(e),
          e);
    }
    LOG.debug("{}", said.toString(StandardCharsets.UTF_8).strip());
  }

  private static Map<String, String> settings(
      BrokerOptions options, int port, int controllerPort, Path logs) {
    Map<String, String> settings = new HashMap<>();
    settings.put("process.roles", "broker,controller");
    settings.put("node.id", Integer.toString(NODE));
    settings.put("controller.listener.names", "CONTROLLER");
    settings.put(
        "controller.quorum.voters", NODE + "@" + BrokerOptions.LOOPBACK + ":" + controllerPort);
    settings.put(
        "listeners",
        "PLAINTEXT://"
            + options.host()
            + ":"
            + port
            + ",CONTROLLER://"
            + BrokerOptions.LOOPBACK
            + ":"
            + controllerPort);
    settings.put("advertised.listeners", "PLAINTEXT://" + options.host() + ":" + port);
    settings.put("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT");
    settings.put("inter.broker.listener.name", "PLAINTEXT");
    settings.put("log.dirs", logs.toString());

    settings.put("auto.create.topics.enable", "false");
    settings.put("group.initial.rebalance.delay.ms", "0");

    // One node: nothing to replicate to.
    for (String topic : List.of("offsets.topic", "share.coordinator.state.topic")) {
      settings.put(topic + ".replication.factor", "1");
      settings.put(topic + ".num.partitions", "4");
    }
    settings.put("share.coordinator.state.topic.min.isr", "1");
    settings.put("transaction.state.log.replication.factor", "1");
    settings.put("transaction.state.log.min.isr", "1");
    settings.put("transaction.state.log.num.partitions", "4");
    settings.put("default.replication.factor", "1");
    settings.put("min.insync.replicas", "1");

    // A guest in somebody's JVM: few threads, small buffers, small files.
    settings.put("num.network.threads", "1");
    settings.put("num.io.threads", "2");
    settings.put("num.replica.fetchers", "1");
    settings.put("num.recovery.threads.per.data.dir", "1");
    settings.put("background.threads", "2");
    settings.put("log.cleaner.dedupe.buffer.size", Integer.toString(8 << 20)); // Kafka: 128 MiB
    settings.put("log.segment.bytes", Integer.toString(64 << 20));
    settings.put("log.index.size.max.bytes", Integer.toString(1 << 20));
    settings.put("offsets.topic.segment.bytes", Integer.toString(16 << 20));
    settings.put("transaction.state.log.segment.bytes", Integer.toString(16 << 20));
    settings.put("share.coordinator.state.topic.segment.bytes", Integer.toString(16 << 20));
    settings.put("metadata.log.segment.bytes", Integer.toString(16 << 20));
    // Twice a second by default, only to show that the controller is alive.
    settings.put("metadata.max.idle.interval.ms", "5000");
    settings.putAll(options.overrides());
    return settings;
  }

  private static Properties properties(Map<String, String> settings) {
    Properties properties = new Properties();
    properties.putAll(settings);
    return properties;
  }

  private static String rootMessage(Throwable failure) {
    Throwable root = failure;
    while (root.getCause() != null && root.getCause() != root) {
      root = root.getCause();
    }
    return root.getMessage() == null ? root.toString() : root.getMessage();
  }
}
