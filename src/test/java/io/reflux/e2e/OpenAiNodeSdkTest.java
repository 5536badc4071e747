package io.reflux.e2e;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.reflux.schemas.avro.MirroredRequest;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.Topics;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * OpenAI's official Node client against the server, and what was served back on Kafka. Runs where
 * {@code node} is and {@code npm ci --prefix src/test/node} was run; fetches nothing itself.
 */
class OpenAiNodeSdkTest {
  @TempDir private Path folder;

  @Test
  @Timeout(180)
  void officialClientIsServedAndWhatItGotFlowsBack() throws Exception {
    Path script = script();
    assumeTrue(
        Files.exists(script.resolveSibling("node_modules/openai/package.json")),
        "the package openai is not installed: npm ci --prefix src/test/node");
    assumeTrue(hasNode(), "node is not installed");
    try (ServedStudent student = ServedStudent.start(folder, 2)) {
      Process node =
          new ProcessBuilder("node", script.toString(), student.url())
              .redirectErrorStream(true)
              .start();
      String output = new String(node.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      assertThat(node.waitFor()).as(output).isZero();
      assertThat(output).endsWith("all checks passed\n");

      student.stopServer();
      List<MirroredRequest> mirrored =
          LoopTopics.readAll(student.clients(), Topics.REQUESTS).stream()
              .map(Received::value)
              .toList();
      assertThat(mirrored).hasSizeGreaterThan(8);
      assertThat(mirrored)
          .allSatisfy(
              request -> {
                assertThat(request.getSource()).isEqualTo("server");
                assertThat(request.getSegment()).isEqualTo("served");
                assertThat(request.getResponse()).isNotNull();
                assertThat(request.getTags()).containsEntry("version", "1");
              });
      assertThat(mirrored)
          .anySatisfy(
              request -> {
                assertThat(request.getMessages()).hasSize(2);
                assertThat(request.getResponse()).isNotEmpty();
              });
    }
  }

  private static Path script() {
    Path inModule = Path.of("src/test/node/openai-sdk.mjs");
    return (Files.exists(inModule) ? inModule : Path.of("..").resolve(inModule))
        .toAbsolutePath()
        .normalize();
  }

  private static boolean hasNode() throws InterruptedException {
    try {
      Process node = new ProcessBuilder("node", "--version").redirectErrorStream(true).start();
      return node.waitFor(20, TimeUnit.SECONDS) && node.exitValue() == 0;
    } catch (IOException e) {
      return false;
    }
  }
}
