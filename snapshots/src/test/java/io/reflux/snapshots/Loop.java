package io.reflux.snapshots;

import io.reflux.devstack.DevStack;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.registry.RegistryConfig;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** One test's own topics on a broker that tests share. */
final class Loop {
  private final KafkaClients clients;

  private Loop(KafkaClients clients) {
    this.clients = clients;
  }

  static Loop on(DevStack stack) {
    String prefix = "t" + UUID.randomUUID().toString().substring(0, 8) + ".";
    KafkaClients clients = new KafkaClients(stack.kafkaConfig(prefix), stack.registryConfig());
    Loop loop = new Loop(clients);
    try (Admin admin = clients.admin()) {
      admin
          .createTopics(
              Stream.of(
                      Topics.SNAPSHOTS,
                      Topics.SNAPSHOT_CHUNKS,
                      Topics.SNAPSHOT_POINTERS,
                      Topics.FLEET_REPORTS)
                  .map(
                      topic ->
                          new NewTopic(loop.name(topic), topic.partitions(), (short) 1)
                              .configs(topic.settings()))
                  .toList())
          .all()
          .get();
    } catch (InterruptedException | ExecutionException e) {
      throw new AssertionError(e);
    }
    return loop;
  }

  /** The same topics, for somebody who finds the registry elsewhere. */
  Loop through(URI registry) {
    RegistryConfig config =
        new SmallRyeConfigBuilder()
            .withMapping(RegistryConfig.class)
            .withDefaultValue("reflux.registry.url", registry.toString())
            .build()
            .getConfigMapping(RegistryConfig.class);
    return new Loop(new KafkaClients(clients.kafka(), config));
  }

  KafkaClients clients() {
    return clients;
  }

  String name(Topic<?> topic) {
    return topic.fullName(clients.kafka());
  }

  List<ConsumerRecord<String, byte[]>> records(Topic<?> topic) {
    List<ConsumerRecord<String, byte[]>> records = new ArrayList<>();
    TopicScan.whole(clients, name(topic), records::add);
    return records;
  }

  void send(Topic<?> topic, String key, byte[] value) {
    try (Producer<String, byte[]> producer = clients.producer("test")) {
      ChunkSender.await(producer.send(new ProducerRecord<>(name(topic), key, value)));
    }
  }

  /**
   * Copies a topic to another loop.
   *
   * @param change of each record's value; null leaves the record out
   */
  void copyTo(Loop other, Topic<?> topic, UnaryOperator<ConsumerRecord<String, byte[]>> change) {
    for (ConsumerRecord<String, byte[]> record : records(topic)) {
      ConsumerRecord<String, byte[]> changed = change.apply(record);
      if (changed != null) {
        other.send(topic, changed.key(), changed.value());
      }
    }
  }

  static ConsumerRecord<String, byte[]> withValue(
      ConsumerRecord<String, byte[]> record, byte[] value) {
    return new ConsumerRecord<>(
        record.topic(), record.partition(), record.offset(), record.key(), value);
  }

  static Path file(Path directory, String path, int bytes, long seed) throws IOException {
    byte[] content = new byte[bytes];
    new Random(seed).nextBytes(content);
    Path file = directory.resolve(path);
    Files.createDirectories(file.getParent());
    return Files.write(file, content);
  }

  /** A directory with a weights file of so many bytes, and a small one that is always the same. */
  static Path model(Path root, int bytes, long seed) throws IOException {
    Path directory = root.resolve("model-" + seed);
    file(directory, "model.safetensors", bytes, seed);
    file(directory, "tokenizer.json", 1000, 0);
    return directory;
  }

  static SnapshotInfo info(long step) {
    return new SnapshotInfo(
        "student",
        "int8",
        "aa",
        "bb",
        "cc",
        "",
        step,
        1000 * step,
        320_000,
        Map.of("soft-labels-0", 17L, "soft-labels-1", 4L),
        Map.of("agreement", 0.93),
        42,
        "test");
  }
}
