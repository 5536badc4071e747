package io.reflux.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.reflux.config.Settings;
import io.reflux.devstack.DevStack;
import io.reflux.inspect.LabelRecords;
import io.reflux.model.LanguageModel;
import io.reflux.schemas.avro.FleetOutcome;
import io.reflux.schemas.avro.FleetStage;
import io.reflux.schemas.avro.SnapshotManifest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Topics;
import io.reflux.snapshots.FleetMember;
import io.reflux.snapshots.FleetReporter;
import io.reflux.snapshots.FleetReports;
import io.reflux.snapshots.SnapshotAccess;
import io.reflux.snapshots.SnapshotCatalog;
import io.reflux.snapshots.SnapshotException;
import io.reflux.snapshots.SnapshotInfo;
import io.reflux.snapshots.SnapshotInfo.Lineage;
import io.reflux.snapshots.SnapshotPublisher;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** {@code reflux keys} and {@code reflux snapshots} against a real broker. */
@Timeout(240)
class SnapshotsCommandTest {
  @TempDir private static Path folder;
  private static DevStack stack;
  private static KafkaClients clients;

  private record Outcome(int code, String out, String err) {}

  /** Two versions on channel stable, the second with one weight changed. */
  @BeforeAll
  static void publish() throws IOException {
    stack = DevStack.start(folder.resolve("stack"));
    clients = stack.clients();
    clients.createTopics();
    Path key = folder.resolve("publisher.key");
    assertThat(execute("keys", "create", key.toString()).code()).isZero();
    assertThat(
            execute(
                    "keys",
                    "trust",
                    key + ".pub.pem",
                    "--trust",
                    folder.resolve("trust").toString())
                .out())
        .startsWith("trusted  ")
        .contains(" as publisher.key in ");
    Path first = copy("first");
    Path second = copy("second");
    Path weights = second.resolve("model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    bytes[bytes.length - 1] ^= 2;
    Files.write(weights, bytes);
    Files.createDirectory(second.resolve("gguf"));
    Files.write(second.resolve("gguf/model.gguf"), new byte[2048]);
    try (SnapshotPublisher publisher = new SnapshotPublisher(access())) {
      publisher.publish(first, info(first, 10, 0.25, "0.002", "safetensors"), "stable");
      publisher.publish(second, info(second, 20, 0.125, "0.001", "safetensors", "gguf"), "stable");
    }
  }

  private static Path copy(String name) throws IOException {
    Path target = Files.createDirectory(folder.resolve(name));
    try (Stream<Path> files = Files.list(LabelRecords.TEACHER)) {
      for (Path file : files.toList()) {
        Files.copy(file, target.resolve(file.getFileName().toString()));
      }
    }
    return target;
  }

  private static SnapshotInfo info(
      Path directory, long step, double kl, String rate, String... formats) {
    LanguageModel model = LanguageModel.load(directory);
    return new SnapshotInfo(
        "student",
        "none",
        model.fingerprint(),
        "f".repeat(64),
        model.tokenizerFingerprint(),
        model.chatTemplateFingerprint(),
        step,
        100 * step,
        7,
        Map.of("soft-labels-0", step),
        Map.of("kl", kl, "agreement", 0.5),
        42,
        "test",
        Optional.of(
            new Lineage(
                "the-teacher",
                Optional.of(Instant.ofEpochSecond(1)),
                Optional.of(Instant.ofEpochSecond(step)),
                Map.of("reflux.train.learning-rate", rate))),
        List.of(formats));
  }

  private static SnapshotAccess access() {
    return Settings.load(
            null,
            Map.of(),
            Map.of(),
            Map.of(
                "reflux.snapshots.signing-key", folder.resolve("publisher.key").toString(),
                "reflux.snapshots.trust", folder.resolve("trust").toString()))
        .snapshots(clients);
  }

  @AfterAll
  static void stop() {
    stack.close();
  }

  @Test
  void listShowsVersionsWithTheirSignerAndChannels() throws IOException {
    Outcome listed = snapshots("list");
    assertThat(listed.code()).as(listed.err()).isZero();
    List<String> lines = listed.out().lines().toList();
    assertThat(lines.get(0)).startsWith("VERSION  PARENT  AGE").endsWith("SIGNED BY      CHANNELS");
    assertThat(lines.get(1))
        .matches("1 +- .* 10 .*none safetensors +0.2500 +0.5000 +publisher.key.*");
    assertThat(lines.get(2)).matches("2 +1 .* 20 .*publisher.key +.*stable.*");

    JsonNode json = new ObjectMapper().readTree(snapshots("list", "--json").out());
    assertThat(json.at("/snapshots/1/signature/signer").asText()).isEqualTo("publisher.key");
    assertThat(json.at("/snapshots/1/signature/checked").asBoolean()).isTrue();
    assertThat(json.at("/channels").findValuesAsText("channel")).contains("stable");

    assertThat(withoutTrust("list").out()).contains(" (not checked)");
  }

  @Test
  void showTellsEverythingOfAVersion() throws IOException {
    Outcome shown = snapshots("show", "1");
    assertThat(shown.code()).as(shown.err()).isZero();
    assertThat(shown.out())
        .contains(
            "version     1",
            "trained     10 steps, 1,000 rows",
            "signed by   publisher.key, key ",
            "model.safetensors, ",
            "quality     agreement = 0.5",
            "(the-teacher)",
            "requests    of 1970-01-01T00:00:01Z to 1970-01-01T00:00:10Z",
            "reflux.train.learning-rate = 0.002",
            "soft-labels-0 = 10");
    JsonNode json = new ObjectMapper().readTree(snapshots("show", "stable", "--json").out());
    assertThat(json.at("/version").asLong()).isGreaterThanOrEqualTo(1);
    assertThat(json.at("/lineage/teacher_name").asText()).isEqualTo("the-teacher");
  }

  @Test
  void listAndShowTellWhichFleetsServeAVersionAndWhichRefusedIt() throws IOException {
    SnapshotPointer first = pointer(1);
    SnapshotPointer second = pointer(2);
    try (FleetReporter web = fleet("web", "host-1");
        FleetReporter more = fleet("web", "host-2");
        FleetReporter edge = fleet("edge", "host-3")) {
      web.begins(second);
      web.serves(second);
      more.serves(second);
      edge.serves(first);
      edge.begins(second);
      edge.reaches(FleetStage.GOLDEN);
      edge.refuses(
          second,
          new SnapshotException(SnapshotException.Kind.REFUSED, "snapshot 2: golden prompt 1"),
          OptionalLong.of(1));
      awaitReports(3);
      assertThat(snapshots("list").out().lines())
          .contains(
              "fleet edge on stable: version 1 served by 1",
              "fleet web on stable: version 2 served by 2",
              "fleet edge/host-3 on stable: refused version 2 at golden, serves version 1:"
                  + " snapshot 2: golden prompt 1");
      assertThat(snapshots("show", "2").out())
          .contains("fleet       web/host-1 on stable: serves it since ")
          .contains(" ms after it saw the pointer")
          .contains(
              "fleet       edge/host-3 on stable: refused it at golden, serves version 1: snapshot"
                  + " 2: golden prompt 1\n");
      assertThat(snapshots("show", "1").out())
          .contains("fleet       edge/host-3 on stable: serves it\n")
          .doesNotContain("web/host");
      JsonNode json = new ObjectMapper().readTree(snapshots("show", "2", "--json").out());
      assertThat(json.at("/fleets")).hasSize(3);
      assertThat(json.at("/fleets/0/fleet").asText()).isEqualTo("edge");
      assertThat(json.at("/fleets/0/outcome").asText()).isEqualTo("refused");
      assertThat(json.at("/fleets/0/stage").asText()).isEqualTo("golden");
      assertThat(json.at("/fleets/0/serving_version").asLong()).isEqualTo(1);
      assertThat(new ObjectMapper().readTree(snapshots("list", "--json").out()).at("/fleets"))
          .hasSize(3);
    }
    assertThat(snapshots("list").out()).doesNotContain("fleet ");
  }

  private static FleetReporter fleet(String fleet, String instance) {
    return new FleetReporter(clients, new FleetMember(fleet, "server", instance), "stable");
  }

  private static SnapshotPointer pointer(long version) {
    return SnapshotPointer.newBuilder()
        .setChannel("stable")
        .setVersion(version)
        .setManifestSha256("d")
        .setMovedAt(Instant.EPOCH)
        .setReason("test")
        .build();
  }

  /** Of as many instances, the latest of each. */
  private static void awaitReports(int instances) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    List<FleetReports.Heard> heard = FleetReports.read(clients);
    while (heard.size() < instances
        || heard.stream().noneMatch(one -> one.report().getOutcome() == FleetOutcome.REFUSED)) {
      assertThat(System.nanoTime()).as("%s", heard).isLessThan(deadline);
      heard = FleetReports.read(clients);
    }
  }

  @Test
  void verifyChecksEverythingAndSaysWhoSigned() {
    Outcome checked = snapshots("verify", "latest");
    assertThat(checked.code()).as(checked.err()).isZero();
    assertThat(checked.out())
        .contains("signature  by publisher.key, key ", "file       model.safetensors, ")
        .endsWith("version    2 is whole\n");
    assertThat(withoutTrust("verify", "1").out())
        .startsWith("signature  not checked (reflux.snapshots.trust is unset)");
  }

  @Test
  void diffNamesWhatDiffers() throws IOException {
    Outcome text = snapshots("diff", "1", "2");
    assertThat(text.code()).as(text.err()).isZero();
    assertThat(text.out())
        .containsPattern("training_step +10 +20")
        .containsPattern("quality.kl +0.25 +0.125")
        .containsPattern("reflux.train.learning-rate +0.002 +0.001")
        .containsPattern("1 of \\d+ tensors differ")
        .doesNotContain("student_name", "tokenizer_fingerprint");
    JsonNode json = new ObjectMapper().readTree(snapshots("diff", "1", "2", "--json").out());
    assertThat(json.at("/tensors_changed")).hasSize(1);
    assertThat(json.at("/tensors_changed/0/relative_change").asDouble()).isPositive();
    assertThat(json.at("/differences/quality.kl/after").asText()).isEqualTo("0.125");
  }

  @Test
  void exportWritesAWholeNewDirectory() throws IOException {
    Path target = folder.resolve("exported");
    Outcome exported = snapshots("export", "1", "--out", target.toString());
    assertThat(exported.code()).as(exported.err()).isZero();
    assertThat(exported.out()).isEqualTo("version 1 in " + target + "\n");
    assertThat(target.resolve("model.safetensors"))
        .hasSameBinaryContentAs(folder.resolve("first/model.safetensors"));
    assertThat(snapshots("export", "1", "--out", target.toString()).err())
        .isEqualTo("reflux: --out: " + target + " exists (expected: a new directory)\n");
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left.map(path -> path.getFileName().toString()))
          .noneMatch(name -> name.startsWith(".reflux-export"));
    }
  }

  @Test
  void exportWritesTheFormatThatIsAskedForAlone() {
    Path target = folder.resolve("for-llama");
    Outcome exported = snapshots("export", "2", "--out", target.toString(), "--format", "gguf");
    assertThat(exported.code()).as(exported.err()).isZero();
    assertThat(exported.out()).isEqualTo("version 2 as gguf in " + target.resolve("gguf") + "\n");
    assertThat(target.resolve("gguf/model.gguf")).hasSize(2048);
    assertThat(target.resolve("tokenizer.json")).exists();
    assertThat(target.resolve("model.safetensors")).doesNotExist();
    String other = folder.resolve("other").toString();
    assertThat(snapshots("export", "2", "--out", other, "--format", "onnx").err())
        .isEqualTo(
            "reflux: snapshot 2: format onnx (expected: one that it offers: safetensors, gguf)\n");
    assertThat(snapshots("export", "2", "--out", other, "--format", "zip").err())
        .isEqualTo("reflux: --format: zip (expected: safetensors, hf, onnx, gguf)\n");
    assertThat(snapshots("show", "2").out()).contains("none safetensors,gguf", " gguf, 2.0 KiB\n");
  }

  @Test
  void clearingSaysBeforeWhatWouldGo() throws IOException {
    String prefix = "clear.";
    KafkaClients own = new KafkaClients(stack.kafkaConfig(prefix), stack.registryConfig());
    own.createTopics();
    Path model = folder.resolve("first");
    try (SnapshotPublisher publisher = new SnapshotPublisher(SnapshotAccess.unsigned(own))) {
      for (int step = 1; step <= 4; step++) {
        publisher.publish(model, info(model, step, 1, "0.1"), step == 2 ? "canary" : "stable");
      }
    }
    assertThat(clear(prefix, "--keep-last", "1", "--dry-run").out())
        .isEqualTo("would clear: versions 1, 3\n");
    assertThat(clear(prefix, "--keep-last", "1", "--keep", "1").out())
        .isEqualTo("cleared: versions 3\n");
    assertThat(clear(prefix, "--keep-last", "1").out()).isEqualTo("cleared: versions 1\n");
    assertThat(clear(prefix, "--keep-last", "1").out()).isEqualTo("cleared: no version\n");
    assertThat(new SnapshotCatalog(own).list())
        .extracting(SnapshotManifest::getVersion)
        .containsExactly(2L, 4L);
    assertThat(clear(prefix, "--keep-last", "0").err())
        .isEqualTo("reflux: --keep-last: 0 (expected: 1 or more)\n");
    assertThat(clear(prefix, "--keep-last", "1", "--keep", "3").err())
        .isEqualTo("reflux: --keep: 3 (expected: a published version)\n");
    assertThat(clear(prefix).code()).isEqualTo(2);
  }

  @Test
  void channelsMoveWithAReasonAndOnRecord() {
    assertThat(canary("promote", "1", "--reason", "try it").out())
        .isEqualTo("channel canary: from nothing to version 1: try it\n");
    assertThat(canary("promote", "canary", "--reason", "again").out())
        .isEqualTo("channel canary: stays at version 1, as it was\n");
    assertThat(canary("promote", "latest", "--reason", "good").out())
        .isEqualTo("channel canary: from version 1 to version 2: good\n");
    assertThat(canary("promote", "1", "--reason", "x").err())
        .contains("promotion on channel canary: to version 1 (expected: at least the present 2");
    assertThat(snapshots("pin", "canary", "--reason", "freeze").out())
        .isEqualTo("channel canary: pinned to version 2: freeze\n");
    assertThat(snapshots("list").out()).contains("canary (pinned)");
    assertThat(canary("rollback", "--reason", "worse").out())
        .isEqualTo(
            "channel canary: from version 2 to version 1, a rollback, still pinned: worse\n");
    assertThat(snapshots("show", "canary").out())
        .contains("channel     canary, pinned, rolled back, from version 2, ");
    assertThat(snapshots("unpin", "canary", "--reason", "over").out())
        .isEqualTo("channel canary: at version 1, and follows what is published\n");
  }

  @Test
  void forgedPointerIsNamedAndOnlyARollbackRepairsIt() throws Exception {
    assertThat(snapshots("promote", "2", "--channel", "forged", "--reason", "begin").code())
        .isZero();
    String topic = Topics.SNAPSHOT_POINTERS.fullName(clients.kafka());
    try (Producer<String, byte[]> producer = clients.producer("test")) {
      producer.send(new ProducerRecord<>(topic, "forged", new byte[] {1, 2})).get();
    } catch (ExecutionException e) {
      throw new AssertionError(e);
    }
    Outcome listed = snapshots("list");
    assertThat(listed.code()).isEqualTo(1);
    assertThat(listed.out()).contains("channel forged: pointer of channel forged at ");
    Outcome shown = snapshots("show", "forged");
    assertThat(shown.code()).isEqualTo(1);
    assertThat(shown.err()).startsWith("reflux: pointer of channel forged at ").hasLineCount(1);
    assertThat(snapshots("rollback", "1", "--channel", "forged", "--reason", "repaired").out())
        .isEqualTo("channel forged: from version 2 to version 1, a rollback: repaired\n");
    assertThat(snapshots("list").code()).isZero();
  }

  @Test
  void badInputIsOneClearLine() {
    assertThat(snapshots("show", "9").err())
        .isEqualTo("reflux: snapshot: version 9 (expected: a published one)\n");
    assertThat(snapshots("show", "nowhere").err())
        .isEqualTo(
            "reflux: nowhere: no such channel (expected: a version's number, latest, or a"
                + " channel)\n");
    assertThat(snapshots("list", "--last", "0").err())
        .isEqualTo("reflux: --last: 0 (expected: 1 or more)\n");
    assertThat(snapshots("pin", "stable").code()).isEqualTo(2);
    assertThat(snapshots("pin", "stable", "--reason", " ").err())
        .isEqualTo("reflux: --reason: blank (expected: why the channel moves)\n");
    assertThat(snapshots("pin", "none", "--reason", "x").err())
        .isEqualTo("reflux: channel none: no pointer (expected: one, to be held where it is)\n");
    assertThat(snapshots("rollback", "one", "--reason", "x").err())
        .isEqualTo("reflux: VERSION: one (expected: a number, as of 'snapshots list')\n");
    assertThat(
            execute(
                    onLoop(
                        "reflux.snapshots.trust=" + folder.resolve("trust"),
                        "snapshots",
                        "promote",
                        "1",
                        "--reason",
                        "x"))
                .err())
        .startsWith("reflux: reflux.snapshots.signing-key: unset (expected: a private key");
    assertThat(execute(onLoop("reflux.snapshots.trust=/nowhere", "snapshots", "list")).err())
        .isEqualTo(
            "reflux: reflux.snapshots.trust: /nowhere: missing (expected: a directory of public"
                + " keys)\n");
  }

  @Test
  void unsignedMoveOfASignedChannelIsRefusedBeforeItHarms() {
    Outcome moved = withoutTrust("pin", "stable", "--reason", "x");
    assertThat(moved.code()).isEqualTo(1);
    assertThat(moved.err())
        .isEqualTo(
            "reflux: reflux.snapshots.signing-key: unset (expected: a private key, for the moves of"
                + " channel stable are signed)\n");
    assertThat(snapshots("list").code()).isZero();
  }

  @Test
  void keysAreMadeShownAndListed() throws IOException {
    Path key = folder.resolve("another.key");
    Outcome made = execute("keys", "create", key.toString());
    String id = made.out().lines().findFirst().orElseThrow().substring(9);
    assertThat(id).matches("[0-9a-f]{64}");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(key)))
        .isEqualTo("rw-------");
    assertThat(execute("keys", "create", key.toString()).err())
        .isEqualTo(
            "reflux: "
                + key
                + ".pub.pem: exists (expected: a new file; a key is never replaced)\n");
    Outcome shown = execute("keys", "show", key.toString());
    assertThat(shown.out())
        .contains("key   " + id, "kind  Ed25519, private", "BEGIN PUBLIC KEY")
        .doesNotContain("BEGIN PRIVATE KEY");
    String trust = folder.resolve("others").toString();
    assertThat(execute("keys", "trust", key.toString(), "--trust", trust).err())
        .startsWith("reflux: " + key + ": a private key (expected: the public one");
    execute("keys", "trust", key + ".pub.pem", "--trust", trust, "--name", "ours");
    assertThat(execute("keys", "list", "--trust", trust).out())
        .isEqualTo("NAME  KEY\nours  " + id + "\n");
    assertThat(execute("keys", "list").err())
        .isEqualTo("reflux: --trust: missing (expected: a directory, or reflux.snapshots.trust)\n");
  }

  private static Outcome clear(String prefix, String... arguments) {
    List<String> all = new ArrayList<>(List.of("snapshots", "clear"));
    all.addAll(List.of(arguments));
    return execute(onLoop("reflux.kafka.prefix=" + prefix, all.toArray(String[]::new)));
  }

  private static Outcome canary(String... arguments) {
    String[] all = Arrays.copyOf(arguments, arguments.length + 2);
    all[arguments.length] = "--channel";
    all[arguments.length + 1] = "canary";
    return snapshots(all);
  }

  private static Outcome snapshots(String... arguments) {
    List<String> all = new ArrayList<>(List.of("snapshots"));
    all.addAll(List.of(arguments));
    all.addAll(List.of("--set", "reflux.snapshots.signing-key=" + folder.resolve("publisher.key")));
    return execute(
        onLoop("reflux.snapshots.trust=" + folder.resolve("trust"), all.toArray(String[]::new)));
  }

  private static Outcome withoutTrust(String... arguments) {
    List<String> all = new ArrayList<>(List.of("snapshots"));
    all.addAll(List.of(arguments));
    return execute(onLoop("reflux.train.seed=1", all.toArray(String[]::new)));
  }

  private static String[] onLoop(String setting, String... arguments) {
    List<String> all = new ArrayList<>(List.of(arguments));
    all.addAll(List.of("--set", setting));
    all.addAll(List.of("--bootstrap-servers", stack.kafkaConfig().bootstrapServers()));
    all.addAll(List.of("--registry", stack.registryConfig().url()));
    return all.toArray(String[]::new);
  }

  private static Outcome execute(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = Reflux.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    int code = line.execute(arguments);
    return new Outcome(code, out.toString(), err.toString());
  }
}
