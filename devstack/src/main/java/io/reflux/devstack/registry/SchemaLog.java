package io.reflux.devstack.registry;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.schemas.service.RefluxException;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.config.TopicConfig;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The topic {@code _schemas}: a thread of its own reads it into a {@link RegistryState}, and a
 * write returns once it has been read back, so that whoever was answered finds what was written.
 */
final class SchemaLog implements AutoCloseable {
  static final String TOPIC = "_schemas";

  private static final Logger LOG = LoggerFactory.getLogger(SchemaLog.class);
  private static final TopicPartition PARTITION = new TopicPartition(TOPIC, 0);
  private static final Duration TIMEOUT = Duration.ofSeconds(15);

  private final LogFormat format = new LogFormat();
  private final RegistryState state;
  private final Admin admin;
  private final Producer<byte[], byte[]> producer;
  private final Consumer<byte[], byte[]> consumer;
  private final Thread reader;

  private final Object progress = new Object();
  private long position; // guarded by progress: offset of the next record to read
  private RuntimeException failure; // guarded by progress: the reader has died of it

  private SchemaLog(
      RegistryState state,
      Admin admin,
      Producer<byte[], byte[]> producer,
      Consumer<byte[], byte[]> consumer) {
    this.state = state;
    this.admin = admin;
    this.producer = producer;
    this.consumer = consumer;
    this.reader = new Thread(this::read, "registry-log-reader");
    reader.setDaemon(true);
  }

  /**
   * Creates the topic if need be and reads it to its end.
   *
   * @throws RefluxException if Kafka is not there, or the topic could lose schemas
   */
  static SchemaLog open(String bootstrapServers, RegistryState state) {
    Map<String, Object> common =
        Map.of(
            CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG,
            bootstrapServers,
            CommonClientConfigs.CLIENT_ID_CONFIG,
            "reflux-registry");
    Admin admin = null;
    Producer<byte[], byte[]> producer = null;
    SchemaLog log = null;
    boolean open = false;
    try {
      admin =
          Admin.create(
              with(
                  common, Map.of("request.timeout.ms", 5_000, "default.api.timeout.ms", millis())));
      prepareTopic(admin, bootstrapServers);
      producer = producer(common);
      log = new SchemaLog(state, admin, producer, consumer(common));
      log.reader.start();
      log.catchUp();
      open = true;
      return log;
    } catch (RegistryError | KafkaException e) {
      throw unreachable(bootstrapServers, e);
    } finally {
      if (!open) {
        if (log != null) {
          log.close();
        } else {
          closeNow(admin, producer);
        }
      }
    }
  }

  private static Producer<byte[], byte[]> producer(Map<String, Object> common) {
    return new KafkaProducer<>(
        with(
            common,
            Map.of(
                ProducerConfig.ACKS_CONFIG,
                "all",
                ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG,
                true,
                ProducerConfig.LINGER_MS_CONFIG,
                0,
                ProducerConfig.BUFFER_MEMORY_CONFIG,
                4L << 20,
                ProducerConfig.MAX_BLOCK_MS_CONFIG,
                TIMEOUT.toMillis(),
                ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG,
                5_000,
                ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG,
                millis())),
        new ByteArraySerializer(),
        new ByteArraySerializer());
  }

  private static Consumer<byte[], byte[]> consumer(Map<String, Object> common) {
    return new KafkaConsumer<>(
        with(
            common,
            Map.of(
                ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false,
                ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest",
                ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false)),
        new ByteArrayDeserializer(),
        new ByteArrayDeserializer());
  }

  private static int millis() {
    return Math.toIntExact(TIMEOUT.toMillis());
  }

  private static Map<String, Object> with(Map<String, Object> common, Map<String, Object> more) {
    Map<String, Object> all = new HashMap<>(common);
    all.putAll(more);
    return all;
  }

  private static void prepareTopic(Admin admin, String bootstrapServers) {
    try {
      admin
          .createTopics(
              List.of(
                  new NewTopic(TOPIC, Optional.of(1), Optional.empty())
                      .configs(
                          Map.of(
                              TopicConfig.CLEANUP_POLICY_CONFIG,
                              TopicConfig.CLEANUP_POLICY_COMPACT))))
          .all()
          .get(TIMEOUT.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      if (!(e.getCause() instanceof TopicExistsException)) {
        throw unreachable(bootstrapServers, e.getCause());
      }
      checkTopic(admin, bootstrapServers);
    } catch (TimeoutException e) {
      throw unreachable(bootstrapServers, e);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  private static void checkTopic(Admin admin, String bootstrapServers) {
    try {
      TopicDescription description =
          admin
              .describeTopics(List.of(TOPIC))
              .topicNameValues()
              .get(TOPIC)
              .get(TIMEOUT.toSeconds(), TimeUnit.SECONDS);
      if (description.partitions().size() != 1) {
        throw new RefluxException(
            "topic "
                + TOPIC
                + ": "
                + description.partitions().size()
                + " partitions (expected: 1, so that schemas have one order)");
      }
      ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, TOPIC);
      Config config =
          admin
              .describeConfigs(List.of(resource))
              .values()
              .get(resource)
              .get(TIMEOUT.toSeconds(), TimeUnit.SECONDS);
      String policy = config.get(TopicConfig.CLEANUP_POLICY_CONFIG).value();
      if (!policy.equals(TopicConfig.CLEANUP_POLICY_COMPACT)) {
        throw new RefluxException(
            "topic "
                + TOPIC
                + ": cleanup.policy "
                + policy
                + " (expected: compact; schemas would be lost)");
      }
    } catch (ExecutionException e) {
      throw unreachable(bootstrapServers, e.getCause());
    } catch (TimeoutException e) {
      throw unreachable(bootstrapServers, e);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  /** Kafka's id of the cluster that keeps the schemas. */
  String clusterId() {
    try {
      return admin.describeCluster().clusterId().get(TIMEOUT.toSeconds(), TimeUnit.SECONDS);
    } catch (ExecutionException e) {
      throw RegistryError.storeFailed("Kafka does not answer: " + e.getCause(), e.getCause());
    } catch (TimeoutException e) {
      throw RegistryError.storeTimedOut("Kafka did not answer within " + TIMEOUT);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  /** Waits until everything that is in the topic now has been read. */
  void catchUp() {
    try {
      long end =
          admin
              .listOffsets(Map.of(PARTITION, OffsetSpec.latest()))
              .partitionResult(PARTITION)
              .get(TIMEOUT.toSeconds(), TimeUnit.SECONDS)
              .offset();
      awaitPosition(end);
    } catch (ExecutionException e) {
      throw RegistryError.storeFailed("Kafka does not answer: " + e.getCause(), e.getCause());
    } catch (TimeoutException e) {
      throw RegistryError.storeTimedOut("Kafka did not answer within " + TIMEOUT);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  /**
   * Writes a record and waits until it has been read back.
   *
   * @param value null for a tombstone
   */
  void write(JsonNode key, JsonNode value) {
    try {
      long offset =
          producer
              .send(
                  new ProducerRecord<>(
                      TOPIC, 0, format.bytes(key), value == null ? null : format.bytes(value)))
              .get(TIMEOUT.toSeconds(), TimeUnit.SECONDS)
              .offset();
      awaitPosition(offset + 1);
    } catch (ExecutionException e) {
      throw RegistryError.storeFailed("Kafka did not take the write: " + e.getCause(), e);
    } catch (TimeoutException e) {
      throw RegistryError.storeTimedOut("Kafka did not take the write within " + TIMEOUT);
    } catch (KafkaException e) {
      throw RegistryError.storeFailed("Kafka did not take the write: " + e, e);
    } catch (InterruptedException e) {
      throw interrupted(e);
    }
  }

  private void awaitPosition(long wanted) throws InterruptedException {
    long deadline = System.nanoTime() + TIMEOUT.toNanos();
    synchronized (progress) {
      while (position < wanted) {
        if (failure != null) {
          throw RegistryError.storeFailed("The reader of " + TOPIC + " has died: " + failure, null);
        }
        long left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        if (left <= 0) {
          throw RegistryError.storeTimedOut(
              TOPIC + " was read to offset " + position + " of " + wanted + " within " + TIMEOUT);
        }
        progress.wait(left);
      }
    }
  }

  private void read() {
    try (consumer) {
      consumer.assign(List.of(PARTITION));
      consumer.seekToBeginning(List.of(PARTITION));
      while (true) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
          apply(record);
        }
        advance();
      }
    } catch (WakeupException e) {
      LOG.debug("closed");
    } catch (RuntimeException e) {
      LOG.error("{}: no longer read", TOPIC, e);
      synchronized (progress) {
        failure = e;
        progress.notifyAll();
      }
    }
  }

  private void advance() {
    long next;
    try {
      next = consumer.position(PARTITION, Duration.ofSeconds(1));
    } catch (org.apache.kafka.common.errors.TimeoutException e) {
      return; // no broker has said yet where the topic begins: the next poll asks again
    }
    synchronized (progress) {
      position = next;
      progress.notifyAll();
    }
  }

  private void apply(ConsumerRecord<byte[], byte[]> record) {
    if (record.key() == null) {
      return; // a compacted topic has no such records, except when somebody else writes to it
    }
    try {
      state.apply(
          format.parse(record.key()), record.value() == null ? null : format.parse(record.value()));
    } catch (IOException | RegistryError e) {
      LOG.warn(
          "{}@{}: passed over, not a registry's record: {}",
          PARTITION,
          record.offset(),
          e.getMessage());
    }
  }

  private static RefluxException unreachable(String bootstrapServers, Throwable cause) {
    return new RefluxException(
        "kafka: "
            + bootstrapServers
            + " (expected: a reachable broker to keep schemas in): "
            + cause.getMessage(),
        cause);
  }

  private static RuntimeException interrupted(InterruptedException e) {
    Thread.currentThread().interrupt();
    return RegistryError.storeFailed("interrupted", e);
  }

  @Override
  public void close() {
    consumer.wakeup();
    boolean interrupted = false;
    try {
      reader.join(TIMEOUT.toMillis());
    } catch (InterruptedException e) {
      interrupted = true;
    }
    closeNow(admin, producer);
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static void closeNow(Admin admin, Producer<byte[], byte[]> producer) {
    if (producer != null) {
      producer.close(Duration.ZERO); // every write was waited for
    }
    if (admin != null) {
      admin.close(Duration.ZERO);
    }
  }
}
