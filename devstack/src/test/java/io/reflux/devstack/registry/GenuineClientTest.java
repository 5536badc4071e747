package io.reflux.devstack.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.devstack.DevStack;
import io.reflux.devstack.SharedStack;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.avro.AvroSchema;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.Config;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.entities.SchemaReference;
import org.apache.flink.avro.registry.confluent.shaded.io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumWriter;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecordBuilder;
import org.apache.flink.avro.shaded.org.apache.avro.io.BinaryEncoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.DecoderFactory;
import org.apache.flink.avro.shaded.org.apache.avro.io.EncoderFactory;
import org.apache.flink.formats.avro.registry.confluent.ConfluentSchemaRegistryCoder;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Confluent's own client and Avro coder, as Flink ships them, against registry and records. */
@ExtendWith(SharedStack.class)
class GenuineClientTest {
  private static final String ONE =
      "{\"type\":\"record\",\"name\":\"G\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}";
  private static final String TWO =
      "{\"type\":\"record\",\"name\":\"G\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
          + "{\"name\":\"b\",\"type\":[\"null\",\"string\"],\"default\":null}]}";
  private static final String OTHER =
      "{\"type\":\"record\",\"name\":\"G\",\"fields\":[{\"name\":\"a\",\"type\":\"string\"}]}";

  private static DevStack stack;

  @BeforeAll
  static void connect(DevStack shared) {
    stack = shared;
  }

  private static CachedSchemaRegistryClient client() {
    return new CachedSchemaRegistryClient(stack.registry().url(), 100);
  }

  @Test
  void registersReadsChecksAndDeletes() throws Exception {
    try (CachedSchemaRegistryClient client = client();
        CachedSchemaRegistryClient fresh = client()) {
      int id = client.register("solo", new AvroSchema(ONE));
      assertThat(fresh.getSchemaById(id).canonicalString()).isEqualTo(ONE);
      assertThat(fresh.getId("solo", new AvroSchema(ONE))).isEqualTo(id);
      assertThat(fresh.getVersion("solo", new AvroSchema(ONE))).isEqualTo(1);
      assertThat(fresh.getAllSubjectsById(id)).contains("solo");
      assertThat(fresh.getAllVersionsById(id)).isNotEmpty();

      assertThat(client.testCompatibility("solo", new AvroSchema(TWO))).isTrue();
      assertThat(client.testCompatibility("solo", new AvroSchema(OTHER))).isFalse();
      assertThat(client.testCompatibilityVerbose("solo", new AvroSchema(OTHER)))
          .anyMatch(message -> message.contains("TYPE_MISMATCH"));
      assertThatThrownBy(() -> client.register("solo", new AvroSchema(OTHER)))
          .isInstanceOfSatisfying(
              RestClientException.class,
              e -> {
                assertThat(e.getStatus()).isEqualTo(409);
                assertThat(e.getErrorCode()).isEqualTo(409);
              });

      client.updateConfig("solo", new Config("FULL_TRANSITIVE"));
      assertThat(client.getConfig("solo").getCompatibilityLevel()).isEqualTo("FULL_TRANSITIVE");
      int second = client.register("solo", new AvroSchema(TWO), true);
      assertThat(second).isNotEqualTo(id);
      assertThat(fresh.getLatestSchemaMetadata("solo").getVersion()).isEqualTo(2);
      assertThat(fresh.getSchemaMetadata("solo", 1).getId()).isEqualTo(id);
      assertThat(fresh.getAllVersions("solo")).containsExactly(1, 2);
      assertThat(fresh.getAllSubjects()).contains("solo");
      assertThat(fresh.getAllSubjectsByPrefix("sol"))
          .contains("solo")
          .allMatch(subject -> subject.startsWith("sol"));
      assertThat(fresh.getSchemas("solo", false, true)).hasSize(1);
      assertThat(client.getMode()).isEqualTo("READWRITE");

      assertThat(client.deleteSchemaVersion(Map.of(), "solo", "1", false)).isEqualTo(1);
      assertThat(client.deleteSubject("solo", false)).containsExactly(2);
      assertThat(client.deleteSubject("solo", true)).containsExactly(1, 2);
      assertThatThrownBy(() -> fresh.getAllVersions("solo"))
          .isInstanceOfSatisfying(
              RestClientException.class, e -> assertThat(e.getErrorCode()).isEqualTo(40401));
    }
  }

  @Test
  void resolvesReferences() throws Exception {
    String inner = "{\"type\":\"fixed\",\"name\":\"Hash\",\"namespace\":\"g\",\"size\":4}";
    String outer =
        "{\"type\":\"record\",\"name\":\"Holder\",\"namespace\":\"g\",\"fields\":[{\"name\":\"h\",\"type\":\"Hash\"}]}";
    try (CachedSchemaRegistryClient client = client();
        CachedSchemaRegistryClient fresh = client()) {
      client.register("genuine-inner", new AvroSchema(inner));
      List<SchemaReference> references = List.of(new SchemaReference("g.Hash", "genuine-inner", 1));
      int id =
          client.register(
              "genuine-outer", new AvroSchema(outer, references, Map.of("g.Hash", inner), null));
      AvroSchema read = (AvroSchema) fresh.getSchemaById(id);
      assertThat(read.references()).isEqualTo(references);
      assertThat(read.rawSchema().getField("h").schema().getFixedSize()).isEqualTo(4);
    }
  }

  @Test
  void authenticates() throws Exception {
    RegistryOptions options = RegistryOptions.loopback(0).withBasicAuth("ann", "s3cret");
    try (EmbeddedRegistry guarded =
            EmbeddedRegistry.start(stack.broker().bootstrapServers(), options);
        CachedSchemaRegistryClient anonymous = new CachedSchemaRegistryClient(guarded.url(), 10);
        CachedSchemaRegistryClient ann =
            new CachedSchemaRegistryClient(
                guarded.url(),
                10,
                Map.of(
                    "basic.auth.credentials.source",
                    "USER_INFO",
                    "basic.auth.user.info",
                    "ann:s3cret"))) {
      assertThat(ann.getAllSubjects()).isNotNull();
      assertThatThrownBy(anonymous::getAllSubjects)
          .isInstanceOfSatisfying(
              RestClientException.class, e -> assertThat(e.getStatus()).isEqualTo(401));
    }
  }

  private static SnapshotPointer pointer() {
    return SnapshotPointer.newBuilder()
        .setChannel("stable")
        .setVersion(7)
        .setManifestSha256("ab")
        .setMovedAt(Instant.ofEpochMilli(1_700_000_000_123L))
        .setReason("gate passed")
        .build();
  }

  @Test
  void theGenuineCoderReadsOurRecords() throws Exception {
    KafkaClients clients = stack.clients("genuine-reads.");
    clients.createTopics();
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    try (Producer<String, byte[]> producer = clients.producer("ours")) {
      clients.writer(Topics.SNAPSHOT_POINTERS, producer).send("stable", pointer()).join();
    }
    byte[] bytes = readOne(clients, topic);
    try (CachedSchemaRegistryClient client = client()) {
      ByteArrayInputStream in = new ByteArrayInputStream(bytes);
      Schema written = new ConfluentSchemaRegistryCoder(client).readSchema(in);
      GenericRecord record =
          new GenericDatumReader<GenericRecord>(written)
              .read(null, DecoderFactory.get().directBinaryDecoder(in, null));
      assertThat(in.available()).isZero();
      assertThat(record.getSchema().getFullName())
          .isEqualTo("io.reflux.schemas.avro.SnapshotPointer");
      assertThat(record.get("channel")).hasToString("stable");
      assertThat(record.get("version")).isEqualTo(7L);
      assertThat(record.get("moved_at")).isEqualTo(1_700_000_000_123L);
      assertThat(record.get("reason")).hasToString("gate passed");
    }
  }

  private static byte[] readOne(KafkaClients clients, String topic) throws IOException {
    try (Consumer<String, byte[]> consumer = clients.consumer("raw", "raw", Map.of())) {
      consumer.subscribe(List.of(topic));
      long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (System.nanoTime() < deadline) {
        for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(200))) {
          return record.value();
        }
      }
    }
    throw new IOException("nothing in " + topic);
  }

  @Test
  void weReadRecordsOfTheGenuineCoder() throws Exception {
    KafkaClients clients = stack.clients("genuine-writes.");
    clients.createTopics();
    clients.registerSchemas();
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    try (CachedSchemaRegistryClient client = client();
        Producer<String, byte[]> producer = clients.producer("theirs")) {
      Schema schema = new Schema.Parser().parse(SnapshotPointer.getClassSchema().toString());
      GenericRecord record =
          new GenericRecordBuilder(schema)
              .set("channel", "stable")
              .set("version", 7L)
              .set("manifest_sha256", "ab")
              .set("moved_at", 1_700_000_000_123L)
              .set("reason", "gate passed")
              .build();
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      new ConfluentSchemaRegistryCoder(topic + "-value", client).writeSchema(schema, out);
      BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
      new GenericDatumWriter<GenericRecord>(schema).write(record, encoder);
      encoder.flush();
      producer.send(new ProducerRecord<>(topic, "stable", out.toByteArray())).get();
    }
    List<Received<SnapshotPointer>> received = new ArrayList<>();
    try (TopicReader<SnapshotPointer> reader =
        clients
            .reader(Topics.SNAPSHOT_POINTERS, clients.consumer("ours", null, Map.of()))
            .assignAll()) {
      long deadline = System.nanoTime() + Duration.ofSeconds(20).toNanos();
      while (received.isEmpty() && System.nanoTime() < deadline) {
        received.addAll(
            reader.poll(
                Duration.ofMillis(200),
                undecodable -> {
                  throw new AssertionError(undecodable.toString());
                }));
      }
    }
    assertThat(received).extracting(Received::value).containsExactly(pointer());
  }
}
