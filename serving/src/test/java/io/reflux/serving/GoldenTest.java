package io.reflux.serving;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import io.reflux.devstack.DevStack;
import io.reflux.model.LanguageModel;
import io.reflux.model.golden.GoldenPrompts;
import io.reflux.model.runtime.EngineOptions;
import io.reflux.model.runtime.GenerationEngine;
import io.reflux.model.runtime.RuntimeOptions;
import io.reflux.schemas.avro.FleetOutcome;
import io.reflux.schemas.avro.FleetReport;
import io.reflux.schemas.avro.FleetStage;
import io.reflux.schemas.service.RefluxException;
import io.reflux.serving.Client.Answer;
import io.reflux.snapshots.FleetReports;
import io.reflux.snapshots.SnapshotException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@ExtendWith(SharedStack.class)
class GoldenTest {
  private static final String ASK = "{'prompt':'Where is','temperature':0,'max_tokens':8}";

  @TempDir Path temp;
  private Fleet fleet;

  @BeforeEach
  void newFleet(DevStack stack) {
    fleet = new Fleet(stack, temp);
  }

  @AfterEach
  void closeFleet() {
    fleet.close();
  }

  @Test
  void versionThatAnswersOtherwiseThanItsTrainerSawIsRefusedAndToldUpstream() {
    LanguageModel first = fleet.model(1);
    golden(first).save(first.directory());
    fleet.publish(first, first.tokenizerFingerprint());
    try (Fleet.Running server = fleet.server(2, 2).start()) {
      server.awaitVersion(1);
      FleetReport serving = awaitReport(1, FleetOutcome.SERVING);
      assertThat(serving.getFleet()).isEqualTo("server");
      assertThat(serving.getService()).isEqualTo("server");
      assertThat(serving.getStage()).isEqualTo(FleetStage.FLIP);
      assertThat(serving.getServingVersion()).isEqualTo(1);

      // As if the second one's bytes meant something else to this machine.
      LanguageModel second = fleet.model(2);
      golden(first).save(second.directory());
      fleet.publish(second, second.tokenizerFingerprint());
      SnapshotException problem = server.awaitProblem();
      assertThat(problem)
          .hasMessageStartingWith("snapshot 2: golden prompt 1, token ")
          .hasMessageContaining(" positions agree with the trainer's (expected: at least 90 %)");
      FleetReport refused = awaitReport(2, FleetOutcome.REFUSED);
      assertThat(refused.getStage()).isEqualTo(FleetStage.GOLDEN);
      assertThat(refused.getReason()).isEqualTo(problem.getMessage());
      assertThat(refused.getServingVersion()).isEqualTo(1);
      Client client = new Client(server.service());
      assertThat(client.complete(ASK).version()).isEqualTo("1");
      // Offered again it is refused again, without being asked again.
      assertThat(server.awaitProblem()).isSameAs(problem);

      LanguageModel third = fleet.model(3);
      golden(third).save(third.directory());
      fleet.publish(third, third.tokenizerFingerprint());
      server.awaitVersion(3);
      assertThat(client.complete(ASK).version()).isEqualTo("3");
      awaitReport(3, FleetOutcome.SERVING);
      assertThat(
              server.meter(
                  "fleet_reports_total",
                  Map.of("channel", "stable", "outcome", "refused", "stage", "golden")))
          .isGreaterThanOrEqualTo(1);
    }
    assertThat(FleetReports.read(fleet.clients())).isEmpty();
  }

  @Test
  void fleetsOwnPromptsRefuseAVersionAndNameLineExpectationAndAnswer() throws IOException {
    fleet.publish(1);
    String answer;
    try (Fleet.Running server = fleet.server(1, 1, Map.of("port", "0")).start()) {
      server.awaitVersion(1);
      answer = new Client(server.service()).complete(ASK).text();
    }
    Path file = temp.resolve("golden.jsonl");
    String equal = Client.JSON.writeValueAsString(answer);
    Files.writeString(
        file,
        """
        {"prompt": "Where is", "max_tokens": 8, "equals": %s, "not_contains": "never said"}

        {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "not_contains": "<|user|>"}
        """
            .formatted(equal));
    try (Fleet.Running server =
        fleet.server(1, 1, Map.of("golden", file.toString(), "fleet", "shop")).start()) {
      server.awaitVersion(1);
      fleet.publish(2);
      SnapshotException problem = server.awaitProblem();
      assertThat(problem)
          .hasMessageStartingWith(
              "snapshot 2: golden prompt of golden.jsonl, line 1 'Where is': expected '")
          .hasMessageContaining("', got '")
          .hasMessageNotContaining("\n");
      assertThat(awaitReport(2, FleetOutcome.REFUSED).getFleet()).isEqualTo("shop");
      Answer served = new Client(server.service()).complete(ASK);
      assertThat(served.version()).isEqualTo("1");
      assertThat(served.text()).isEqualTo(answer);
    }
    Files.writeString(file, "{\"prompt\": \"Where is\", \"contains\": \"no such text at all\"}");
    try (Fleet.Running server =
        fleet
            .server(
                1, 1, Map.of("golden", file.toString(), "data-dir", temp.resolve("b").toString()))
            .start()) {
      assertThat(server.awaitProblem())
          .hasMessageContaining("line 1 'Where is': expected one with 'no such text at all', got");
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      textBlock =
          """
          {"prompt": "a", "equals": "b"} | {"prompt": | (expected: a JSON object)
          [] | [] | line 1: '[]' (expected: a JSON object)
          {"equals": "b"} | {} | line 1: neither prompt nor messages (expected: one of them)
          {"prompt": "a", "messages": [], "equals": "b"} | {} | line 1: prompt and messages (expected: one of them)
          {"prompt": "a"} | {} | line 1: nothing to hold the answer against (expected: equals, contains or not_contains)
          {"prompt": "a", "contain": "b"} | {} | line 1: 'contain' (expected: prompt, messages, equals, contains, not_contains or max_tokens)
          {"prompt": "a", "contains": ""} | {} | line 1: contains: "" (expected: text)
          {"prompt": 7, "equals": "b"} | {} | line 1: prompt: 7 (expected: text)
          {"prompt": "a", "equals": "b", "max_tokens": 0} | {} | line 1: max_tokens: 0 (expected: 1 or more)
          {"messages": [], "equals": "b"} | {} | line 1: messages: '[]' (expected: a list of at least one message)
          {"messages": [{"role": "user"}], "equals": "b"} | {} | line 1: message '{"role":"user"}' (expected: role and content)
          """)
  void badLineIsNamedAtTheStart(String first, String second, String problem) throws IOException {
    Path file = temp.resolve("bad.jsonl");
    Files.writeString(file, first + "\n" + second + "\n");
    assertThatThrownBy(() -> server(file))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith("reflux.serve.golden: " + file + ", line ")
        .hasMessageEndingWith(problem);
  }

  @Test
  void missingOrEmptyFileIsNamedAtTheStart() throws IOException {
    Path file = temp.resolve("none.jsonl");
    assertThatThrownBy(() -> server(file))
        .isInstanceOf(RefluxException.class)
        .hasMessageStartingWith("reflux.serve.golden: " + file + ": cannot be read: ");
    Files.writeString(file, "\n\n");
    assertThatThrownBy(() -> server(file))
        .isInstanceOf(RefluxException.class)
        .hasMessage(
            "reflux.serve.golden: " + file + ": no lines (expected: at least one golden prompt)");
  }

  private void server(Path golden) {
    new ServerService(
            Fleet.config(temp.resolve("s"), 1, 1, 0, Map.of("golden", golden.toString())),
            fleet.clients(),
            new SimpleMeterRegistry())
        .close();
  }

  private static GoldenPrompts golden(LanguageModel model) {
    try (GenerationEngine engine =
        new GenerationEngine(
            model.config(), model.weights(), new EngineOptions(2, 64), RuntimeOptions.DEFAULT)) {
      return GoldenPrompts.answer(
          engine,
          List.of(model.promptIds("Where is my parcel?"), model.promptIds("Hello")),
          16,
          Set.of(),
          Duration.ofSeconds(30));
    }
  }

  private FleetReport awaitReport(long version, FleetOutcome outcome) {
    FleetReport[] found = new FleetReport[1];
    Fleet.await(
        outcome + " of version " + version,
        () -> {
          FleetReports.read(fleet.clients()).stream()
              .map(FleetReports.Heard::report)
              .filter(report -> report.getVersion() != null && report.getVersion() == version)
              .filter(report -> report.getOutcome() == outcome)
              .forEach(report -> found[0] = report);
          return found[0] != null;
        });
    return found[0];
  }
}
