package io.reflux.devstack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.KafkaConfig;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.TopicWriter;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.kafka.Undecodable;
import io.reflux.schemas.registry.RegistryConfig;
import io.reflux.schemas.service.RefluxException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The clients of {@code schemas} against a real broker and registry. */
@ExtendWith(SharedStack.class)
class KafkaClientsTest {
  private static DevStack stack;

  @BeforeAll
  static void connect(DevStack shared) {
    stack = shared;
  }

  private static KafkaClients clients(String prefix) {
    KafkaClients clients = stack.clients(prefix);
    clients.createTopics();
    return clients;
  }

  private static MirroredRequest request(String id, String prompt) {
    return MirroredRequest.newBuilder()
        .setRequestId(id)
        .setReceivedAt(Instant.ofEpochMilli(1))
        .setSource("test")
        .setPrompt(prompt)
        .build();
  }

  /** Reads until the condition holds, or twenty seconds have passed. */
  private static void readUntil(
      TopicReader<MirroredRequest> reader,
      List<Received<MirroredRequest>> received,
      List<Undecodable> undecodable,
      BooleanSupplier enough) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!enough.getAsBoolean() && System.nanoTime() < deadline) {
      received.addAll(reader.poll(Duration.ofMillis(100), undecodable::add));
    }
  }

  @Test
  void topicsAreCreatedOnceAsTheCatalogueSays() throws Exception {
    KafkaClients clients = clients("catalogue.");
    clients.createTopics();
    clients.requireReachable(Duration.ofSeconds(10));
    try (Admin admin = clients.admin()) {
      Map<String, TopicDescription> descriptions =
          admin
              .describeTopics(
                  Topics.all().stream().map(topic -> topic.fullName(clients.kafka())).toList())
              .allTopicNames()
              .get();
      assertThat(descriptions).hasSameSizeAs(Topics.all());
      Topics.all()
          .forEach(
              topic ->
                  assertThat(descriptions.get(topic.fullName(clients.kafka())).partitions())
                      .hasSize(topic.partitions()));
    }
    clients.registerSchemas();
    clients.registerSchemas();
    assertThat(clients.codec().registry().subjects())
        .contains("catalogue.requests-value", "catalogue.snapshot-chunks-value");
  }

  @Test
  void onlyCommittedTransactionsAreSeenAndAFencedProducerWritesNothing() {
    KafkaClients clients = clients("transactions.");
    try (Producer<String, byte[]> old = clients.transactionalProducer("old", "worker");
        Producer<String, byte[]> producer = clients.transactionalProducer("new", "worker")) {
      TopicWriter<MirroredRequest> oldWriter = clients.writer(Topics.REQUESTS, old);
      old.initTransactions();
      old.beginTransaction();
      oldWriter.send("k", request("aborted", "a")).join();
      old.abortTransaction();
      old.beginTransaction();
      oldWriter.send("k", request("fenced", "f")).join();

      TopicWriter<MirroredRequest> writer = clients.writer(Topics.REQUESTS, producer);
      producer.initTransactions(); // a successor takes over: the open transaction is given up
      producer.beginTransaction();
      writer.send("k", request("committed", "c")).join();
      producer.commitTransaction();
      assertThatThrownBy(old::commitTransaction).isNotNull();
    }
    List<Received<MirroredRequest>> received = new ArrayList<>();
    List<Undecodable> undecodable = new ArrayList<>();
    try (TopicReader<MirroredRequest> reader =
        clients
            .reader(Topics.REQUESTS, clients.consumer("reader", "readers", Map.of()))
            .subscribe()) {
      readUntil(reader, received, undecodable, () -> !received.isEmpty());
      received.addAll(reader.poll(Duration.ofMillis(300), undecodable::add));
    }
    assertThat(received).extracting(r -> r.value().getRequestId()).containsExactly("committed");
    assertThat(undecodable).isEmpty();
  }

  @Test
  void aRecordOfFiveMebibytesArrivesWholeAndItsPiecesAreCommittedTogether() {
    KafkaClients clients = clients("chunks.");
    Random random = new Random(1);
    String prompt =
        random
            .ints(5 << 20, ' ', '~')
            .collect(StringBuilder::new, (text, c) -> text.append((char) c), StringBuilder::append)
            .toString();
    try (Producer<String, byte[]> producer = clients.producer("writer")) {
      TopicWriter<MirroredRequest> writer = clients.writer(Topics.REQUESTS, producer);
      writer.send("same", request("before", "b")).join();
      writer.send("same", request("large", prompt)).join();
      writer.send("same", request("after", "a")).join();
    }
    List<Received<MirroredRequest>> received = new ArrayList<>();
    List<Undecodable> undecodable = new ArrayList<>();
    try (TopicReader<MirroredRequest> reader =
        clients
            .reader(
                Topics.REQUESTS,
                clients.consumer("reader", "readers", Map.of("max.poll.records", "1")))
            .subscribe()) {
      readUntil(reader, received, undecodable, () -> received.size() == 2);
      reader.consumer().commitSync(reader.positions());
    }
    assertThat(received).extracting(r -> r.value().getRequestId()).startsWith("before", "large");
    assertThat(received.get(1).value().getPrompt()).isEqualTo(prompt);

    received.clear(); // another member goes on behind what was committed
    try (TopicReader<MirroredRequest> reader =
        clients
            .reader(Topics.REQUESTS, clients.consumer("reader", "readers", Map.of()))
            .subscribe()) {
      readUntil(reader, received, undecodable, () -> !received.isEmpty());
    }
    assertThat(received).extracting(r -> r.value().getRequestId()).containsExactly("after");
    assertThat(undecodable).isEmpty();
  }

  @Test
  void whatIsNoRecordIsHandedOverWithItsCoordinates() throws Exception {
    KafkaClients clients = clients("garbage.");
    String topic = Topics.REQUESTS.fullName(clients.kafka());
    try (Producer<String, byte[]> producer = clients.producer("writer")) {
      producer.send(new ProducerRecord<>(topic, 2, "bad", new byte[] {1, 2, 3})).get();
      producer
          .send(new ProducerRecord<>(topic, 2, "unknown", new byte[] {0, 127, 0, 0, 0, 1}))
          .get();
      clients.writer(Topics.REQUESTS, producer).send("good", request("good", "g")).join();
    }
    List<Received<MirroredRequest>> received = new ArrayList<>();
    List<Undecodable> undecodable = new ArrayList<>();
    try (TopicReader<MirroredRequest> reader =
        clients.reader(Topics.REQUESTS, clients.consumer("reader", null, Map.of())).assignAll()) {
      readUntil(
          reader, received, undecodable, () -> received.size() == 1 && undecodable.size() == 2);
    }
    assertThat(received).extracting(r -> r.value().getRequestId()).containsExactly("good");
    assertThat(undecodable).extracting(Undecodable::topic).containsOnly(topic);
    assertThat(undecodable).extracting(Undecodable::partition).containsOnly(2);
    assertThat(undecodable).extracting(Undecodable::offset).containsExactly(0L, 1L);
    assertThat(undecodable).extracting(Undecodable::key).containsExactly("bad", "unknown");
  }

  @Test
  void anAbsentBrokerOrRegistryIsNamed() {
    int nobody = Ports.free(BrokerOptions.LOOPBACK);
    KafkaConfig kafka =
        new KafkaConfig() {
          @Override
          public String bootstrapServers() {
            return "127.0.0.1:" + nobody;
          }

          @Override
          public String prefix() {
            return "reflux.";
          }

          @Override
          public short replicationFactor() {
            return 1;
          }

          @Override
          public Map<String, String> properties() {
            return Map.of();
          }
        };
    Duration timeout = Duration.ofMillis(700);
    assertThatThrownBy(
            () -> new KafkaClients(kafka, stack.registryConfig()).requireReachable(timeout))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("127.0.0.1:" + nobody);

    String url = "http://127.0.0.1:" + nobody;
    RegistryConfig registry =
        new RegistryConfig() {
          @Override
          public String url() {
            return url;
          }

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
        };
    assertThatThrownBy(
            () ->
                new KafkaClients(stack.kafkaConfig(), registry)
                    .requireReachable(Duration.ofSeconds(10)))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining(url);
  }
}
