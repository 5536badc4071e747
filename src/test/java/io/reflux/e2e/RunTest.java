package io.reflux.e2e;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.reflux.devstack.DevStack;
import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.avro.SoftLabels;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topics;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code reflux run} from the outside: it learns, and it goes on after SIGKILL. */
class RunTest {
  private static final Duration PATIENCE = Duration.ofMinutes(5);
  private static final Pattern SERVING = Pattern.compile("serving v(\\d+)");

  @TempDir private Path folder;

  @Test
  void killedRunGoesOnLearnsAndLabelsEveryAcknowledgedRequestOnce() throws Exception {
    Path data = folder.resolve("state");
    String[] command = {
      "run", "--data-dir", data.toString(), "--rate", "15", "--shift-after", "0", "--seed", "7"
    };
    long servedBefore;
    try (RefluxProcess first = RefluxProcess.start(folder, command)) {
      // Any version after the untrained one: training, publishing and swapping all work by then.
      String line = first.await(PATIENCE, text -> served(text) >= 2);
      servedBefore = served(line);
      first.kill();
    }

    Path report = folder.resolve("report.json");
    try (RefluxProcess second =
        RefluxProcess.start(
            folder, with(command, "--duration", "45", "--report", report.toString()))) {
      assertThat(second.exitCode(PATIENCE)).as(second.output()).isZero();
      assertThat(second.output().lines().mapToLong(RunTest::served).filter(v -> v > 0))
          .as("served versions after the kill")
          .allMatch(version -> version >= servedBefore)
          .isSorted();
    }

    JsonNode figures = new ObjectMapper().readTree(report.toFile());
    assertThat(figures.get("requests_failed").asLong()).isZero();
    assertThat(figures.get("requests_answered").asLong()).isPositive();
    assertThat(figures.get("requests_mirrored").asLong()).isPositive();
    assertThat(figures.get("snapshots_published").asLong()).isPositive();
    assertThat(figures.get("served_version").asLong()).isGreaterThan(servedBefore);
    assertThat(figures.get("agreement_last").asDouble()).isGreaterThan(0.5);

    try (DevStack stack = DevStack.start(data.resolve("broker"))) {
      KafkaClients clients = stack.clients();
      assertOneLabelEach(clients);
      assertPointersNeverGoBack(clients);
    }
  }

  private static void assertOneLabelEach(KafkaClients clients) {
    List<Received<MirroredRequest>> requests = LoopTopics.readAll(clients, Topics.REQUESTS);
    Map<String, Integer> labels = new HashMap<>();
    for (Received<SoftLabels> label : LoopTopics.readAll(clients, Topics.SOFT_LABELS)) {
      labels.merge(label.value().getRequestId(), 1, Integer::sum);
    }
    assertThat(requests).hasSizeGreaterThan(100);
    assertThat(labels).hasSize(requests.size());
    assertThat(requests)
        .allSatisfy(request -> assertThat(labels).containsEntry(request.value().getRequestId(), 1));
  }

  private static void assertPointersNeverGoBack(KafkaClients clients) {
    List<Long> versions =
        LoopTopics.readAll(clients, Topics.SNAPSHOT_POINTERS).stream()
            .map(Received::value)
            .map(SnapshotPointer::getVersion)
            .toList();
    assertThat(versions).isNotEmpty().isSorted();
  }

  private static long served(String line) {
    var matcher = SERVING.matcher(line);
    return matcher.find() ? Long.parseLong(matcher.group(1)) : 0;
  }

  private static String[] with(String[] command, String... more) {
    return java.util.stream.Stream.of(command, more)
        .flatMap(java.util.Arrays::stream)
        .toArray(String[]::new);
  }
}
