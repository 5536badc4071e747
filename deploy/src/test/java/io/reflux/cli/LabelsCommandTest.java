package io.reflux.cli;

import static io.reflux.inspect.LabelRecords.record;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.reflux.devstack.DevStack;
import io.reflux.inspect.LabelRecords;
import io.reflux.schemas.avro.Origin;
import io.reflux.schemas.avro.Rollout;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topic;
import io.reflux.schemas.kafka.Topics;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.apache.avro.specific.SpecificRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** {@code reflux labels show} against a real broker. */
@Timeout(120)
class LabelsCommandTest {
  private static final String TEACHER = LabelRecords.TEACHER.toString();

  @TempDir private static Path folder;
  private static DevStack stack;
  private static KafkaClients clients;
  private static RecordMetadata topKAt;
  private static RecordMetadata damagedAt;
  private static RecordMetadata largeAt;

  private record Outcome(int code, String out, String err) {}

  @BeforeAll
  static void writeLabels() {
    stack = DevStack.start(folder.resolve("stack"));
    clients = stack.clients();
    clients.createTopics();
    Instant now = Instant.now();
    // One that was never committed lies before the others and is not seen.
    try (Producer<String, byte[]> producer = clients.transactionalProducer("test", "aborted")) {
      producer.initTransactions();
      producer.beginTransaction();
      SoftLabels labels = record("aborted", LabelRecords.topK()).build();
      clients.writer(Topics.SOFT_LABELS, producer).send("aborted", labels).join();
      producer.abortTransaction();
    }
    topKAt = send(Topics.SOFT_LABELS, "q-topk", record("q-topk", LabelRecords.topK()).build());
    send(
        Topics.SOFT_LABELS,
        "q-sampled",
        record("q-sampled", LabelRecords.sampled()).setScoredAt(now).build());
    damagedAt =
        send(
            Topics.SOFT_LABELS,
            "q-damaged",
            record("q-damaged", LabelRecords.topK())
                .setScoredAt(now.minusSeconds(1))
                .setLabels(ByteBuffer.wrap(new byte[] {2, 3, 4, 5, 6, 7, 8}))
                .build());
    byte[] noise = new byte[1_500_000];
    new Random(1).nextBytes(noise);
    largeAt =
        send(
            Topics.SOFT_LABELS,
            "q-large",
            record("q-large", LabelRecords.topK()).setLabels(ByteBuffer.wrap(noise)).build());
    send(Topics.ROLLOUT_LABELS, "w-1", rolloutLabels("w-1"));
    send(Topics.ROLLOUT_LABELS, "w-2", rolloutLabels("w-2"));
    send(Topics.ROLLOUTS, "w-1", rollout("w-1"));
  }

  @AfterAll
  static void stop() {
    stack.close();
  }

  @Test
  void showsARequestsLabelsAsText() {
    Outcome shown = show("--request", "q-topk", "--teacher", TEACHER);
    assertThat(shown.code()).as(shown.err()).isZero();
    assertThat(shown.out())
        .contains("request      q-topk", "␣my", "␣the 0.25", "response      my order")
        .doesNotContain("\u001b", "aborted");
  }

  @Test
  void showsTheLastByDefaultAndAPlaceByItsCoordinates() {
    assertThat(show().out()).contains("q-sampled", "4 draws", "--teacher DIR shows their text");
    String place = topKAt.partition() + ":" + topKAt.offset();
    assertThat(show("--at", place).out()).contains("--at " + place, "request      q-topk");
    String large = largeAt.partition() + ":" + largeAt.offset();
    assertThat(show("--at", large).out()).as("one in pieces").contains("q-large", "unreadable");
    Outcome last = show("--last", "2");
    assertThat(last.out().indexOf("q-damaged")).isPositive().isLessThan(last.out().indexOf("q-sa"));
  }

  @Test
  void damagedLabelsAreNamedBesideTheRecordThatTheyAreIn() {
    Outcome shown = show("--at", damagedAt.partition() + ":" + damagedAt.offset());
    assertThat(shown.code()).isEqualTo(1);
    assertThat(shown.out()).contains("request      q-damaged", "unreadable   Soft labels");
  }

  @Test
  void supportIsLookedUpOnTheRollout() {
    Outcome shown = show("--rollout", "w-1", "--teacher", TEACHER);
    assertThat(shown.code()).as(shown.err()).isZero();
    assertThat(shown.out())
        .contains("rollout, written by student version 7", "the 2 ids that the rollout named")
        .containsPattern("␣order +0\\.06\\d +2 ");
    assertThat(show("--rollout", "w-2").out()).contains("of a rollout that was not found");
  }

  @Test
  void jsonIsOneLineARecordWithNullsForWhatIsUnknown() throws IOException {
    Outcome shown = show("--request", "q-topk", "--teacher", TEACHER, "--json", "--top", "2");
    assertThat(shown.out().strip().lines()).hasSize(1);
    assertThat(shown.out()).matches("\\p{ASCII}+");
    JsonNode json = new ObjectMapper().readTree(shown.out());
    assertThat(json.get("tokenizer_fingerprint").asText())
        .isEqualTo(LabelRecords.TOKENIZER.fingerprint());
    assertThat(json.get("response").asText()).isEqualTo(" my order");
    JsonNode row = json.get("rows").get(0);
    assertThat(row.get("token").asText()).isEqualTo(" my");
    assertThat(row.get("rank").asInt()).isEqualTo(1);
    assertThat(row.get("top")).hasSize(2);
    assertThat(row.at("/top/1/probability").asDouble()).isBetween(0.24, 0.26);
    assertThat(json.at("/rows/1/rank").isNull()).isTrue();
    assertThat(json.at("/rows/1/entropy").isNull()).isTrue();
    assertThat(json.at("/rows/1/tail").isNull()).isTrue();
    JsonNode drawn = new ObjectMapper().readTree(show("--request", "q-sampled", "--json").out());
    assertThat(drawn.at("/rows/0/top/0/count").asInt()).isEqualTo(3);
    assertThat(drawn.get("draws").asInt()).isEqualTo(4);
  }

  @Test
  void anotherTokenizerIsRefusedNamingBoth() {
    send(
        Topics.SOFT_LABELS,
        "q-foreign",
        record("q-foreign", LabelRecords.topK())
            .setScoredAt(Instant.EPOCH)
            .setTokenizerFingerprint("f00d")
            .build());
    Outcome refused = show("--request", "q-foreign", "--teacher", TEACHER);
    assertOneLine(refused, "f00d", LabelRecords.TOKENIZER.fingerprint(), "q-foreign");
    assertThat(show("--request", "q-foreign").code()).isZero();
  }

  @Test
  void nothingFoundIsOneLineThatSaysWhereItLooked() {
    assertOneLine(
        show("--request", "nobody"), "request nobody", "soft-labels", "records looked at");
    assertOneLine(show("--rollout", "none"), "rollout none", "rollout-labels, 2 records looked at");
    assertOneLine(show("--request", "nobody", "--search", "1"), "looked at, the newest");
    assertOneLine(show("--at", "99:0"), "partition: 99 (expected: 0 to 3");
    assertOneLine(show("--at", "0:999999"), "offset: 999999");
    assertOneLine(show("--at", "here"), "--at: here (expected: PARTITION:OFFSET");
    assertOneLine(show("--topic", "requests"), "--topic: requests");
    assertOneLine(show("--teacher", "/no/such"), "--teacher: /no/such");
    assertOneLine(show("--last", "0"), "--last: 0");
    assertThat(show("--last", "1", "--request", "x").code()).isEqualTo(2);
  }

  private static SoftLabels rolloutLabels(String rolloutId) {
    return record("q-topk", LabelRecords.support())
        .setOrigin(Origin.ROLLOUT)
        .setRolloutId(rolloutId)
        .setStudentVersion(7L)
        .build();
  }

  private static Rollout rollout(String rolloutId) {
    SoftLabels labels = rolloutLabels(rolloutId);
    return Rollout.newBuilder()
        .setRolloutId(rolloutId)
        .setRequestId("q-topk")
        .setRequestedAt(Instant.now())
        .setCreatedAt(Instant.now())
        .setStudentVersion(7)
        .setTokenizerFingerprint(labels.getTokenizerFingerprint())
        .setChatTemplateFingerprint("")
        .setTokenIds(labels.getTokenIds())
        .setPromptLength(labels.getPromptLength())
        .setSampledLogprobs(List.of(-1f, -1f))
        .setTemperature(1)
        .setSupportSize(2)
        .setSupportIds(Arrays.stream(LabelRecords.supportIds()).boxed().toList())
        .build();
  }

  private static <T extends SpecificRecord> RecordMetadata send(
      Topic<T> topic, String key, T value) {
    try (Producer<String, byte[]> producer = clients.producer("test")) {
      return clients.writer(topic, producer).send(key, value).join();
    }
  }

  private static Outcome show(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = Reflux.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    List<String> all = new ArrayList<>(List.of("labels", "show"));
    all.add("--bootstrap-servers=" + clients.kafka().bootstrapServers());
    all.add("--registry=" + stack.registryConfig().url());
    all.addAll(List.of(arguments));
    int code = line.execute(all.toArray(String[]::new));
    return new Outcome(code, out.toString(), err.toString());
  }

  private static void assertOneLine(Outcome outcome, String... parts) {
    assertThat(outcome.code()).as(outcome.out() + outcome.err()).isEqualTo(1);
    assertThat(outcome.err().strip().lines()).as(outcome.err()).hasSize(1);
    assertThat(outcome.err()).contains(parts);
  }
}
