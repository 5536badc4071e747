package io.reflux.devstack.registry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.reflux.devstack.DevStack;
import io.reflux.devstack.SharedStack;
import io.reflux.schemas.service.RefluxException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@ExtendWith(SharedStack.class)
class RegistryRestTest {
  private static final String ONE =
      "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"}]}";
  private static final String OPTIONAL_ADDED =
      "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
          + "{\"name\":\"b\",\"type\":\"int\",\"default\":7}]}";
  private static final String REQUIRED_ADDED =
      "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},"
          + "{\"name\":\"c\",\"type\":\"int\"}]}";
  private static final String TYPE_CHANGED =
      "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"t\",\"fields\":[{\"name\":\"a\",\"type\":\"string\"}]}";
  private static final String EMPTY =
      "{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"t\",\"fields\":[]}";

  private static DevStack stack;
  private static Rest rest;

  @BeforeAll
  static void connect(DevStack shared) {
    stack = shared;
    rest = new Rest(shared.registry().url());
  }

  @Test
  void equalSchemasShareOneIdAndOneVersion() {
    int id = rest.register("share-a", ONE);
    assertThat(rest.register("share-a", ONE)).isEqualTo(id);
    assertThat(rest.register("share-b", ONE)).isEqualTo(id);
    String spaced = ONE.replace(":", " : ").replace(",", " ,\n ");
    assertThat(rest.register("share-a", spaced)).isEqualTo(id);

    rest.get("/subjects/share-a/versions").is("[1]");
    JsonNode version = rest.get("/subjects/share-a/versions/latest").json();
    assertThat(version.get("subject").asText()).isEqualTo("share-a");
    assertThat(version.get("version").asInt()).isEqualTo(1);
    assertThat(version.get("id").asInt()).isEqualTo(id);
    assertThat(version.get("schema").asText()).isEqualTo(ONE);
    assertThat(version.has("schemaType")).isFalse();
    assertThat(rest.get("/subjects/share-a/versions/-1").json()).isEqualTo(version);
    assertThat(rest.get("/subjects/share-a/versions/1").json()).isEqualTo(version);
    assertThat(rest.get("/subjects/share-a/versions/1/schema").text()).isEqualTo(ONE);
    assertThat(rest.post("/subjects/share-a", Rest.body(spaced)).json()).isEqualTo(version);

    assertThat(rest.get("/schemas/ids/" + id).json().get("schema").asText()).isEqualTo(ONE);
    assertThat(rest.get("/schemas/ids/" + id + "/schema").text()).isEqualTo(ONE);
    assertThat(rest.get("/schemas/ids/" + id + "/subjects").text())
        .contains("\"share-a\",\"share-b\"");
    assertThat(rest.get("/schemas/ids/" + id + "/versions").text())
        .contains("{\"subject\":\"share-a\",\"version\":1}");
    assertThat(rest.get("/schemas/ids/" + id + "?fetchMaxId=true").json().get("maxId").asInt())
        .isGreaterThanOrEqualTo(id);
    rest.get("/subjects?subjectPrefix=share-").is("[\"share-a\",\"share-b\"]");
    rest.get("/subjects?subjectPrefix=share-&offset=1&limit=5").is("[\"share-b\"]");
    rest.get("/schemas/types").is("[\"AVRO\"]");
    assertThat(rest.get("/schemas?subjectPrefix=share-&latestOnly=true").json()).hasSize(2);
  }

  @Test
  void normalisationUnitesWhatMeansTheSame() {
    String propertiesFirst =
        "{\"zeta\":{\"y\":1,\"x\":2},\"name\":\"t.N\",\"type\":\"record\",\"alpha\":1,\"aliases\":[\"B\",\"A\"],"
            + "\"fields\":[{\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\"]},\"name\":\"e\"},"
            + "{\"name\":\"f\",\"type\":\"t.E\"}]}";
    String otherOrder =
        "{\"type\":\"record\",\"name\":\"N\",\"namespace\":\"t\",\"aliases\":[\"t.A\",\"t.B\"],\"alpha\":1,"
            + "\"fields\":[{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"t.E\",\"symbols\":[\"X\"]}},"
            + "{\"name\":\"f\",\"type\":\"E\"}],\"zeta\":{\"x\":2,\"y\":1}}";
    String path = "/subjects/normal/versions?normalize=true";
    int id = rest.post(path, Rest.body(propertiesFirst)).json().get("id").asInt();
    assertThat(rest.post(path, Rest.body(otherOrder)).json().get("id").asInt()).isEqualTo(id);
    assertThat(
            rest.post("/subjects/normal?normalize=true", Rest.body(otherOrder))
                .json()
                .get("id")
                .asInt())
        .isEqualTo(id);
    rest.post("/subjects/normal", Rest.body(otherOrder)).fails(404, 40403);

    rest.put("/config/normal-by-config", "{\"normalize\":true}").is("{\"normalize\":true}");
    int other = rest.register("normal-by-config", propertiesFirst);
    assertThat(other).isEqualTo(id);
    assertThat(rest.register("normal-by-config", otherOrder)).isEqualTo(id);
    // The normal form is a schema, and its own normal form.
    String text = rest.get("/schemas/ids/" + id + "/schema").text();
    assertThat(rest.register("normal-by-config", text)).isEqualTo(id);
  }

  /**
   * Adding an optional field, adding a required one, changing a type; then the same transitively.
   */
  @ParameterizedTest
  @CsvSource({
    "NONE,                true,  true,  true,  true",
    "BACKWARD,            true,  false, false, true",
    "BACKWARD_TRANSITIVE, true,  false, false, false",
    "FORWARD,             true,  true,  false, true",
    "FORWARD_TRANSITIVE,  true,  true,  false, true",
    "FULL,                true,  false, false, true",
    "FULL_TRANSITIVE,     true,  false, false, false",
  })
  void everyLevelAcceptsWhatItShould(
      String level, boolean optional, boolean required, boolean changed, boolean afterGap) {
    String subject = "level-" + level;
    rest.put(
        "/config/" + subject, "{\"compatibility\":\"" + level.toLowerCase(Locale.ROOT) + "\"}");
    rest.get("/config/" + subject).is("{\"compatibilityLevel\":\"" + level + "\"}");
    rest.register(subject, ONE);
    assertThat(compatible(subject, OPTIONAL_ADDED)).isEqualTo(optional);
    assertThat(compatible(subject, REQUIRED_ADDED)).isEqualTo(required);
    assertThat(compatible(subject, TYPE_CHANGED)).isEqualTo(changed);
    if (!changed) {
      JsonNode error =
          rest.post("/subjects/" + subject + "/versions", Rest.body(TYPE_CHANGED))
              .fails(409, 409)
              .json();
      assertThat(error.get("message").asText())
          .contains("incompatible with an earlier schema for subject \"" + subject + "\"")
          .contains("TYPE_MISMATCH");
    }

    // a:int → (nothing) → a:string: only the first version minds.
    rest.put("/config/" + subject, "{\"compatibility\":\"NONE\"}");
    rest.register(subject, EMPTY);
    rest.put("/config/" + subject, "{\"compatibility\":\"" + level + "\"}");
    String optionalText = TYPE_CHANGED.replace("\"string\"", "\"string\",\"default\":\"\"");
    boolean transitive = level.endsWith("TRANSITIVE");
    assertThat(compatible(subject, optionalText)).isEqualTo(!transitive);
    assertThat(afterGap || transitive).isTrue();
  }

  private static boolean compatible(String subject, String schema) {
    return rest.post("/compatibility/subjects/" + subject + "/versions", Rest.body(schema))
        .json()
        .get("is_compatible")
        .asBoolean();
  }

  @Test
  void compatibilityOfOneVersionAndVerbosity() {
    rest.register("verbose", ONE);
    String path = "/compatibility/subjects/verbose/versions/";
    rest.post(path + "latest", Rest.body(OPTIONAL_ADDED)).is("{\"is_compatible\":true}");
    rest.post(path + "1?verbose=true", Rest.body(OPTIONAL_ADDED))
        .is("{\"is_compatible\":true,\"messages\":[]}");
    JsonNode bad = rest.post(path + "latest?verbose=true", Rest.body(REQUIRED_ADDED)).json();
    assertThat(bad.get("is_compatible").asBoolean()).isFalse();
    assertThat(bad.get("messages").toString())
        .contains("READER_FIELD_MISSING_DEFAULT_VALUE")
        .contains("oldSchemaVersion: 1")
        .contains("compatibility: 'BACKWARD'");
    rest.post(path + "9", Rest.body(ONE)).fails(404, 40402);
    rest.post("/compatibility/subjects/nobody/versions/latest", Rest.body(ONE))
        .is("{\"is_compatible\":true}");
  }

  @Test
  void deletionIsSoftThenPermanent() {
    int first = rest.register("gone", ONE);
    int second = rest.register("gone", OPTIONAL_ADDED);
    rest.put("/config/gone", "{\"compatibility\":\"FULL\"}");

    rest.delete("/subjects/gone/versions/1?permanent=true").fails(404, 40407);
    rest.delete("/subjects/gone/versions/1").is("1");
    rest.delete("/subjects/gone/versions/1").fails(404, 40406);
    rest.get("/subjects/gone/versions").is("[2]");
    rest.get("/subjects/gone/versions?deleted=true").is("[1,2]");
    rest.get("/subjects/gone/versions/1").fails(404, 40402);
    assertThat(rest.get("/subjects/gone/versions/1?deleted=true").json().get("deleted").asBoolean())
        .isTrue();
    // Records written with it stay readable, and it comes back under its id as a new version.
    assertThat(rest.get("/schemas/ids/" + first).status()).isEqualTo(200);
    assertThat(rest.register("gone", ONE)).isEqualTo(first);
    rest.get("/subjects/gone/versions").is("[2,3]");

    rest.delete("/subjects/gone?permanent=true").fails(404, 40405);
    rest.delete("/subjects/gone").is("[2,3]");
    rest.delete("/subjects/gone").fails(404, 40404);
    rest.get("/subjects/gone/versions").fails(404, 40401);
    rest.get("/config/gone").fails(404, 40408);
    assertThat(rest.get("/subjects?subjectPrefix=gone").json()).isEmpty();
    rest.get("/subjects?subjectPrefix=gone&deletedOnly=true").is("[\"gone\"]");
    rest.delete("/subjects/gone?permanent=true").is("[1,2,3]");
    rest.delete("/subjects/gone?permanent=true").fails(404, 40401);
    assertThat(rest.register("gone", OPTIONAL_ADDED)).isGreaterThanOrEqualTo(second);
  }

  @Test
  void referencesResolveAndProtect() {
    String inner =
        "{\"type\":\"enum\",\"name\":\"Colour\",\"namespace\":\"t.x\",\"symbols\":[\"RED\"]}";
    String outer =
        "{\"type\":\"record\",\"name\":\"Car\",\"namespace\":\"t.y\",\"fields\":[{\"name\":\"colour\",\"type\":\"t.x.Colour\"}]}";
    rest.register("ref-inner", inner);
    rest.post("/subjects/ref-outer/versions", Rest.body(outer)).fails(422, 42201);
    String body =
        "{\"schema\":"
            + Rest.MAPPER.getNodeFactory().textNode(outer)
            + ",\"references\":[{\"name\":\"t.x.Colour\",\"subject\":\"ref-inner\",\"version\":%d}]}";
    assertThat(
            rest.post("/subjects/ref-outer/versions", body.formatted(4))
                .fails(422, 42201)
                .json()
                .get("message")
                .asText())
        .contains("\"ref-inner\" and version 4");
    int id = rest.post("/subjects/ref-outer/versions", body.formatted(1)).json().get("id").asInt();
    JsonNode stored = rest.get("/schemas/ids/" + id).json();
    assertThat(stored.get("schema").asText()).isEqualTo(outer);
    assertThat(stored.get("references").get(0).get("subject").asText()).isEqualTo("ref-inner");
    rest.get("/subjects/ref-inner/versions/1/referencedby").is("[" + id + "]");
    rest.delete("/subjects/ref-inner").fails(422, 42206);
    rest.delete("/subjects/ref-inner/versions/latest").fails(422, 42206);
    // Also a later version is compared with what the reference stands for.
    String changed = outer.replace("\"t.x.Colour\"", "[\"null\",\"t.x.Colour\"]");
    String changedBody =
        body.formatted(1).replace("\\\"t.x.Colour\\\"", "[\\\"null\\\",\\\"t.x.Colour\\\"]");
    assertThat(changedBody).contains("null").isNotEqualTo(body.formatted(1));
    assertThat(rest.post("/subjects/ref-outer/versions", changedBody).status()).isEqualTo(200);
    assertThat(rest.get("/subjects/ref-outer/versions/2").json().get("schema").asText())
        .isEqualTo(changed);
    rest.delete("/subjects/ref-outer");
    rest.delete("/subjects/ref-inner").is("[1]");
  }

  @Test
  void modesAndGlobalConfiguration() {
    rest.get("/config").is("{\"compatibilityLevel\":\"BACKWARD\"}");
    rest.get("/config/unset?defaultToGlobal=true").is("{\"compatibilityLevel\":\"BACKWARD\"}");
    rest.get("/config/unset").fails(404, 40408);
    rest.put("/config", "{\"compatibility\":\"NEARLY\"}").fails(422, 42203);
    rest.put("/config", "{}").fails(422, 42203);
    rest.put("/config", "{\"alias\":\"x\"}").fails(422, 422);
    rest.delete("/config/unset").fails(404, 40401);
    rest.put("/config/own", "{\"compatibility\":\"NONE\"}").is("{\"compatibility\":\"NONE\"}");
    rest.delete("/config/own").is("{\"compatibilityLevel\":\"NONE\"}");

    rest.get("/mode").is("{\"mode\":\"READWRITE\"}");
    rest.get("/mode/still").fails(404, 40409);
    rest.register("still", ONE);
    rest.put("/mode/still", "{\"mode\":\"READONLY\"}").is("{\"mode\":\"READONLY\"}");
    rest.post("/subjects/still/versions", Rest.body(OPTIONAL_ADDED)).fails(422, 42205);
    rest.delete("/subjects/still").fails(422, 42205);
    rest.register("still", ONE); // what is there is found
    rest.delete("/mode/still").is("{\"mode\":\"READONLY\"}");
    rest.register("still", OPTIONAL_ADDED);
    rest.put("/mode", "{\"mode\":\"IMPORT\"}").fails(422, 42204);
  }

  @Test
  void mistakesGetCodesNotStackTraces() {
    String path = "/subjects/bad/versions";
    rest.post(path, "{\"schema\":").fails(400, 400);
    rest.post(path, "").fails(400, 400);
    rest.post(path, "[1]").fails(400, 400);
    rest.post(path, "{\"schema\":{}}").fails(422, 422);
    rest.post(path, "{}").fails(422, 42201);
    rest.post(path, Rest.body("{\"type\":\"recrod\"}")).fails(422, 42201);
    rest.post(path, Rest.body("not json")).fails(422, 42201);
    rest.post(path, Rest.body("[".repeat(50_000))).fails(422, 42201);
    rest.post(path, Rest.body(ONE.replace("\"int\"", "\"int\",\"default\":\"x\"")))
        .fails(422, 42201);
    rest.post(path, "{\"schemaType\":\"PROTOBUF\",\"schema\":\"syntax\"}").fails(422, 42201);
    rest.post(path, "{\"id\":5,\"schema\":\"\\\"int\\\"\"}").fails(422, 42205);
    rest.post("/subjects/%20/versions", Rest.body(ONE)).fails(422, 42208);
    rest.post("/subjects/__GLOBAL/versions", Rest.body(ONE)).fails(422, 42208);
    rest.get("/subjects/bad/versions").fails(404, 40401);
    rest.get("/subjects/bad/versions/1").fails(404, 40401);
    for (String version : List.of("0", "-2", "first", "99999999999")) {
      rest.get("/subjects/bad/versions/" + version).fails(422, 42202);
    }
    rest.get("/schemas/ids/100000").fails(404, 40403);
    rest.get("/schemas/ids/100000/versions").fails(404, 40403);
    rest.get("/schemas/ids/many").fails(404, 404);
    rest.get("/associations/resources/x?resourceType=topic").fails(404, 404);
    rest.get("/subjects/bad/versions/1/unknown").fails(404, 404);
    rest.put("/subjects", "{}").fails(405, 405);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"with%20space", "with%2Fslash", "per%25cent", "%C3%A9t%C3%A9", "a:b.c_d-e", "a+b"})
  void subjectNamesMayBeOdd(String encoded) {
    int id = rest.register(encoded, ONE);
    JsonNode version = rest.get("/subjects/" + encoded + "/versions/1").json();
    assertThat(version.get("id").asInt()).isEqualTo(id);
    String name = java.net.URI.create("/" + encoded).getPath().substring(1);
    assertThat(version.get("subject").asText()).isEqualTo(name);
  }

  @Test
  void metadataNamesTheCluster() {
    rest.get("/").is("{}");
    JsonNode id = rest.get("/v1/metadata/id").json();
    assertThat(id.at("/scope/clusters/kafka-cluster").asText())
        .isEqualTo(stack.broker().clusterId());
    assertThat(rest.get("/v1/metadata/version").json().has("version")).isTrue();
  }

  @Test
  void manyClientsAtOnceNeverShareAnIdOrAVersion() throws Exception {
    int threads = 6;
    int schemas = 5;
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      rest.put("/config/race", "{\"compatibility\":\"NONE\"}");
      List<Future<List<Integer>>> answers = new ArrayList<>();
      for (int t = 0; t < threads; t++) {
        answers.add(
            pool.submit(
                () -> {
                  List<Integer> ids = new ArrayList<>();
                  for (int i = 0; i < schemas; i++) {
                    ids.add(rest.register("race", ONE.replace("\"R\"", "\"R" + i + "\"")));
                  }
                  return ids;
                }));
      }
      List<Integer> expected = answers.get(0).get(30, TimeUnit.SECONDS);
      for (Future<List<Integer>> answer : answers) {
        assertThat(answer.get(30, TimeUnit.SECONDS)).isEqualTo(expected);
      }
      assertThat(new HashSet<>(expected)).hasSize(schemas);
      rest.get("/subjects/race/versions").is("[1,2,3,4,5]");
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  void anotherRegistryOnTheSameTopicAnswersTheSame() {
    rest.register("kept", ONE);
    rest.register("kept", OPTIONAL_ADDED);
    rest.delete("/subjects/kept/versions/1");
    rest.put("/config/kept", "{\"compatibility\":\"FORWARD\"}");
    rest.register("kept-not", ONE);
    rest.delete("/subjects/kept-not");
    rest.register("kept-never", ONE);
    rest.delete("/subjects/kept-never");
    rest.delete("/subjects/kept-never?permanent=true");
    try (EmbeddedRegistry again = EmbeddedRegistry.start(stack.broker().bootstrapServers(), 0)) {
      Rest other = new Rest(again.url());
      for (String path :
          List.of(
              "/schemas?deleted=true",
              "/subjects?deleted=true",
              "/subjects/kept/versions/2",
              "/subjects/kept-not/versions/1?deleted=true",
              "/config/kept")) {
        assertThat(other.get(path)).isEqualTo(rest.get(path));
      }
      other.get("/subjects/kept-never/versions?deleted=true").fails(404, 40401);
      assertThat(other.register("kept-too", ONE)).isEqualTo(rest.register("kept-too", ONE));
    }
  }

  @Test
  void writesWhatConfluentsRegistryWrites() {
    rest.put("/config/format", "{\"compatibility\":\"FULL\"}");
    int id = rest.register("format", ONE);
    rest.put("/mode/format", "{\"mode\":\"READWRITE\"}");
    rest.delete("/subjects/format");
    rest.delete("/subjects/format?permanent=true");
    List<String> records = new ArrayList<>();
    try (KafkaConsumer<String, String> consumer =
        new KafkaConsumer<>(
            Map.of("bootstrap.servers", stack.broker().bootstrapServers()),
            new StringDeserializer(),
            new StringDeserializer())) {
      TopicPartition partition = new TopicPartition("_schemas", 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      while (consumer.position(partition) < end) {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
          if (record.key().contains("\"subject\":\"format\"")) {
            records.add(record.key() + " " + record.value());
          }
        }
      }
    }
    String text = Rest.MAPPER.getNodeFactory().textNode(ONE).toString();
    String key = "{\"keytype\":\"SCHEMA\",\"subject\":\"format\",\"version\":1,\"magic\":1} ";
    assertThat(records)
        .containsExactly(
            "{\"keytype\":\"CONFIG\",\"subject\":\"format\",\"magic\":0} {\"compatibilityLevel\":\"FULL\"}",
            key
                + "{\"subject\":\"format\",\"version\":1,\"id\":"
                + id
                + ",\"schema\":"
                + text
                + ",\"deleted\":false}",
            "{\"keytype\":\"MODE\",\"subject\":\"format\",\"magic\":0} {\"mode\":\"READWRITE\"}",
            "{\"keytype\":\"DELETE_SUBJECT\",\"subject\":\"format\",\"magic\":0}"
                + " {\"subject\":\"format\",\"version\":1}",
            "{\"keytype\":\"CONFIG\",\"subject\":\"format\",\"magic\":0} null",
            "{\"keytype\":\"MODE\",\"subject\":\"format\",\"magic\":0} null",
            key + "null");
  }

  @Test
  void takesOverWhatAnotherRegistryWroteAndPassesOverGarbage() throws Exception {
    try (KafkaProducer<String, String> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", stack.broker().bootstrapServers()),
            new StringSerializer(),
            new StringSerializer())) {
      producer.send(new ProducerRecord<>("_schemas", "not json", "at all")).get();
      producer
          .send(new ProducerRecord<>("_schemas", "{\"keytype\":\"NOOP\",\"magic\":0}", null))
          .get();
      producer
          .send(
              new ProducerRecord<>(
                  "_schemas",
                  "{\"keytype\":\"SCHEMA\",\"subject\":\"foreign\",\"version\":3,\"magic\":1}",
                  "{\"subject\":\"foreign\",\"version\":3,\"id\":7001,\"md5\":\"x==\",\"schema\":"
                      + "\"{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"Foreign\\\",\\\"fields\\\":[]}\","
                      + "\"deleted\":false}"))
          .get();
    }
    rest.put(
        "/config/foreign", "{\"compatibility\":\"FULL\"}"); // waits for what was written before
    rest.get("/subjects/foreign/versions").is("[3]");
    String foreign = "{\"type\":\"record\",\"name\":\"Foreign\",\"fields\":[]}";
    assertThat(rest.register("foreign", foreign)).isEqualTo(7001);
    assertThat(rest.register("foreign-new", foreign.replace("Foreign", "Later")))
        .isGreaterThan(7001);
  }

  @Test
  void basicAuthenticationIsAskedFor() {
    RegistryOptions options = RegistryOptions.loopback(0).withBasicAuth("ann", "s3cret:é");
    try (EmbeddedRegistry guarded =
        EmbeddedRegistry.start(stack.broker().bootstrapServers(), options)) {
      Rest anonymous = new Rest(guarded.url());
      anonymous.get("/subjects").fails(401, 401);
      anonymous.as("ann", "wrong").get("/subjects").fails(401, 401);
      assertThat(anonymous.as("ann", "s3cret:é").get("/subjects").status()).isEqualTo(200);
    }
  }

  @Test
  void aFailedStartIsOneClearLineAndLeavesNoThread() {
    Set<Thread> before = registryThreads();
    assertThatThrownBy(
            () ->
                EmbeddedRegistry.start(stack.broker().bootstrapServers(), stack.registry().port()))
        .isInstanceOf(RefluxException.class)
        .hasMessageContaining("registry port: " + stack.registry().port())
        .hasMessageContaining("expected: a free port");
    assertThat(registryThreads()).isEqualTo(before);
  }

  private static Set<Thread> registryThreads() {
    Set<Thread> threads = new HashSet<>(Thread.getAllStackTraces().keySet());
    threads.removeIf(
        thread ->
            !thread.getName().startsWith("registry-log-reader")
                && !thread.getName().contains("reflux-registry"));
    return threads;
  }
}
