package io.reflux.schemas.kafka;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.reflux.schemas.Records;
import io.reflux.schemas.avro.DeadLetter;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.registry.RegistryConfig;
import io.reflux.schemas.registry.TestRegistry;
import io.reflux.schemas.service.RefluxException;
import io.smallrye.config.SmallRyeConfig;
import io.smallrye.config.SmallRyeConfigBuilder;
import java.io.IOException;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.Map;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class KafkaClientsTest {
  private static final byte[] TRACE =
      "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".getBytes(US_ASCII);

  private TestRegistry registry;

  @BeforeEach
  void start() {
    registry = TestRegistry.start();
  }

  @AfterEach
  void stop() {
    registry.close();
  }

  private KafkaClients clients(String bootstrapServers) {
    return new KafkaClients(TestKafkaConfig.of(bootstrapServers), registry.config());
  }

  private static String freePort() throws IOException {
    try (ServerSocket socket = new ServerSocket(0)) {
      return "127.0.0.1:" + socket.getLocalPort();
    }
  }

  @Test
  void defaultsAreWhatTheDocsSay() {
    SmallRyeConfig config =
        new SmallRyeConfigBuilder()
            .withMapping(KafkaConfig.class)
            .withMapping(RegistryConfig.class)
            .withDefaultValue("reflux.kafka.properties.\"security.protocol\"", "SASL_SSL")
            .build();
    KafkaConfig kafka = config.getConfigMapping(KafkaConfig.class);
    RegistryConfig registryConfig = config.getConfigMapping(RegistryConfig.class);

    assertThat(kafka.bootstrapServers()).isEqualTo("localhost:9092");
    assertThat(kafka.prefix()).isEqualTo("reflux.");
    assertThat(kafka.replicationFactor()).isEqualTo((short) 1);
    assertThat(kafka.properties()).containsExactly(Map.entry("security.protocol", "SASL_SSL"));
    assertThat(registryConfig.url()).isEqualTo("http://localhost:8081");
    assertThat(registryConfig.username()).isEmpty();
    assertThat(registryConfig.truststore()).isEmpty();
  }

  @Test
  void brokersAwayAreOneLineWithTheirAddress() throws IOException {
    String address = freePort();

    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> clients(address).requireReachable(Duration.ofMillis(500)))
        .withMessage(
            "Kafka %s: no answer within 500 ms"
                + " (expected: a broker there, see reflux.kafka.bootstrap-servers)",
            address);
  }

  @Test
  void settingsThatDoNotHoldAreOneLine() {
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> clients("no-port").producer("p"))
        .withMessageStartingWith("Kafka no-port: Invalid url")
        .withMessageContaining("reflux.kafka");
    KafkaConfig broken =
        new TestKafkaConfig("127.0.0.1:1", "t.", (short) 1, Map.of("linger.ms", "soon"));
    assertThatExceptionOfType(RefluxException.class)
        .isThrownBy(() -> new KafkaClients(broken, registry.config()).producer("p"))
        .withMessageContaining("linger.ms");
  }

  @Test
  void clientsOpenWithoutABroker() throws IOException {
    KafkaClients clients = clients(freePort());
    try (Producer<String, byte[]> producer = clients.producer("p");
        Producer<String, byte[]> transactional = clients.transactionalProducer("p", "id");
        Consumer<String, byte[]> member = clients.consumer("c", "group", Map.of());
        Consumer<String, byte[]> loner =
            clients.consumer("c", null, Map.of("max.poll.records", "1"))) {
      assertThat(member.groupMetadata().groupId()).isEqualTo("t.group");
      assertThat(loner.assignment()).isEmpty();
      assertThat(producer).isNotSameAs(transactional);
      producer.close(Duration.ZERO);
      transactional.close(Duration.ZERO);
    }
  }

  @Test
  void settingsOfTheUserReachTheClientsTheyAreFor() {
    KafkaConfig kafka =
        new TestKafkaConfig(
            "h:1",
            "t.",
            (short) 3,
            Map.of("security.protocol", "SSL", "consumer.fetch.min.bytes", "7"));
    Map<String, Object> streams =
        new KafkaClients(kafka, registry.config()).streamsProperties("drift");

    assertThat(streams)
        .containsEntry("application.id", "t.drift")
        .containsEntry("bootstrap.servers", "h:1")
        .containsEntry("security.protocol", "SSL")
        .containsEntry("consumer.fetch.min.bytes", "7")
        .containsEntry("replication.factor", "3")
        .containsEntry("processing.guarantee", "exactly_once_v2");
  }

  @Test
  void schemasOfTheWholeCatalogueAreRegistered() {
    KafkaClients clients = clients("127.0.0.1:1");

    clients.registerSchemas();

    assertThat(clients.codec().registry().subjects())
        .hasSize(Topics.all().size())
        .contains("t.requests-value", "t.snapshot-chunks-value");
    assertThat(registry.requests()).contains("PUT /config/t.requests-value");
  }

  @Test
  void serdeKeepsNullAndRefusesPoison() {
    try (Serde<MirroredRequest> serde = clients("127.0.0.1:1").serde(MirroredRequest.class)) {
      MirroredRequest request = Records.request("r", "p");
      byte[] bytes = serde.serializer().serialize("x", request);

      assertThat(serde.deserializer().deserialize("x", bytes)).isEqualTo(request);
      assertThat(serde.serializer().serialize("x", null)).isNull();
      assertThat(serde.deserializer().deserialize("x", null)).isNull();
      assertThatExceptionOfType(SerializationException.class)
          .isThrownBy(() -> serde.deserializer().deserialize("x", new byte[] {1}));
    }
  }

  @Test
  void deadLettersCarryTheRecordCutAtItsLimit() throws Exception {
    KafkaClients clients = clients("127.0.0.1:1");
    MockProducer<String, byte[]> producer =
        new MockProducer<>(true, null, new StringSerializer(), new ByteArraySerializer());
    DeadLetters letters = new DeadLetters("scorer", clients, producer);

    letters
        .send(new Undecodable("t.requests", 1, 7, null, new byte[700_000], "bad_magic", "no"), 3)
        .join();
    letters
        .send(
            new Received<>(
                "t.requests",
                0,
                9,
                0,
                "k",
                Records.request("r", "p"),
                new RecordHeaders().add("traceparent", TRACE).add("secret", new byte[] {2})),
            "tokenizer_mismatch",
            "one line",
            1)
        .join();

    DeadLetter cut = letter(clients, producer, 0);
    assertThat(producer.history().get(0).key()).isEqualTo("t.requests/1/7");
    assertThat(producer.history()).hasSize(2);
    assertThat(cut.getValue().remaining()).isEqualTo(DeadLetters.MAX_VALUE_BYTES);
    assertThat(cut.getValueSize()).isEqualTo(700_000);
    assertThat(cut.getAttempts()).isEqualTo(3);
    DeadLetter whole = letter(clients, producer, 1);
    byte[] value = new byte[whole.getValue().remaining()];
    whole.getValue().get(value);
    assertThat(clients.codec().decode("t.requests", value, MirroredRequest.class).getRequestId())
        .isEqualTo("r");
    assertThat(whole.getReason()).isEqualTo("tokenizer_mismatch");
    assertThat(producer.history().get(1).headers())
        .containsExactly(new RecordHeader("traceparent", TRACE));
  }

  private static DeadLetter letter(
      KafkaClients clients, MockProducer<String, byte[]> producer, int index) throws Exception {
    return clients
        .codec()
        .decode("t.dead-letters", producer.history().get(index).value(), DeadLetter.class);
  }

  @Test
  void catalogueFitsBrokersAsTheyCome() {
    for (Topic<?> topic : Topics.all()) {
      boolean raised = topic.settings().containsKey("max.message.bytes");
      assertThat(raised).as(topic.name()).isEqualTo(topic.equals(Topics.SNAPSHOT_CHUNKS));
      assertThat(topic.maxRecordBytes()).isLessThan(TopicWriter.MAX_VALUE_BYTES);
    }
    assertThat(Topics.SNAPSHOT_CHUNKS.settings())
        .containsEntry("cleanup.policy", "compact")
        .containsEntry("retention.ms", "-1");
    assertThat(Topics.STATUS.settings()).containsEntry("cleanup.policy", "compact,delete");
    assertThat(Topics.REQUESTS.fullName(TestKafkaConfig.of("h:1"))).isEqualTo("t.requests");
  }
}
