package io.reflux.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** The command as somebody at a terminal meets it. */
class RefluxTest {
  private static final Path TEACHER = Path.of("src/main/resources/teacher");

  @TempDir private Path folder;

  private record Outcome(int code, String out, String err) {}

  private static Outcome run(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = Reflux.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    return new Outcome(line.execute(arguments), out.toString(), err.toString());
  }

  @Test
  void everyCommandHasHelp() {
    Reflux.commandLine()
        .getSubcommands()
        .keySet()
        .forEach(
            name -> {
              Outcome help = run(name, "--help");
              assertThat(help.code()).as(name).isZero();
              assertThat(help.out()).as(name).contains("Usage: reflux " + name);
            });
  }

  @Test
  void mirrorPreviewShowsWhatWouldLeave() throws IOException {
    Path file = folder.resolve("requests.jsonl");
    Files.writeString(
        file,
        """
        {"prompt": "where is my order", "response": "on its way"}
        {"messages": [{"role": "user", "content": "mail ada@example.org"}], "request_id": "b@example.org"}
        card 4111 1111 1111 1111, please
        {"prompts": 1}
        """);
    Outcome shown = run("mirror", "preview", file.toString());
    assertThat(shown.code()).isZero();
    assertThat(shown.out())
        .isEqualToNormalizingNewlines(
            "2  request_id: redacted-…\n2  messages[0].content: mail [EMAIL]\n3  prompt: card [CARD], please\n");
    assertThat(shown.err())
        .contains("line 4: ")
        .contains(
            "3 requests, 2 with something taken out (1 card, 2 email); no requests: 1;"
                + " nothing was sent");

    Outcome json = run("mirror", "preview", "--json", file.toString());
    JsonNode first =
        new ObjectMapper().readTree(json.out().lines().skip(1).findFirst().orElseThrow());
    assertThat(first.at("/findings/0/start").asInt()).isEqualTo(5);
    assertThat(first.at("/text").asText()).isEqualTo("mail [EMAIL]");
    assertThat(run("mirror", "preview", "--all", file.toString()).out()).contains("where is my");

    Outcome none = run("mirror", "preview", "nothing.jsonl");
    assertThat(none.code()).isNotZero();
    assertThat(none.err()).contains("nothing.jsonl: no such file");
  }

  @Test
  void configPrintMasksSecretsAndSaysWhereValuesCameFrom() throws IOException {
    Path file = folder.resolve("reflux.yaml");
    Files.writeString(
        file,
        """
        reflux:
          kafka:
            bootstrap-servers: kafka-1:9092
            properties:
              "sasl.jaas.config": "secret-jaas"
          registry:
            username: ada
            password: secret-password
        """);
    Outcome printed =
        run("config", "print", "--config", file.toString(), "--set", "reflux.score.top-k=32");
    assertThat(printed.code()).as(printed.err()).isZero();
    assertThat(printed.out())
        .containsPattern("reflux.kafka.bootstrap-servers=kafka-1:9092 +# .*reflux.yaml")
        .containsPattern("reflux.score.top-k=32 +# the command line")
        .containsPattern("reflux.score.batch-tokens=\\d+ +# default")
        .contains("reflux.registry.username=ada", "reflux.registry.password=********")
        .doesNotContain("secret-");
  }

  @Test
  void configPrintShowsWhereMetricsAreAndMasksTheServersKey() {
    Outcome printed = run("config", "print", "--set", "reflux.score.remote.api-key=secret-key");
    assertThat(printed.code()).as(printed.err()).isZero();
    assertThat(printed.out())
        .containsPattern("reflux.score.http.port=7073 +# default")
        .containsPattern("reflux.train.http.port=7074 +# default")
        .contains("reflux.score.remote.api-key=********")
        .doesNotContain("secret-");
  }

  @Test
  void scoreHasAFlagForEachUsualSetting() {
    assertThat(run("score", "--help").out())
        .contains("--teacher", "--device", "--precision", "--encoding", "--remote-url")
        .contains("--http-port");
    // Every flag is taken; then there is no such Kafka.
    assertOneLine(
        run(
            "score",
            "--bootstrap-servers=nowhere",
            "--teacher=" + TEACHER,
            "--device=cuda:0,cuda:1",
            "--precision=bf16",
            "--encoding=sampled",
            "--remote-url=http://127.0.0.1:1",
            "--http-port=0"),
        "nowhere");
  }

  @Test
  void unknownKeyIsOneLineThatNamesIt() throws IOException {
    Path file = folder.resolve("reflux.yaml");
    Files.writeString(file, "reflux:\n  score:\n    topk: 32\n");
    assertOneLine(run("config", "print", "--config", file.toString()), "reflux.score.topk");
  }

  @Test
  void badValueIsOneLineThatNamesKeyAndValue() {
    assertOneLine(
        run("config", "print", "--set", "reflux.score.top-k=many"), "reflux.score.top-k", "many");
    assertOneLine(
        run("config", "print", "--set", "reflux.train.snapshot-interval=soon"),
        "reflux.train.snapshot-interval",
        "soon");
  }

  @Test
  void missingFilesAreOneLineThatNamesThem() {
    assertOneLine(run("run", "--teacher", "/no/such/dir"), "--teacher", "/no/such/dir");
    assertOneLine(run("run", "--traffic", "/no/such.jsonl"), "--traffic", "/no/such.jsonl");
    assertOneLine(run("run", "--rate", "0"), "--rate", "0.0");
    assertOneLine(run("run", "--duration", "soon"), "--duration", "soon");
    assertOneLine(run("generate", "--model", "/no/such/dir", "--prompt", "x"), "/no/such/dir");
    assertOneLine(run("config", "print", "--config", "/no/such.yaml"), "/no/such.yaml");
    assertOneLine(run("bench", "nonsense"), "nonsense");
  }

  @Test
  void nothingListeningIsOneLineThatNamesTheServers() {
    assertOneLine(run("topics", "create", "--bootstrap-servers", "127.0.0.1:1"), "127.0.0.1:1");
  }

  @Test
  void generatesJsonWithTheBundledTeacher() throws IOException {
    Outcome answer =
        run(
            "generate",
            "--model",
            TEACHER.toString(),
            "--prompt",
            "where is my order",
            "--greedy",
            "--max-tokens",
            "12",
            "--json");
    assertThat(answer.code()).as(answer.err()).isZero();
    JsonNode json = new ObjectMapper().readTree(answer.out());
    assertThat(json.get("text").asText()).isNotBlank();
    assertThat(json.get("token_ids").size()).isBetween(1, 12);
    assertThat(json.get("tokens_per_second").asDouble()).isPositive();
  }

  @Test
  void generatedTrafficIsTheSameForTheSameSeed() throws IOException {
    Path first = folder.resolve("a.jsonl");
    Path second = folder.resolve("b.jsonl");
    assertThat(run("generate-traffic", "--out", first.toString(), "--count", "50").code()).isZero();
    assertThat(run("generate-traffic", "--out", second.toString(), "--count", "50").code())
        .isZero();
    assertThat(first).hasSameTextualContentAs(second);
    assertThat(Files.readAllLines(first)).hasSize(50);
  }

  @Test
  void evaluatesTheBundledTeacherOnItsOwnLanguage() throws IOException {
    Path data = folder.resolve("desk.jsonl");
    run("generate-traffic", "--out", data.toString(), "--count", "40", "--seed", "99");
    Path report = folder.resolve("quality.json");
    Outcome evaluated =
        run(
            "evaluate",
            "--model",
            TEACHER.toString(),
            "--teacher",
            TEACHER.toString(),
            "--data",
            data.toString(),
            "--max-tokens",
            "96",
            "--json",
            report.toString());
    assertThat(evaluated.code()).as(evaluated.err()).isZero();
    JsonNode json = new ObjectMapper().readTree(report.toFile());
    assertThat(json.get("accuracy").asDouble()).isGreaterThan(0.9);
    assertThat(json.get("agreement").asDouble()).isEqualTo(1);
    assertThat(json.get("exact_match").asDouble()).isEqualTo(1);
  }

  @Test
  void benchmarkWritesFiguresAndConditions() throws IOException {
    Path file = folder.resolve("fuzz.json");
    assertThat(run("bench", "label-fuzz", "--cases", "20000", "--json", file.toString()).code())
        .isZero();
    JsonNode json = new ObjectMapper().readTree(file.toFile());
    assertThat(json.get("name").asText()).isEqualTo("label-fuzz");
    assertThat(json.at("/figures/cases").asDouble()).isEqualTo(20_000);
    assertThat(json.at("/conditions/seed").asInt()).isEqualTo(1);
    assertThat(json.at("/conditions/processor").asText()).isNotBlank();
  }

  @Test
  void benchmarkRefusesOptionsThatAreNotItsOwn() {
    assertOneLine(run("bench", "labels", "--kills", "3"), "--kills", "labels", "score-kills");
    assertOneLine(run("bench", "label-fuzz", "--cases", "0"), "--cases", "0");
  }

  private static void assertOneLine(Outcome outcome, String... parts) {
    assertThat(outcome.code()).as(outcome.out() + outcome.err()).isNotZero();
    assertThat(outcome.err().strip().lines()).as(outcome.err()).hasSize(1);
    assertThat(outcome.err()).contains(parts).doesNotContain("\tat ");
  }
}
