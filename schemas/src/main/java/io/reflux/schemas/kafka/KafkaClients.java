package io.reflux.schemas.kafka;

import io.reflux.schemas.registry.RecordCodec;
import io.reflux.schemas.registry.RegistryClient;
import io.reflux.schemas.registry.RegistryConfig;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.avro.specific.SpecificData;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The one place that opens Kafka clients, so that all of them have the same settings. Holds no
 * connection itself; whoever opens a client closes it. Safe for use by many threads.
 *
 * <p>Settings come in layers, later ones over earlier: ours, {@code reflux.kafka.properties} (a
 * name that starts with {@code producer.}, {@code consumer.} or {@code admin.} is for those clients
 * alone), the call's, and last what the loop's guarantees rest on.
 */
public final class KafkaClients {
  private static final Duration LEADERS_TIMEOUT = Duration.ofSeconds(30);
  private static final Duration LEADERS_RETRY = Duration.ofMillis(50);

  /** Above the catalogue's largest record and its envelope. */
  private static final int MAX_REQUEST_BYTES = 4 << 20;

  private final KafkaConfig kafka;
  private final RecordCodec codec;

  public KafkaClients(KafkaConfig kafka, RegistryConfig registry) {
    this.kafka = kafka;
    this.codec = new RecordCodec(new RegistryClient(registry));
  }

  /** How Kafka is reached. */
  public KafkaConfig kafka() {
    return kafka;
  }

  /** The codec that all readers and writers share. */
  public RecordCodec codec() {
    return codec;
  }

  /** A client for topics and groups. */
  public Admin admin() {
    return admin(Map.of());
  }

  private Admin admin(Map<String, String> overrides) {
    Map<String, Object> settings = common("admin.");
    settings.putAll(overrides);
    return open(() -> Admin.create(settings));
  }

  /** An idempotent producer that waits for all in-sync replicas. */
  public Producer<String, byte[]> producer(String clientId) {
    return producer(clientId, Map.of());
  }

  /** As {@link #producer(String)}, with further settings. */
  public Producer<String, byte[]> producer(String clientId, Map<String, String> overrides) {
    Map<String, Object> settings = producerSettings(clientId);
    settings.putAll(overrides);
    guarantees(settings);
    return open(
        () -> new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer()));
  }

  /**
   * A producer for transactions; the caller calls {@code initTransactions}.
   *
   * @param transactionalId without the configured prefix; the same after a restart, and never used
   *     by two running producers
   */
  public Producer<String, byte[]> transactionalProducer(String clientId, String transactionalId) {
    return producer(clientId, Map.of("transactional.id", kafka.prefix() + transactionalId));
  }

  private Map<String, Object> producerSettings(String clientId) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("linger.ms", "5");
    settings.put("batch.size", Integer.toString(64 << 10));
    settings.put("compression.type", "lz4");
    settings.put("max.request.size", Integer.toString(MAX_REQUEST_BYTES));
    settings.putAll(common("producer."));
    settings.put("client.id", clientId);
    return settings;
  }

  private static void guarantees(Map<String, Object> settings) {
    settings.put("acks", "all");
    settings.put("enable.idempotence", "true");
  }

  /**
   * A consumer that sees committed transactions only, commits nothing by itself, and starts a new
   * group at the earliest record.
   *
   * @param groupId without the configured prefix; null for a consumer that is only assigned
   *     partitions
   * @param overrides further settings; these win
   */
  public Consumer<String, byte[]> consumer(
      String clientId, String groupId, Map<String, String> overrides) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("auto.offset.reset", "earliest");
    // A killed member's partitions go on after ten seconds instead of forty-five.
    settings.put("session.timeout.ms", "10000");
    settings.put("heartbeat.interval.ms", "3000");
    settings.putAll(common("consumer."));
    settings.put("allow.auto.create.topics", "false");
    settings.put("isolation.level", "read_committed");
    settings.put("enable.auto.commit", "false");
    settings.put("client.id", clientId);
    if (groupId != null) {
      settings.put("group.id", kafka.prefix() + groupId);
    }
    settings.putAll(overrides);
    return open(
        () -> new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer()));
  }

  /**
   * Settings of a Kafka Streams application with exactly-once processing; the caller adds at least
   * {@code state.dir}.
   *
   * @param applicationId without the configured prefix
   */
  public Map<String, Object> streamsProperties(String applicationId) {
    Map<String, Object> settings = new HashMap<>();
    settings.put("consumer.session.timeout.ms", "10000");
    settings.put("consumer.heartbeat.interval.ms", "3000");
    settings.put("consumer.auto.offset.reset", "earliest");
    settings.put("producer.compression.type", "lz4");
    settings.put("producer.max.request.size", Integer.toString(MAX_REQUEST_BYTES));
    settings.put("replication.factor", Short.toString(kafka.replicationFactor()));
    settings.put("metric.reporters", "");
    settings.put("enable.metrics.push", "false");
    // Streams knows the same prefixes.
    settings.putAll(kafka.properties());
    settings.put("bootstrap.servers", kafka.bootstrapServers());
    settings.put("application.id", kafka.prefix() + applicationId);
    settings.put("processing.guarantee", "exactly_once_v2");
    return settings;
  }

  private Map<String, Object> common(String prefix) {
    Map<String, Object> settings = new HashMap<>();
    // JMX beans of clients with one name collide in one JVM.
    settings.put("metric.reporters", "");
    settings.put("enable.metrics.push", "false");
    kafka
        .properties()
        .forEach(
            (name, value) -> {
              if (!isForOneClient(name)) {
                settings.put(name, value);
              }
            });
    kafka
        .properties()
        .forEach(
            (name, value) -> {
              if (name.startsWith(prefix)) {
                settings.put(name.substring(prefix.length()), value);
              }
            });
    settings.put("bootstrap.servers", kafka.bootstrapServers());
    return settings;
  }

  private static boolean isForOneClient(String name) {
    return name.startsWith("producer.")
        || name.startsWith("consumer.")
        || name.startsWith("admin.");
  }

  private <C> C open(java.util.function.Supplier<C> opening) {
    try {
      return opening.get();
    } catch (KafkaException e) {
      Throwable cause = e.getCause() == null ? e : e.getCause();
      throw new RefluxException(
          "Kafka "
              + kafka.bootstrapServers()
              + ": "
              + cause.getMessage()
              + " (expected: host:port pairs and client settings that hold; see reflux.kafka)",
          e);
    }
  }

  /** Writes a topic of the catalogue through a producer of the caller's. */
  public <T extends SpecificRecord> TopicWriter<T> writer(
      Topic<T> topic, Producer<String, byte[]> producer) {
    return new TopicWriter<>(topic, topic.fullName(kafka), codec, producer);
  }

  /** Reads a topic of the catalogue through a consumer, which the reader's close closes. */
  public <T extends SpecificRecord> TopicReader<T> reader(
      Topic<T> topic, Consumer<String, byte[]> consumer) {
    return new TopicReader<>(topic, topic.fullName(kafka), codec, consumer);
  }

  /** A serde of one record type, for Kafka Streams. */
  public <T extends SpecificRecord> Serde<T> serde(Class<T> type) {
    return new AvroSerde<>(codec, type);
  }

  /** Creates the topics of the catalogue that are not there; leaves the others as they are. */
  public void createTopics() {
    List<NewTopic> wanted = new ArrayList<>();
    for (Topic<?> topic : Topics.all()) {
      wanted.add(
          new NewTopic(topic.fullName(kafka), topic.partitions(), kafka.replicationFactor())
              .configs(topic.settings()));
    }
    try (Admin admin = admin()) {
      CreateTopicsResult result = admin.createTopics(wanted);
      Map<TopicPartition, OffsetSpec> fresh = new HashMap<>();
      for (NewTopic topic : wanted) {
        if (awaitCreated(topic.name(), result.values().get(topic.name()))) {
          for (int partition = 0; partition < topic.numPartitions(); partition++) {
            fresh.put(new TopicPartition(topic.name(), partition), OffsetSpec.latest());
          }
        }
      }
      awaitLeaders(admin, fresh);
    }
  }

  /**
   * Returns when the leaders of new partitions answer for them. A producer that comes sooner may
   * have its first batch refused and its second one taken; the first is then out of order for good.
   */
  private void awaitLeaders(Admin admin, Map<TopicPartition, OffsetSpec> partitions) {
    long deadline = System.nanoTime() + LEADERS_TIMEOUT.toNanos();
    CountDownLatch never = new CountDownLatch(1);
    try {
      while (true) {
        try {
          admin.listOffsets(partitions).all().get();
          return;
        } catch (ExecutionException e) {
          // A broker that has not heard of the topic yet is not asked again by the client itself.
          if (!(e.getCause() instanceof RetriableException) || System.nanoTime() >= deadline) {
            throw new RefluxException(
                "Topics at "
                    + kafka.bootstrapServers()
                    + ": created, but their leaders do not answer: "
                    + e.getCause().getMessage(),
                e.getCause());
          }
          never.await(LEADERS_RETRY.toMillis(), TimeUnit.MILLISECONDS);
        }
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new RefluxException("Topics: interrupted while they were created", e);
    }
  }

  /** Returns whether the topic is new. */
  private boolean awaitCreated(String topic, KafkaFuture<Void> future) {
    try {
      future.get();
      return true;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new RefluxException("Topic " + topic + ": interrupted while it was created", e);
    } catch (ExecutionException e) {
      if (!(e.getCause() instanceof TopicExistsException)) {
        throw new RefluxException(
            "Topic "
                + topic
                + " at "
                + kafka.bootstrapServers()
                + ": not created: "
                + e.getCause().getMessage(),
            e.getCause());
      }
      return false;
    }
  }

  /**
   * Registers the schema of every topic and holds its subject to full-transitive compatibility, so
   * that old and new readers and writers may run side by side.
   */
  public void registerSchemas() {
    RegistryClient registry = codec.registry();
    for (Topic<?> topic : Topics.all()) {
      String subject = RecordCodec.subject(topic.fullName(kafka));
      registry.setCompatibility(subject, "FULL_TRANSITIVE");
      registry.register(subject, SpecificData.get().getSchema(topic.type()));
    }
  }

  /**
   * Returns when both the brokers and the registry answer.
   *
   * @param timeout for each of the two
   * @throws RefluxException one line that names what did not answer, and its address
   */
  public void requireReachable(Duration timeout) {
    String millis = Long.toString(timeout.toMillis());
    try (Admin admin =
        admin(Map.of("default.api.timeout.ms", millis, "request.timeout.ms", millis))) {
      admin.describeCluster().nodes().get(timeout.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new RefluxException("Kafka " + kafka.bootstrapServers() + ": interrupted", e);
    } catch (ExecutionException | TimeoutException e) {
      boolean late =
          e instanceof TimeoutException
              || e.getCause() instanceof org.apache.kafka.common.errors.TimeoutException;
      throw new RefluxException(
          "Kafka "
              + kafka.bootstrapServers()
              + ": "
              + (late ? "no answer within " + millis + " ms" : e.getCause().getMessage())
              + " (expected: a broker there, see reflux.kafka.bootstrap-servers)",
          e);
    }
    codec.registry().requireReachable(timeout);
  }
}
