package io.reflux.devstack;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.reflux.schemas.avro.SnapshotPointer;
import io.reflux.schemas.kafka.KafkaClients;
import io.reflux.schemas.kafka.Received;
import io.reflux.schemas.kafka.TopicReader;
import io.reflux.schemas.kafka.Topics;
import io.reflux.schemas.service.RefluxException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class DevStackTest {
  @TempDir Path dir;

  @Test
  void schemasRecordsAndAddressesOutliveARestart() {
    String bootstrap;
    String registry;
    SnapshotPointer pointer =
        SnapshotPointer.newBuilder()
            .setChannel("stable")
            .setVersion(1)
            .setManifestSha256("00")
            .setMovedAt(Instant.ofEpochMilli(5))
            .setReason("first")
            .build();
    try (DevStack stack = DevStack.start(dir)) {
      bootstrap = stack.kafkaConfig().bootstrapServers();
      registry = stack.registryConfig().url();
      KafkaClients clients = stack.clients();
      clients.createTopics();
      try (Producer<String, byte[]> producer = clients.producer("test")) {
        clients.writer(Topics.SNAPSHOT_POINTERS, producer).send("stable", pointer).join();
      }
      assertThatThrownBy(() -> DevStack.start(dir))
          .isInstanceOf(RefluxException.class)
          .hasMessageContaining("in use");
    }
    try (DevStack stack = DevStack.start(dir)) {
      assertThat(stack.kafkaConfig().bootstrapServers()).isEqualTo(bootstrap);
      assertThat(stack.registryConfig().url()).isEqualTo(registry);
      KafkaClients clients = stack.clients(); // has no schema in its cache
      List<Received<SnapshotPointer>> received = new ArrayList<>();
      try (TopicReader<SnapshotPointer> reader =
          clients
              .reader(Topics.SNAPSHOT_POINTERS, clients.consumer("test", null, Map.of()))
              .assignAll()) {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (received.isEmpty() && System.nanoTime() < deadline) {
          received.addAll(reader.poll(Duration.ofMillis(100), undecodable -> {}));
        }
      }
      assertThat(received).extracting(Received::value).containsExactly(pointer);
    }
  }

  @Test
  void aTakenRegistryPortIsRefusedBeforeAnythingStarts() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      assertThatThrownBy(() -> DevStack.start(dir, 0, taken.getLocalPort()))
          .isInstanceOf(RefluxException.class)
          .hasMessage(
              "registry port: "
                  + taken.getLocalPort()
                  + " (expected: a free port; another process listens on 127.0.0.1:"
                  + taken.getLocalPort()
                  + ")");
    }
    assertThat(dir.resolve("broker.properties")).doesNotExist();
  }

  @Test
  @Timeout(90)
  void everyAcknowledgedRecordOutlivesAKilledProcess() throws Exception {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-cp",
                System.getProperty("java.class.path"),
                KilledBroker.class.getName(),
                dir.toString())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    Set<String> acknowledged = new HashSet<>();
    String bootstrap = "";
    try (BufferedReader output =
        new BufferedReader(
            new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
      String line = output.readLine();
      while (line != null) {
        if (line.startsWith("broker ")) {
          bootstrap = line.substring("broker ".length());
        } else if (line.startsWith("ack ")) {
          acknowledged.add(line.substring("ack ".length()));
        }
        if (acknowledged.size() == 3_000) {
          process.destroyForcibly();
        }
        line = nextLine(output);
      }
    } finally {
      process.destroyForcibly().waitFor();
    }
    assertThat(acknowledged).hasSizeGreaterThanOrEqualTo(3_000);

    try (EmbeddedBroker broker = EmbeddedBroker.start(dir, 0)) {
      assertThat(broker.bootstrapServers()).isEqualTo(bootstrap);
      assertThat(readAll(bootstrap)).containsAll(acknowledged);
    }
  }

  /** The last line may have been cut off by the kill: it acknowledges nothing then. */
  private static String nextLine(BufferedReader output) {
    try {
      StringBuilder line = new StringBuilder();
      for (int c = output.read(); c >= 0; c = output.read()) {
        if (c == '\n') {
          return line.toString();
        }
        line.append((char) c);
      }
      return null;
    } catch (IOException e) {
      return null; // the pipe of a killed process
    }
  }

  private static Set<String> readAll(String bootstrap) {
    Set<String> values = new HashSet<>();
    try (KafkaConsumer<String, String> consumer =
        new KafkaConsumer<>(
            Map.of("bootstrap.servers", bootstrap),
            new StringDeserializer(),
            new StringDeserializer())) {
      List<TopicPartition> partitions =
          List.of(
              new TopicPartition(KilledBroker.TOPIC, 0), new TopicPartition(KilledBroker.TOPIC, 1));
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
          values.add(record.value());
        }
      }
    }
    return values;
  }
}
